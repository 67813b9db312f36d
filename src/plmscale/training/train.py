"""Train one cell: `python -m plmscale.training.train --cell cell.json …`, once per rank."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import torch

from ..errors import InputError
from ..files import no_room, read_json
from ..study.grid import Cell
from .claim import CellClaim
from .engine import ENGINES, joined_ranks
from .interruption import StopRequest
from .monitor import add_monitor_arguments
from .run_record import write_outputs
from .trainer import Run
from .trunk_run import TrunkRun, add_trunk_arguments, reaches


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m plmscale.training.train", description="Train one cell of the grid."
    )
    for name, what in (
        ("cell", "the cell, as JSON"),
        ("store", "folder of the token store"),
        ("subset", "ids of the training set"),
        ("metrics", "parquet to write"),
        ("record", "run record to write"),
        ("checkpoints", "folder of the checkpoints"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=what)
    parser.add_argument("--holdout", type=Path, help="ids of the holdout; a trunk needs none")
    add_trunk_arguments(parser)
    parser.add_argument("--engine", choices=sorted(ENGINES), default="deepspeed", help="training engine")
    parser.add_argument("--zero-stage", type=int, default=2, help="DeepSpeed ZeRO stage")
    parser.add_argument("--compile", type=int, default=0, help="1: let torch compile the blocks")
    parser.add_argument(
        "--micro-batch-tokens", type=int, default=2**62, help="most tokens that a rank processes at a time"
    )
    parser.add_argument("--checkpoint-tokens", type=int, default=100_000_000, help="tokens between checkpoints")
    parser.add_argument("--keep-checkpoints", type=int, default=0, help="1: keep the last checkpoint of a finished run")
    parser.add_argument(
        "--max-attempts", type=int, default=5, help="attempts without a new checkpoint before it is refused"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of a rank")
    add_monitor_arguments(parser)
    args = parser.parse_args(argv)
    if args.until_passes is None and args.holdout is None:
        parser.error("--holdout is missing: only a trunk (--until-passes) is not evaluated")
    return args


def main() -> None:
    """Train the cell that the command line names."""
    args = parse()
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    torch.set_num_threads(args.threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    try:
        with joined_ranks() as ranks:
            asked = StopRequest()
            asked.listen()
            claim = CellClaim(args.checkpoints, ranks, asked=asked, max_attempts=args.max_attempts)
            kind = Run if args.until_passes is None else TrunkRun
            status = _take_turn(args, claim, partial(kind, args, ranks, asked=asked, claim=claim))
        _leave(status)
    except InputError as error:
        sys.exit(f"error: {error}")
    except Exception as error:  # torch and DeepSpeed tell of a full disk by errors of several classes
        if not no_room(error):
            raise
        sys.exit(f"error: no room to write: {error}. The last checkpoint is kept. Make room, and run again.")


def _take_turn(args: argparse.Namespace, claim: CellClaim, make_run: Callable[[], Run]) -> int:
    """Train and write, or take over what another job has finished meanwhile; the exit status."""
    try:
        with claim.taken():
            result = claim.finished(Cell.from_json(read_json(args.cell)).frozen())
            if result and reaches(result["record"], args.until_passes):
                if claim.is_first:
                    write_outputs(args, result["record"], result["rows"])
                return 0
            with claim.attempt():
                run = make_run()
                run.finish(*run.train())
    except SystemExit as asked:
        return int(asked.code or 0)
    return 0


def _leave(status: int) -> NoReturn:
    """End the process without taking the interpreter down: everything is written and closed.

    Threads of gloo may still hold tensors then; to drop one they ask for a lock that a finalising interpreter does not
    give any more, and the rank aborts after its work is done (pytorch pull request 179291).
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
