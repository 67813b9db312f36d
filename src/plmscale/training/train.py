"""Train one cell by this rank, or take over what another job has finished."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import torch

from ..errors import InputError
from ..files import no_room
from ..study.grid import read_cell
from .claim import CellClaim
from .engine import joined_ranks
from .interruption import StopRequest
from .run_record import write_outputs
from .trainer import Run
from .trunk_run import TrunkRun, reaches


def train_cell(args: argparse.Namespace) -> NoReturn:
    """Train the cell that the arguments of `plmscale train` name, and end the process.

    Raises
    ------
    SystemExit
        With one sentence for what a person can put right; with the status that a stop asks for.
    """
    torch.set_num_threads(args.threads)
    try:
        with joined_ranks() as ranks:
            asked = StopRequest()
            asked.listen()
            claim = CellClaim(args.checkpoints, ranks, asked=asked, max_attempts=args.max_attempts)
            kind = Run if args.until_passes is None else TrunkRun
            status = _take_turn(args, claim, partial(kind, args, ranks, asked=asked, claim=claim))
        _leave(status)
    except InputError:
        raise
    except Exception as error:  # torch and DeepSpeed tell of a full disk by errors of several classes
        if not no_room(error):
            raise
        sys.exit(f"error: no room to write: {error}. The last checkpoint is kept. Make room, and run again.")


def _take_turn(args: argparse.Namespace, claim: CellClaim, make_run: Callable[[], Run]) -> int:
    """Train and write, or take over what another job has finished meanwhile; the exit status."""
    try:
        with claim.taken():
            result = claim.finished(read_cell(args.cell).frozen())
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
