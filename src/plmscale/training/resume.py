"""Writing the checkpoints of a run from all its ranks, and taking it up from the newest that is whole.

What may go wrong is expected to: a damaged checkpoint is named and the one before is taken, one that cannot be written
is removed and the training goes on. Every rank does the same, since each step is agreed upon before the next.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from ..errors import InputError
from .checkpoints import Checkpoints, Progress, as_lines, read_rows
from .engine import Engine, Ranks
from .manifest import (
    DamagedCheckpoint,
    Digest,
    check,
    digest,
    files_of,
    unseal,
)

ROWS = "rows.jsonl"
"""The rows of metrics in a checkpoint: a run needs nothing but its newest checkpoint to go on."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class CheckpointNotWritten(Exception):
    """Some rank could not do its part of writing a checkpoint."""


class NotFinite(Exception):
    """The weights are not numbers any more."""


def format_of(engine: str, *, zero_stage: int) -> str:
    """Name of the format in which an engine writes its state."""
    return engine if engine == "torch" else f"{engine}, ZeRO stage {zero_stage}"


class CheckpointManager:
    """Keeps a run: writes its checkpoints, and finds the one to go on from.

    Parameters
    ----------
    checkpoints : Checkpoints
    engine : Engine
    ranks : Ranks
    written_by : str
        Format of the state, see `format_of`.
    of : dict, optional
        What the run is a function of, as checksums: a checkpoint of something else is not gone on from.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        engine: Engine,
        *,
        ranks: Ranks,
        written_by: str,
        of: dict[str, Digest] | None = None,
    ) -> None:
        self._checkpoints, self._engine, self._ranks = checkpoints, engine, ranks
        self._written_by, self._of = written_by, of or {}
        self.last_step: int | None = None

    def take_up(self) -> tuple[Progress, list[dict[str, Any]]]:
        """Load the newest checkpoint that is whole; without any, the run starts from zero.

        Returns
        -------
        Progress
        list of dict
            Rows of metrics up to there.

        Raises
        ------
        InputError
            If all checkpoints are damaged: to start afresh is a cost that only the user may decide on. If the one to
            go on from was written by another engine, is of another cell or training set, or cannot be converted to
            this number of ranks.
        """
        steps = self._of_first(self._checkpoints.steps)
        discarded: list[dict[str, Any]] = []
        for step in steps:
            content, reason = self._read(step)
            if content is None:
                log.warning("checkpoint %s is discarded: %s", self._checkpoints.path(step), reason)
                self._checkpoints.discard(step)
                discarded.append({"step": step, "reason": reason})
                continue
            return self._go_on(step, content, discarded)
        if discarded:
            what = "; ".join(f"step{bad['step']}: {bad['reason']}" for bad in discarded)
            raise InputError(
                f"{self._checkpoints.folder}: no checkpoint is whole ({what}). Put a copy of one there, or delete the "
                "folder to train the cell from the start."
            )
        return Progress(), []

    def _read(self, step: int) -> tuple[dict[str, Any] | None, str]:
        """The manifest of a checkpoint whose files agree with it, each checked by one rank; else None and why."""
        folder = self._checkpoints.path(step)

        content, reason = None, ""
        try:
            content = unseal(folder)
            check(folder, content["files"], names=self._share(sorted(content["files"])))
        except (DamagedCheckpoint, OSError) as error:
            reason = str(error)
        reason = next((why for why in self._gather(reason) if why), "")
        return None if reason else content, reason

    def _go_on(
        self, step: int, content: dict[str, Any], discarded: list[dict[str, Any]]
    ) -> tuple[Progress, list[dict[str, Any]]]:
        folder = self._checkpoints.path(step)
        if content["written_by"] != self._written_by:
            raise InputError(
                f"{folder} was written by the engine {content['written_by']}, but this job's is {self._written_by}. "
                f"Run the cell with the former, or delete {self._checkpoints.folder} to train it from the start."
            )
        before = content.get("of", {})
        if changed := [name for name in sorted(before.keys() & self._of.keys()) if before[name] != self._of[name]]:
            raise InputError(
                f"{folder} is of another run: since it was written there is another {' and another '.join(changed)}. "
                f"Delete {self._checkpoints.folder} to train the cell from the start."
            )
        if content["world"] != self._ranks.world:
            log.info("%s was written by %d ranks, there are %d now", folder, content["world"], self._ranks.world)
        self._engine.load(folder, world=content["world"])
        progress = Progress.from_json(content["progress"])
        progress.resumed_at.append(progress.step)
        progress.discarded_checkpoints += discarded
        self.last_step = progress.step
        log.info("taken up from %s", folder)
        return progress, read_rows(folder / ROWS)

    def write(
        self, progress: Progress, *, rows: list[dict[str, Any]], wall_seconds: float, pinned: bool = False
    ) -> bool:
        """Write a checkpoint. Every rank calls this at the same step.

        Parameters
        ----------
        progress : Progress
        rows : list of dict
            Rows of metrics so far; of the first rank.
        wall_seconds : float
            What the checkpoint says of it.
        pinned : bool
            Whether it is kept whatever comes after it.

        Returns
        -------
        bool
            Whether it is there. If not, its remains are removed, `progress` has the reason, and the checkpoints before
            it stand.

        Raises
        ------
        NotFinite
            If weights are not finite: such a state is not worth going on from, and is not written.
        """
        started = time.perf_counter()
        if not all(self._gather(is_finite(self._engine.module))):
            raise NotFinite(f"weights were not finite after step {progress.step}")
        step, error = progress.step, None
        try:
            self._write(progress, rows, wall_seconds, pinned=pinned)
        except CheckpointNotWritten as failed:
            error = str(failed)
            log.warning("checkpoint of step %d could not be written (%s): training continues", step, error)
            progress.failed_checkpoints.append({"step": step, "reason": error})
            if self._first:
                self._checkpoints.abandon(step)
        else:
            self.last_step = step
            log.info("checkpoint of step %d written in %.1f s", step, time.perf_counter() - started)
        return error is None

    def _write(self, progress: Progress, rows: list[dict[str, Any]], wall_seconds: float, *, pinned: bool) -> None:
        step = progress.step
        partial = self._checkpoints.partial(step)
        self._together(lambda: self._checkpoints.begin(step) if self._first else None)
        self._together(lambda: self._engine.save(partial))
        self._together(lambda: (partial / ROWS).write_text(as_lines(rows)) if self._first else None)
        if pinned:
            self._together(lambda: (partial / Checkpoints.PIN).touch() if self._first else None)
        names = self._of_first(lambda: files_of(partial))
        # Each rank reads back what its share is, over the network where there is one: the sums are of what is stored.
        parts = self._together(lambda: {name: digest(partial / name, sync=True) for name in self._share(names)})
        files: dict[str, Digest] = {name: part for share in parts for name, part in share.items()}
        content = {
            "step": step,
            "world": self._ranks.world,
            "written_by": self._written_by,
            "of": self._of,
            "progress": asdict(progress) | {"wall_seconds": wall_seconds},
            "files": files,
        }
        self._together(lambda: self._checkpoints.finish(step, content) if self._first else None)

    @property
    def _first(self) -> bool:
        return self._ranks.rank == 0

    def _share(self, names: list[str]) -> list[str]:
        return names[self._ranks.rank :: self._ranks.world]

    def _gather(self, mine: T) -> list[T]:
        """What every rank has, by rank."""
        if self._ranks.world == 1:
            return [mine]
        every: list[Any] = [None] * self._ranks.world
        dist.all_gather_object(every, mine)
        return every

    def _of_first(self, work: Callable[[], T]) -> T:
        """What the first rank finds: others may see another state of a network file system."""
        return self._gather(work() if self._first else None)[0]  # type: ignore[return-value]  (the first rank's is a T)

    def _together(self, work: Callable[[], T]) -> list[T]:
        """Do the work on every rank, and go on only where all could; so none waits for one that failed."""
        result: T | None = None
        reason = None
        try:
            result = work()
        except (OSError, RuntimeError, InputError) as error:  # torch tells of failed writes by RuntimeError
            reason = f"{type(error).__name__}: {error}"
        every = self._gather((result, reason))
        if failures := [f"rank {rank}: {why}" for rank, (_, why) in enumerate(every) if why]:
            raise CheckpointNotWritten("; ".join(failures))
        return [each for each, _ in every]  # type: ignore[misc]  (none is None without a failure)


def is_finite(module: nn.Module) -> bool:
    """Whether all parameters are finite numbers."""
    with torch.no_grad():
        return bool(torch.stack([torch.isfinite(p).all() for p in module.parameters()]).all())
