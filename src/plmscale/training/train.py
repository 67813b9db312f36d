"""Train one cell by this rank, or take over what another job has finished."""

import argparse
import errno
import logging
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import torch

from ..errors import InputError
from ..files import BROKEN, no_room
from ..study.grid import read_cell
from .cell_data import CellData
from .checkpoints import Checkpoints
from .claim import CellClaim
from .engine import joined_ranks
from .interruption import StopRequest
from .run_record import keep_checkpoints, write_outputs
from .set_aside import remove_leftovers
from .trainer import Run
from .trunk_run import TrunkRun, reaches

UNWRITABLE = (*BROKEN, errno.EACCES, errno.EPERM)
"""Errors of a folder that cannot be written to any more."""

LOST = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "connection refused",
    "remote process exited",
    "nccl",
    "timed out waiting",
    "recvvalue failed",
)
"""How gloo, NCCL and torch's store tell that another rank does not answer, in lower case."""

log = logging.getLogger(__name__)


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
    except Exception as error:  # torch and DeepSpeed tell of a full disk, and of a lost rank, by several classes
        if not (sentence := in_a_sentence(error)):
            raise
        sys.exit(f"error: rank {os.environ.get('RANK', '0')}: {sentence}")


def in_a_sentence(error: BaseException) -> str:
    """What an error of torch, DeepSpeed or the operating system means for the job; empty if it is none of these."""
    if no_room(error):
        return f"disk full: {error}. The last checkpoint is kept. Make room, and run again."
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}. The last checkpoint is kept. Mend the file system, and run again."
    if isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in LOST):
        said = str(error).strip().splitlines()[-1][-200:]
        return (
            "another rank does not answer: it ended, which its own lines above or its node's log explain, or its node "
            f"is gone ({said}). Run again: the cell goes on from its last checkpoint."
        )
    return ""


def _take_turn(args: argparse.Namespace, claim: CellClaim, make_run: Callable[..., Run]) -> int:
    """Train and write, or take over what another job has finished meanwhile; the exit status."""
    try:
        with claim.taken(), CellData.on_this_node(args) as data:
            data.seal = claim.agreed(lambda: data.seal)
            of = data.seal_of_result(read_cell(args.cell))
            result = claim.finished(of, written=data.written)
            if result and reaches(result["record"], args.until_passes):
                if claim.is_first:
                    _take_over(args, result)
                return 0
            with claim.attempt():
                run = make_run(data=data)
                run.finish(*run.train())
    except SystemExit as asked:
        return int(asked.code or 0)
    return 0


def _take_over(args: argparse.Namespace, result: dict[str, Any]) -> None:
    """Write the outputs of a run that another job has finished, and remove what that one left."""
    at = time.strftime("%F %T", time.localtime(result["at"]))
    log.info("taken over: this cell was finished at %s; its outputs are written again, nothing is trained", at)
    write_outputs(args, result["record"], result["rows"])
    if args.until_passes is None:
        keep_checkpoints(Checkpoints(args.checkpoints), args, status=result["record"]["status"])
    remove_leftovers(args.checkpoints.parent)


def _leave(status: int) -> NoReturn:
    """End the process without taking the interpreter down: everything is written and closed.

    Threads of gloo may still hold tensors then; to drop one they ask for a lock that a finalising interpreter does not
    give any more, and the rank aborts after its work is done (pytorch pull request 179291).
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
