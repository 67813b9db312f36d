"""The claim of this job to its cell: wait for who trains it already, take over what that one finished, or train.

Snakemake that was killed and started again submits a cell again whose first job still runs, and Snakemake deletes the
declared outputs of a cell before the second job begins. So the holder of the lock leaves its result in an undeclared
file too, and a job that was asked for before that result was there takes it over.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist

from ..clock import process_age
from ..errors import InputError
from ..files import read_as, read_object, write_json
from .attempts import LEDGER, RESULT, Attempts
from .checkpoints import Checkpoints
from .engine import Ranks
from .interruption import INTERRUPTED, StopRequest
from .lock import CellLock

ASKED = "PLMSCALE_ASKED"
"""Environment variable: when this training was asked for, in seconds since the epoch. Without it, when the process
began."""

POLL = 1.0
"""Seconds between two looks at a lock that somebody holds."""

log = logging.getLogger(__name__)


class TakenOver(Exception):
    """Another job took this one for dead, and trains its cell."""


class CellClaim:
    """The claim of all ranks of a job to a cell; the first one holds the lock and keeps the record of attempts.

    Parameters
    ----------
    checkpoints : Path
        Folder of the checkpoints; lock, record of attempts and result lie beside it.
    ranks : Ranks
    asked : StopRequest
    max_attempts : int
        See `execution.max_attempts`.
    """

    def __init__(self, checkpoints: Path, ranks: Ranks, *, asked: StopRequest, max_attempts: int) -> None:
        self._checkpoints, self._folder = checkpoints, checkpoints.parent
        self._ranks, self._asked, self._max_attempts = ranks, asked, max_attempts
        self._lock = CellLock(self._folder) if self.is_first else None
        self.attempts = Attempts()

    @property
    def is_first(self) -> bool:
        """Whether this is the first rank, which writes."""
        return self._ranks.rank == 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold the lock; whoever holds it is waited for.

        Raises
        ------
        SystemExit
            If the job was asked to stop while it waited.
        """
        self._wait()
        try:
            yield
        finally:
            if self._lock:
                self._lock.release()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Record an attempt, and how it ends.

        Raises
        ------
        InputError
            If the last `max_attempts` brought nothing.
        """
        self._begin()
        try:
            yield
        except TakenOver as error:  # the record is another job's now
            log.warning("%s", error)
            sys.exit(INTERRUPTED)
        except SystemExit:
            self.attempts.end(self._asked.reason)
            raise
        except BaseException as error:
            self.attempts.end(f"error: {error}"[:500])
            raise

    def finished(self, cell: dict[str, Any]) -> dict[str, Any] | None:
        """What another job finished since this one was asked for: `record` and `rows`. An older result is removed.

        Parameters
        ----------
        cell : dict
            The cell as frozen; the result of another one does not count.
        """
        found = None
        if self._lock and (self._folder / RESULT).is_file():
            result = read_object(self._folder / RESULT)
            asked = float(os.environ.get(ASKED) or time.time() - process_age())
            with read_as("what a job has finished", where=self._folder / RESULT):
                counts = float(result["at"]) >= asked and result["record"]["cell"] == cell
            if counts:
                found = result
            else:
                (self._folder / RESULT).unlink()
                Attempts(self._folder / LEDGER).forget()
        return self._of_first(found)

    def leave_result(self, record: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        """Keep the result in another file than the declared outputs; without room for it these have to do.

        Raises
        ------
        TakenOver
            If another job has the lock now: the result is its to write.
        """
        self.check()
        try:
            write_json(self._folder / RESULT, {"at": time.time(), "record": record, "rows": rows})
        except InputError as error:
            log.warning("%s", error)

    def check(self) -> None:
        """See `leave_result`."""
        if self._lock and not self._lock.held():
            raise TakenOver(
                f"another job took over {self._folder} while this one was paused; the other job continues alone"
            )

    def _begin(self) -> None:
        refused = None
        if self._lock:
            self.attempts = Attempts(self._folder / LEDGER)
            newest = max([0, *Checkpoints(self._checkpoints).steps()])
            self.attempts.settle(newest=newest, last_seen=self._lock.last_seen)
            try:
                self.attempts.refuse_after(self._max_attempts)
            except InputError as error:
                refused = str(error)
        if refused := self._of_first(refused):
            raise InputError(refused)
        self.attempts.begin(world=self._ranks.world, device=self._ranks.device.type)

    def _wait(self) -> None:
        told = False
        while holder := self._of_first(self._lock.take() if self._lock else None):
            if self._lock and not told:
                log.warning("%s is being trained already by %s: waiting for it to end", self._folder, holder)
                told = True
            if any(self._all(self._asked.made)):
                log.info("stopped on request while waiting")
                sys.exit(INTERRUPTED)
            time.sleep(POLL)

    def _of_first(self, value: Any) -> Any:
        return self._all(value)[0]

    def _all(self, value: Any) -> list[Any]:
        if self._ranks.world == 1:
            return [value]
        every: list[Any] = [None] * self._ranks.world
        dist.all_gather_object(every, value)
        return every
