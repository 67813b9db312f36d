"""`plmscale time-size-data --spec TEXT --work folder …`: the files of a timed run. The workflow calls it."""

import argparse
import json
from pathlib import Path

DESCRIPTION = "Make the files of a timed run: of the study's own proteins or, before there are any, of made-up ones."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--spec", required=True, help="what is to be timed, as JSON text")
    parser.add_argument("--work", type=Path, required=True, help="folder to make; what was in it is removed")
    for name in ("store", "subset", "holdout"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="the study's own, if it exists")


def run(args: argparse.Namespace) -> None:
    """Make them."""
    from ..training.calibration_data import load_libraries, prepare_data

    load_libraries()
    prepare_data(json.loads(args.spec), args.work, store=args.store, subset=args.subset, holdout=args.holdout)
