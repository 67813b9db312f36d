"""Train one cell: `python -m plmscale.train --cell cell.json …`, once per rank."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

import torch

from .engine import ENGINES, joined_ranks
from .errors import InputError
from .trainer import Run


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m plmscale.train", description="Train one cell of the grid.")
    for name, what in (
        ("cell", "the cell, as JSON"),
        ("store", "folder of the token store"),
        ("subset", "ids of the training set"),
        ("holdout", "ids of the holdout"),
        ("metrics", "parquet to write"),
        ("record", "run record to write"),
        ("checkpoints", "folder of the checkpoints"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=what)
    parser.add_argument("--engine", choices=sorted(ENGINES), default="deepspeed", help="training engine")
    parser.add_argument("--zero-stage", type=int, default=2, help="DeepSpeed ZeRO stage")
    parser.add_argument(
        "--micro-batch-tokens", type=int, default=2**62, help="most tokens that a rank processes at a time"
    )
    parser.add_argument("--checkpoint-tokens", type=int, default=100_000_000, help="tokens between checkpoints")
    parser.add_argument("--keep-checkpoints", type=int, default=0, help="1: keep the last checkpoint of a finished run")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a rank")
    return parser.parse_args(argv)


def main() -> None:
    """Train the cell that the command line names."""
    args = parse()
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    torch.set_num_threads(args.threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    try:
        with joined_ranks() as ranks:
            run = Run(args, ranks)
            for number in (signal.SIGTERM, signal.SIGUSR1):
                signal.signal(number, lambda *_: setattr(run, "stop_requested", True))
            run.finish(*run.train())
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
