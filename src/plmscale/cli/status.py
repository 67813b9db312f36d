"""`plmscale status`: how far a study is.

Reads the files of the runs, and SLURM's queue where there is one; takes no lock and touches no run, so it may be called
at any time. Prints the grid, and writes `results/status/status.tsv` and `status.html`, a page without any other file.
"""

import argparse
from pathlib import Path

from ..errors import InputError

DESCRIPTION = "Show the state of every cell, device-hours spent and planned, and why cells failed."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"), help="results folder of the study")
    parser.add_argument(
        "--configfile", type=Path, default=Path("config/config.yaml"), help="configuration of the study"
    )


def run(args: argparse.Namespace) -> None:
    """Print and write the status."""
    import yaml

    from ..status.status import write_status
    from ..study.study import load_study

    if not args.configfile.is_file():
        raise InputError(f"--configfile: {args.configfile} does not exist. Name the study's configuration.")
    raw = yaml.safe_load(args.configfile.read_text()) or {}
    study = load_study(raw, base=args.configfile.absolute().parent.parent, with_published=False)
    print(write_status(study, results=args.results))
