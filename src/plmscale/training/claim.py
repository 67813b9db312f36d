"""The claim of this job to its cell: wait for who trains it already, take over what that one finished, or train.

Snakemake deletes the declared outputs of a cell before a job of it begins, and after one that it takes for failed, also
where the training was done. So the holder of the lock leaves its result in an undeclared file too, and a job that finds
a whole result of its cell and its data takes it over, whenever that was written. To train again is asked for by the
file `afresh`; what is of another cell or of other data is set aside.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist

from ..errors import InputError
from ..files import read_object, write_json
from .attempts import LEDGER, RESULT, Attempts
from .cell_data import Seal
from .checkpoints import Checkpoints
from .engine import Ranks
from .interruption import INTERRUPTED, StopRequest
from .lock import CellLock, Holder, runs
from .manifest import digest_of, newest_sealed
from .set_aside import AFRESH, set_aside

DUPLICATES = "PLMSCALE_DUPLICATES"
"""Environment variable of jobs: with "leave", one whose cell another SLURM job trains leaves at once. Whoever submitted
it follows the other job then. Without it the job waits, and holds its nodes."""

POLL = 1.0
"""Seconds between two looks at a lock that somebody holds."""

T = TypeVar("T")
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
            self.attempts.fail(error)
            raise

    def agreed(self, find: Callable[[], T]) -> T:
        """What the first rank finds; an InputError of it is one of all ranks."""
        found: Any = None
        refused = None
        if self.is_first:
            try:
                found = find()
            except InputError as error:
                refused = str(error)
        found, refused = self._of_first((found, refused))
        if refused:
            raise InputError(refused)
        return found

    def finished(self, of: Seal, *, written: float) -> dict[str, Any] | None:
        """A whole result of this cell and its data, `record` and `rows`, if there is one.

        What lies there of something else is set aside, so that the cell can be trained.

        Parameters
        ----------
        of : dict
            The seal of the result that is asked for.
        written : float
            When the newest file of its data was written. The results of earlier versions have no seal: one counts if it
            is of this cell, and its training began after that.
        """
        return self.agreed(lambda: self._finished(of, written))

    def _finished(self, of: Seal, written: float) -> dict[str, Any] | None:
        result = self._result()
        if (self._folder / AFRESH).exists():
            self._begin_afresh(result)
            return None
        if result is not None and (other := _other(result, of, written)):
            why = f"there is a finished run of another {other}"
        elif other := self._other_checkpoint(of):
            why = f"there are checkpoints of another {other}"
        else:
            return result
        set_aside(self._folder, [RESULT, LEDGER, self._checkpoints.name], why=why)
        return None

    def _result(self) -> dict[str, Any] | None:
        path = self._folder / RESULT
        if not path.is_file():
            return None
        try:
            result = read_object(path)
            if result["record"]["cell"] and isinstance(result["rows"], list):
                return result
        except (InputError, KeyError, TypeError, ValueError):
            pass
        set_aside(self._folder, [RESULT], why="the result of a finished run cannot be read")
        return None

    def _begin_afresh(self, result: dict[str, Any] | None) -> None:
        """Set aside what was trained, and keep the attempts at it in the record."""
        attempts = Attempts(self._folder / LEDGER)
        if result and not attempts.table():
            attempts.earlier(result["record"].get("attempts", []))
        attempts.afresh()
        set_aside(self._folder, [RESULT, self._checkpoints.name], why="it is trained afresh, as was asked for")
        (self._folder / AFRESH).unlink(missing_ok=True)

    def _other_checkpoint(self, of: Seal) -> str:
        """Of what else the newest checkpoint is; empty without one, and if it is of this run."""
        newest = newest_sealed(self._checkpoints, Checkpoints(self._checkpoints).steps())
        return differing(newest.get("of", {}), of) if newest else ""

    def leave_result(self, record: dict[str, Any], rows: list[dict[str, Any]], *, of: Seal) -> None:
        """Keep the result, sealed, in another file than the declared outputs; without room for it these have to do.

        Raises
        ------
        TakenOver
            If another job has the lock now: the result is its to write.
        """
        self.check()
        try:
            write_json(self._folder / RESULT, {"at": time.time(), "of": of, "record": record, "rows": rows})
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
            newest = newest_sealed(self._checkpoints, Checkpoints(self._checkpoints).steps())
            self.attempts.settle(newest=newest["step"] if newest else 0, last_seen=self._lock.last_seen)
            try:
                self.attempts.refuse_after(self._max_attempts)
            except InputError as error:
                refused = str(error)
        if refused := self._of_first(refused):
            raise InputError(refused)
        self.attempts.begin(world=self._ranks.world, device=self._ranks.device.type)
        self._asked.told = self.attempts.asked

    def _wait(self) -> None:
        told = False
        while holder := self._of_first(self._lock.take() if self._lock else None):
            if not told and self._of_first(self.is_first and _leaves(holder)):
                log.warning("%s is being trained already by %s: this job leaves", self._folder, holder)
                sys.exit(INTERRUPTED)
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


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What two seals say differently of, in words; what one of them lacks, as those of earlier versions do, is equal.

    Examples
    --------
    >>> differing({"cell": 1, "training set": 2}, {"cell": 1, "training set": 3, "residues": 4})
    'training set'
    """
    return " and another ".join(name for name in sorted(before.keys() & now.keys()) if before[name] != now[name])


def _other(result: Mapping[str, Any], of: Seal, written: float) -> str:
    """Of what else a result is; empty if it is of this run."""
    if "of" in result:
        return differing(result["of"], of)
    if digest_of(result["record"]["cell"]) != of["cell"]:
        return "cell"
    starts = [each["start"] for each in result["record"].get("attempts", [])]
    began = datetime.fromisoformat(min(starts)).timestamp() if starts else result["at"]
    return "training set" if began < written else ""


def _leaves(holder: Holder) -> bool:
    """Whether this job is not to wait for the one that holds the lock: who submitted it sees that one in the queue."""
    mine, other = os.environ.get("SLURM_JOB_ID"), holder.slurm_job
    return os.environ.get(DUPLICATES) == "leave" and bool(mine and other and other != mine and runs(other, own=True))
