"""`plmscale remove 35M/uniref50/constant/seed0`: delete a cell and its logs."""

import argparse
from pathlib import Path

DESCRIPTION = "Delete a cell and its logs, unless it is being trained. The next run trains it again."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("cell", help="name of the cell: model/subset/schedule/seed0")
    parser.add_argument("--results", type=Path, default=Path("results"), help="results folder of the study")


def run(args: argparse.Namespace) -> None:
    """Remove, and print what was removed."""
    from ..status.remove import remove

    for path in remove(args.cell, results=args.results):
        print(f"removed {path}")
