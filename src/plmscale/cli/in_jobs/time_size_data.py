"""`plmscale time-size-data --spec TEXT --work folder …`: the files of a timed run. The workflow calls it."""

import argparse
import json
from pathlib import Path

DESCRIPTION = (
    "Write the input files of a timed run, from the proteins of the study if they exist, else from random ones."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--spec", required=True, help="what to time, as JSON text")
    parser.add_argument("--work", type=Path, required=True, help="folder to write; its previous contents are deleted")
    for name in ("store", "subset", "holdout"):
        parser.add_argument(f"--{name}", type=Path, required=True, help=f"{name} of the study, which need not exist")


def run(args: argparse.Namespace) -> None:
    """Make them."""
    from ...training.calibration_data import load_libraries, prepare_data

    load_libraries()
    prepare_data(json.loads(args.spec), args.work, store=args.store, subset=args.subset, holdout=args.holdout)
