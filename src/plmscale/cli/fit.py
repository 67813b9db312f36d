"""Fit all laws to anybody's runs: `python -m plmscale.cli.fit runs.csv --out folder`."""

import argparse
import sys
from pathlib import Path

from ..analysis.external import analyse
from ..errors import InputError
from ..laws.cost_to_loss import PAPER_PLATEAU
from ..laws.fit import FitSettings
from ..report.external_runs import write
from ..results.external import Request
from ..runs.importers import IMPORTERS, load_all
from ..runs.table_files import read_table
from ..runs.tidy import FIELDS, ImportOptions
from ..study.catalog import FITS


def parser() -> argparse.ArgumentParser:
    """Command line."""
    formats = "\n".join(f"  {name:20}{importer.title}" for name, importer in IMPORTERS.items())
    columns = "\n".join(f"  {name:15}{field.meaning}" for name, field in FIELDS.items())
    command = argparse.ArgumentParser(
        prog="python -m plmscale.cli.fit",
        description="Fit scaling laws to runs that somebody trained: fits, tables, figures and a summary.",
        epilog=f"formats:\n{formats}\n\ncolumns of a table:\n{columns}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("paths", nargs="+", type=Path, metavar="path", help="table, export or folder of runs")
    command.add_argument("--out", type=Path, required=True, help="folder to write to")
    command.add_argument("--format", choices=sorted(IMPORTERS), help="format of the paths; found from them if absent")
    command.add_argument("--fits", nargs="+", choices=FITS, default=list(FITS), help="laws to fit (all)")
    command.add_argument(
        "--flops", choices=("given", "6nd"), default="given", help="FLOPs of the file, 6ND where it has none (given)"
    )
    command.add_argument("--loss-column", help="column or metric that is the loss, where there are several")
    command.add_argument("--describe", type=Path, help="table that says what an export lacks: run, n_params, ...")
    command.add_argument("--target-loss", type=float, default=PAPER_PLATEAU, help="loss to tell the cost of (2.455)")
    command.add_argument("--seed", type=int, default=0, help="seed of the resamples (0)")
    command.add_argument("--bootstrap", type=int, default=200, help="resamples of the runs (200)")
    command.add_argument(
        "--points", choices=("final", "all"), default="final", help="points of a run in parametric laws"
    )
    return command


def main(argv: list[str] | None = None) -> None:
    """Read, fit, write, and print the summary."""
    args = parser().parse_args(argv)
    try:
        describe = read_table(args.describe) if args.describe else None
        options = ImportOptions(flops=args.flops, loss_column=args.loss_column, describe=describe)
        settings = FitSettings(n_bootstrap=args.bootstrap, points=args.points)
        request = Request(fits=tuple(args.fits), seed=args.seed, target_loss=args.target_loss, settings=settings)
        write(analyse(load_all(args.paths, kind=args.format, options=options), request), args.out)
    except InputError as error:
        sys.exit(f"error: {error}")
    print((args.out / "summary.txt").read_text(encoding="utf-8"), end="")
    print(f"\nWritten to {args.out}: summary.txt, tables/, figures/, fits/.")


if __name__ == "__main__":
    main()
