"""`plmscale fit runs.csv --out folder`: all laws on anybody's runs."""

import argparse
from pathlib import Path

from ..errors import InputError
from ..files import check_writable
from ..runs.fields import FIELDS, FORMATS
from ..study.catalog import BUDGETS, FITS
from . import run_sources

DESCRIPTION = "Fit scaling laws to existing runs; write fits, tables, figures and a summary."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    formats = "\n".join(f"  {name:20}{title}" for name, title in FORMATS.items())
    columns = "\n".join(f"  {name:15}{field.meaning}" for name, field in FIELDS.items())
    parser.epilog = f"formats:\n{formats}\n\ncolumns of a table:\n{columns}"
    run_sources.arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--fits", nargs="+", choices=FITS, default=list(FITS), help="laws to fit (default: all)")
    parser.add_argument(
        "--target-loss", type=float, help="loss in nats for which the cost of each size is computed (default: 2.455)"
    )
    default = " ".join(f"{flops:g}" for flops in BUDGETS)
    parser.add_argument(
        "--budgets", nargs="+", type=float, help=f"FLOPs whose optimal sizes are given (default: {default})"
    )
    parser.add_argument("--at-flops", type=float, help="one more of these budgets, which is named first")
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples (default: 0)")
    parser.add_argument("--bootstrap", type=int, default=200, help="resamples of the runs (default: 200)")
    parser.add_argument(
        "--points", choices=("final", "all"), default="final", help="points of a run that parametric laws use"
    )
    parser.add_argument("--no-figures", action="store_true", help="draw no figures, which take most of the time")


def run(args: argparse.Namespace) -> None:
    """Read, fit, print the answer, then write everything and print what it adds."""
    from ..analysis.external import answer, completed
    from ..laws.cost_to_loss import PAPER_PLATEAU
    from ..laws.fit import FitSettings
    from ..report.external_runs import write
    from ..report.external_summary import added_text, summary_text
    from ..results.external import Request
    from .main import on_stderr

    check_writable(args.out, option="--out")
    settings = FitSettings(n_bootstrap=args.bootstrap, points=args.points, budgets=_budgets(args))
    target = PAPER_PLATEAU if args.target_loss is None else args.target_loss
    request = Request(fits=tuple(args.fits), seed=args.seed, target_loss=target, settings=settings)
    known = answer(run_sources.read(args), request, progress=on_stderr)
    text = summary_text(known.imported, known.results, known.reached)
    print(f"{text}\nBeing written to {args.out}: {', '.join(_parts(args))}.", flush=True)
    analysis = completed(known, progress=on_stderr)
    write(analysis, args.out, figures=not args.no_figures, progress=on_stderr)
    print(f"{added_text(analysis.results)}\nWritten to {args.out}: {', '.join(_parts(args))}.")


def _budgets(args: argparse.Namespace) -> tuple[float, ...]:
    """The budgets of the table of optimal sizes, each once."""
    budgets = [*([] if args.at_flops is None else [args.at_flops]), *(args.budgets or BUDGETS)]
    for option, values in (("--at-flops", budgets[:1] if args.at_flops is not None else []), ("--budgets", budgets)):
        wrong = [value for value in values if not 0 < value < float("inf")]
        if wrong:
            raise InputError(f"{option} is {wrong[0]:g}; it must be positive FLOPs, such as 1e20.")
    return tuple(dict.fromkeys(budgets))


def _parts(args: argparse.Namespace) -> list[str]:
    return ["summary.txt", "tables/", *([] if args.no_figures else ["figures/", "report.html"]), "fits/"]
