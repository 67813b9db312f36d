"""`plmscale time-size --work folder --out record.json …`: time a short run of one size. The workflow calls it."""

import argparse
import os
from pathlib import Path

from ..main import log_to_standard_error
from .train import training_arguments

DESCRIPTION = "Time a short run of one size, trained as its cells are. Started once per rank."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--work", type=Path, required=True, help="folder that `plmscale time-size-data` wrote")
    parser.add_argument("--out", type=Path, required=True, help="measurement to write")
    training_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Time it; the process ends in there."""
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))  # before torch is imported
    from ...training.calibrate import time_size

    log_to_standard_error()
    time_size(args, work=args.work, out=args.out)
