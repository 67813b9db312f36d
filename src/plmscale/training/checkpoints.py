"""Checkpoints and the growing metrics file of a run: undeclared files that outlive an interrupted job."""

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import atomic, read_as, sync_folder
from .health import HealthState
from .manifest import MANIFEST, seal

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """Where a run stands; what a checkpoint holds besides weights and moments.

    Attributes
    ----------
    step, n_tokens, squared_lengths : int
        Done so far.
    summed, n_predicted : float, int
        Loss summed over, and number of, predicted positions since the last row of metrics.
    seconds : float
        Time spent in training steps, over all attempts.
    wall_seconds : float
        Time of all attempts up to their last checkpoint, from the start of the process.
    resumed_at : list of int
        Steps from which the run was taken up again.
    discarded_checkpoints, failed_checkpoints : list of dict
        `step` and `reason` of checkpoints that were found damaged, and of those that could not be written.
    health : HealthState
    branched_from : dict or None
        Of a branch: `step`, `n_tokens` and `squared_lengths` at which it left its trunk. `seconds`, `wall_seconds` and
        the lists are its own, all other sums those of the whole run.
    """

    step: int = 0
    n_tokens: int = 0
    squared_lengths: int = 0
    summed: float = 0.0
    n_predicted: int = 0
    seconds: float = 0.0
    wall_seconds: float = 0.0
    resumed_at: list[int] = field(default_factory=list)
    discarded_checkpoints: list[dict[str, Any]] = field(default_factory=list)
    failed_checkpoints: list[dict[str, Any]] = field(default_factory=list)
    health: HealthState = field(default_factory=HealthState)
    branched_from: dict[str, Any] | None = None

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Progress":
        """The progress that a manifest holds.

        Raises
        ------
        InputError
            If it is not one.
        """
        with read_as("the progress of a run", where=MANIFEST):
            progress = cls(**saved)
            progress.health = HealthState(**saved["health"])
            for name in ("step", "n_tokens", "squared_lengths", "summed", "n_predicted", "seconds", "wall_seconds"):
                float(getattr(progress, name))
            return progress


class Checkpoints:
    """The checkpoints of one run, in `folder/step{step}/`: the newest two, and those that are pinned.

    A folder of that name was whole when it got it: it is written as `partial-step{step}/`, forced to disk, sealed
    by its manifest and renamed. What is being removed is renamed back first, so that a kill leaves no half of it.

    Parameters
    ----------
    folder : Path
    """

    KEPT = 2
    PIN = "pinned"
    """An empty file in a checkpoint that is kept whatever comes after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unusable: set[str] = set()

    def steps(self) -> list[int]:
        """Steps of the checkpoints there are, newest first; whether they are still whole is not looked at."""
        names = (path.name.removeprefix("step") for path in self.folder.glob("step*") if path.is_dir())
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def path(self, step: int) -> Path:
        """The folder of the checkpoint of a step."""
        return self.folder / f"step{step}"

    def partial(self, step: int) -> Path:
        """The folder in which the checkpoint of a step is written."""
        return self.folder / f"partial-step{step}"

    def pinned(self, step: int) -> bool:
        """Whether the checkpoint of a step is kept whatever comes after it."""
        return (self.path(step) / self.PIN).is_file()

    def discard(self, step: int) -> None:
        """Do not count a damaged checkpoint; it is left as evidence until there is a newer one that is whole."""
        self._unusable.add(self.path(step).name)

    def begin(self, step: int) -> None:
        """Remove what interrupted attempts left, and make the folder into which a checkpoint is to be written."""
        for partial in self.folder.glob("partial-*"):
            shutil.rmtree(partial)
        self.partial(step).mkdir(parents=True)

    def finish(self, step: int, content: dict[str, Any]) -> None:
        """Declare a checkpoint complete, and remove damaged ones and, but for the pinned, those before the last two.

        Parameters
        ----------
        step : int
        content : dict
            What its manifest says.
        """
        partial, final = self.partial(step), self.path(step)
        with atomic(partial / MANIFEST) as manifest:
            manifest.write_text(seal(content))
        for inner in [*(path for path in partial.rglob("*") if path.is_dir()), partial]:
            sync_folder(inner)
        if final.exists():  # damaged, or this run would not be here again
            self._remove(final)
        partial.rename(final)
        sync_folder(self.folder)
        self._unusable.discard(final.name)
        self.keep(self.KEPT)

    def abandon(self, step: int) -> None:
        """Remove a checkpoint that could not be written."""
        shutil.rmtree(self.partial(step), ignore_errors=True)

    def keep(self, n: int) -> None:
        """Remove all but the pinned and the newest `n` of the others, and the damaged ones."""
        whole = [step for step in self.steps() if self.path(step).name not in self._unusable]
        pinned = {step for step in whole if self.pinned(step)}
        for step in set(self.steps()) - set([step for step in whole if step not in pinned][:n]) - pinned:
            self._remove(self.path(step))

    def _remove(self, folder: Path) -> None:
        leaving = folder.with_name(f"partial-removed-{folder.name}")
        if leaving.exists():
            shutil.rmtree(leaving)
        folder.rename(leaving)
        shutil.rmtree(leaving)

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)


METRICS_LOG = "metrics.jsonl"
"""The growing file beside the metrics that are written at the end."""


class MetricsLog:
    """Rows of metrics as JSON lines, for whoever follows the run.

    Checkpoints carry their own rows, so nothing is lost with this file. On a full disk rows stay in memory and are
    written when there is room; what is on disk is whole rows at any time.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        The rows that the run starts from; whatever else the file held will be computed again.
    """

    def __init__(self, path: Path, *, rows: Sequence[dict[str, Any]] = ()) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = list(rows)
        with atomic(path) as partial:
            partial.write_text(as_lines(self.rows))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._size = path.stat().st_size
        self._pending = b""
        self._warned = False

    def append(self, row: dict[str, Any]) -> None:
        """Add a row; unless the disk is full it is in the operating system's hands when this returns."""
        self.rows.append(row)
        self._pending += as_lines([row]).encode()
        try:
            self._write()
        except OSError as error:
            os.ftruncate(self._file, self._size)
            if not self._warned:
                log.warning("rows of metrics wait in memory: %s", error)
            self._warned = True

    def _write(self) -> None:
        written = 0
        while written < len(self._pending):  # a write that meets a full disk may be short before one fails
            written += os.write(self._file, self._pending[written:])
        self._size += written
        self._pending = b""
        self._warned = False

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def as_lines(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as JSON lines; numbers come back bit for bit (the shortest text that does, IEEE 754 double)."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Whole rows of a growing metrics file: a last line that a kill cut short is left out."""
    if not path.is_file():
        return []
    rows = []
    with read_as("a file of metrics", where=path):
        for line in path.read_text().splitlines(keepends=True):
            if not line.endswith("\n"):
                break
            rows.append(dict(json.loads(line)))
    return rows


def read_last_row(path: Path, *, tail: int = 4096) -> dict[str, Any] | None:
    """Last whole row of a growing metrics file, read from its last `tail` bytes."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - tail))
        lines = file.read().split(b"\n")
    with read_as("a file of metrics", where=path):
        return dict(json.loads(lines[-2])) if len(lines) >= 2 and lines[-2] else None
