"""What the end of a SLURM job means for the cell that it trained: done, to be continued, or failed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..training.attempts import LEDGER, RESULT, attempts_of, interrupted, read_events
from ..training.lock import lock_files
from .slurm_queue import QueuedJob

NOT_ITS_OWN = frozenset({"PREEMPTED", "NODE_FAIL", "BOOT_FAIL"})
"""Ends of jobs that are no fault of theirs."""


@dataclass(frozen=True)
class Since:
    """What came of a cell after a moment.

    Attributes
    ----------
    finished : bool
        It has left its result.
    progressed : bool
        An attempt has brought a checkpoint.
    stopped : bool
        The last attempt was asked to stop.
    """

    finished: bool
    progressed: bool
    stopped: bool

    def goes_on(self, state: str) -> bool:
        """Whether another job is to go on at once, and the end of this one is no failure."""
        return self.finished or self.progressed or state in NOT_ITS_OWN


def since(folder: Path, moment: float) -> Since:
    """What came of the cell of a folder after a moment, in seconds since the epoch."""
    result = folder / RESULT
    events = read_events(folder / LEDGER)
    first = next((n for n, row in enumerate(events) if row["event"] == "start" and row["at"] >= moment), len(events))
    attempts = attempts_of(events[first:])
    return Since(
        finished=result.is_file() and result.stat().st_mtime >= moment,
        progressed=any(each["to_step"] > each["from_step"] for each in attempts),
        stopped=bool(attempts) and interrupted(attempts[-1]),
    )


def trained_by(folder: Path, jobs: Iterable[QueuedJob]) -> QueuedJob | None:
    """The running SLURM job that holds the lock of a cell; None if nobody does, or somebody outside SLURM."""
    holders = [each.holder.slurm_job for each in lock_files(folder) if each.holder] if folder.is_dir() else []
    running = {job.job: job for job in jobs if job.active}
    return running.get(holders[-1] or "") if holders else None
