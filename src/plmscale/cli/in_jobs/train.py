"""`plmscale train --cell cell.json …`: train one cell, once per rank. The workflow calls it."""

import argparse
import os
from pathlib import Path

from ...errors import InputError
from ...study.catalog import ENGINE_NAMES, FLOP_CONVENTIONS
from ..main import log_to_standard_error

DESCRIPTION = "Train one cell of the grid, or a trunk that several cells share."

FILES = {
    "cell": "the cell, as JSON",
    "store": "folder of the token store",
    "subset": "ids of the training set",
    "metrics": "metrics to write, as Parquet",
    "record": "run record to write",
    "checkpoints": "folder of the checkpoints",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    for name, what in FILES.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=what)
    parser.add_argument("--holdout", type=Path, help="ids of the holdout (not for a trunk)")
    parser.add_argument(
        "--staging",
        type=lambda text: "" if text == "none" else text,
        default="",
        help="folder on a disk of the node for copies of store and sets, or none",
    )
    _trunk_arguments(parser)
    training_arguments(parser)


def training_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say how a cell is trained and shown, not what it is."""
    parser.add_argument("--engine", choices=sorted(ENGINE_NAMES), default="deepspeed", help="training engine")
    parser.add_argument("--zero-stage", type=int, default=2, help="DeepSpeed ZeRO stage")
    parser.add_argument("--compile", type=int, default=0, help="1: let torch compile the blocks")
    parser.add_argument(
        "--micro-batch-tokens", type=int, default=2**62, help="largest micro-batch of a rank, in tokens"
    )
    parser.add_argument("--checkpoint-tokens", type=int, default=100_000_000, help="tokens between checkpoints")
    parser.add_argument("--keep-checkpoints", type=int, default=0, help="1: keep the last checkpoint of a finished run")
    parser.add_argument(
        "--max-attempts", type=int, default=5, help="attempts without a new checkpoint after which the cell is refused"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a rank")
    _monitor_arguments(parser)


def _trunk_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--trunk",
        type=lambda text: None if text == "none" else Path(text),
        help="checkpoints of the trunk from which this cell branches off, or none",
    )
    parser.add_argument("--until-passes", type=float, help="train a trunk, up to this many passes over the set")
    parser.add_argument("--keep-at", default="", help="passes before which a trunk keeps a checkpoint, comma-separated")


def _monitor_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--monitors", default="tensorboard", help="loggers, comma-separated, or none")
    parser.add_argument("--wandb-project", default="plmscale", help="project of Weights & Biases")
    parser.add_argument("--progress-seconds", type=float, default=30.0, help="seconds between two progress lines")
    parser.add_argument(
        "--flop-convention", choices=FLOP_CONVENTIONS, default="appendix_e", help="FLOP convention of the utilisation"
    )
    parser.add_argument("--peak-flops", type=float, help="peak FLOP/s of one device (default: no utilisation is shown)")


def run(args: argparse.Namespace) -> None:
    """Train; the process ends in there."""
    if args.until_passes is None and args.holdout is None:
        raise InputError("--holdout is missing: only a trunk (--until-passes) is not evaluated.")
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))  # before torch is imported
    from ...training.train import train_cell

    log_to_standard_error()
    train_cell(args)
