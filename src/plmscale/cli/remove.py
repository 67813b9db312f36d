"""`plmscale remove 35M/uniref50/constant/seed0`: delete a cell and its logs."""

import argparse
from pathlib import Path

DESCRIPTION = "Delete a cell and its logs, unless it is being trained; it is trained afresh by the next run."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("cell", help="model/subset/schedule/seed0")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the results")


def run(args: argparse.Namespace) -> None:
    """Remove, and print what was removed."""
    from ..status.remove import remove

    for path in remove(args.cell, results=args.results):
        print(f"removed {path}")
