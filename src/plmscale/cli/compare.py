"""`plmscale compare study_a/results study_b/results --out folder`."""

import argparse
from pathlib import Path

from ..files import check_writable
from ..study.catalog import COMPARED_BY

DESCRIPTION = """Compare folders of results, or the schedules and sets of one folder: laws with the intervals of their
differences, envelopes, optimal sizes, losses of matched runs, and cost."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="folder",
        help="results of a study, or the output folder of `plmscale fit`",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--names", nargs="+", default=[], help="a name for each folder (default: the last part of its path)"
    )
    parser.add_argument(
        "--by",
        nargs="+",
        choices=COMPARED_BY,
        default=[],
        help="what to compare (default: studies, or the schedules and sets of one folder)",
    )
    parser.add_argument(
        "--bootstrap", type=int, default=200, help="resamples of the runs of a single set (default: 200)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples (default: 0)")


def run(args: argparse.Namespace) -> None:
    """Read, compare, write, and print the summary."""
    from ..compare.compare import compare
    from ..laws.fit import FitSettings

    check_writable(args.out, option="--out")
    settings = FitSettings(n_bootstrap=args.bootstrap)
    compare(args.folders, args.out, names=args.names, by=args.by, settings=settings, seed=args.seed)
    print((args.out / "summary.txt").read_text(encoding="utf-8"), end="")
    print(f"\nWritten to {args.out}: report.html, summary.txt, tables/, figures/, comparison.json.")
