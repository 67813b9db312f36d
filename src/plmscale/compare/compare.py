"""Two or more folders of results, or schedules and sets of one, side by side."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..laws.fit import FitSettings
from .arms import BYS, comparisons
from .report import find, write
from .studies import read_studies


def compare(
    folders: Sequence[Path],
    out: Path,
    *,
    names: Sequence[str] = (),
    by: Sequence[str] = (),
    settings: FitSettings | None = None,
    seed: int = 0,
) -> None:
    """Compare folders of results, and write tables, figures and `summary.txt`.

    Parameters
    ----------
    folders : sequence of Path
        Each the `results/` of a study, or what `plmscale.cli.fit` wrote.
    out : Path
        See `plmscale.compare.report.write`.
    names, by : sequences of str
        See `plmscale.compare.studies.read_studies` and `plmscale.compare.arms.comparisons`.
    settings, seed : FitSettings, optional; int
        For the laws that are fitted to single sets.

    Raises
    ------
    InputError
        If a folder is not one of results, or there is nothing to compare.
    """
    members = read_studies(folders, names=names)
    found = [find(one) for one in comparisons(members, by=by, settings=settings, seed=seed)]
    write(members, found, out)


def parser() -> argparse.ArgumentParser:
    """Command line."""
    command = argparse.ArgumentParser(
        prog="python -m plmscale.compare.compare",
        description="Compare folders of results, or the schedules and training sets of one: laws with the intervals of "
        "their differences, envelopes, optimal sizes, losses of matched runs, and cost.",
    )
    command.add_argument(
        "folders", nargs="+", type=Path, metavar="folder", help="results of a study, or of plmscale.cli.fit"
    )
    command.add_argument("--out", type=Path, required=True, help="folder to write to")
    command.add_argument("--names", nargs="+", default=[], help="a name for each folder (the end of its path)")
    command.add_argument(
        "--by", nargs="+", choices=BYS, default=[], help="what is compared (studies; of one folder: schedules and sets)"
    )
    command.add_argument("--bootstrap", type=int, default=200, help="resamples of the runs of a single set (200)")
    command.add_argument("--seed", type=int, default=0, help="seed of the resamples (0)")
    return command


def main(argv: list[str] | None = None) -> None:
    """Read, compare, write, and print the summary."""
    args = parser().parse_args(argv)
    try:
        settings = FitSettings(n_bootstrap=args.bootstrap)
        compare(args.folders, args.out, names=args.names, by=args.by, settings=settings, seed=args.seed)
    except InputError as error:
        sys.exit(f"error: {error}")
    print((args.out / "summary.txt").read_text(encoding="utf-8"), end="")
    print(f"\nWritten to {args.out}: summary.txt, tables/, figures/, comparison.json.")


if __name__ == "__main__":
    main()
