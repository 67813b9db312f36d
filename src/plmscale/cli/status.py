"""`plmscale status`: how far a study is.

Reads the files of the runs, and SLURM's queue where there is one; takes no lock and touches no run, so it may be called
at any time. Prints the grid, and writes `results/status/status.tsv` and `status.html`, a page without any other file.
"""

import argparse
from pathlib import Path

DESCRIPTION = "Show the state of every cell, device-hours spent and planned, and why cells failed."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"), help="results folder of the study")
    parser.add_argument(
        "--configfile", type=Path, help="configuration of the study; without it, the study that the folder belongs to"
    )


def run(args: argparse.Namespace) -> None:
    """Print and write the status."""
    from ..status.status import study_there, write_status

    print(write_status(study_there(args.results, configfile=args.configfile), results=args.results))
