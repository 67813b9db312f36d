"""Checkpoints and the growing metrics file of a run: undeclared files that outlive an interrupted job."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .files import atomic

STATE = "progress.json"
"""Written last into a checkpoint: a folder without it is not a checkpoint."""


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
    """

    step: int = 0
    n_tokens: int = 0
    squared_lengths: int = 0
    summed: float = 0.0
    n_predicted: int = 0
    seconds: float = 0.0
    wall_seconds: float = 0.0
    resumed_at: list[int] = field(default_factory=list)


class Checkpoints:
    """The checkpoints of one run, in `folder/step{step}/`, the newest two of them.

    Parameters
    ----------
    folder : Path
    """

    KEPT = 2

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def found(self) -> list[tuple[Path, dict[str, Any]]]:
        """Complete checkpoints and their progress, newest first."""
        complete = []
        for state in self.folder.glob(f"step*/{STATE}"):
            complete.append((state.parent, json.loads(state.read_text())))
        return sorted(complete, key=lambda c: c[1]["step"], reverse=True)

    def begin(self, step: int) -> Path:
        """The folder into which a checkpoint is to be written; what an interrupted one left there is removed."""
        partial = self.folder / f"partial-step{step}"
        shutil.rmtree(partial, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        return partial

    def finish(self, partial: Path, progress: dict[str, Any]) -> None:
        """Declare a checkpoint complete, and remove the ones before the last two."""
        for path in partial.rglob("*"):
            if path.is_file():
                with path.open("rb") as written:
                    os.fsync(written.fileno())
        with atomic(partial / STATE) as state:
            state.write_text(json.dumps(progress))
        final = self.folder / f"step{progress['step']}"
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for old, _ in self.found()[self.KEPT :]:
            shutil.rmtree(old)

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)


class MetricsLog:
    """Rows of metrics as JSON lines, cut back to the checkpoint when a run is taken up again.

    Parameters
    ----------
    path : Path
    last_step : int
        Rows after this step are dropped: they will be computed again.
    """

    def __init__(self, path: Path, *, last_step: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = [row for row in read_rows(path) if row["step"] <= last_step]
        with atomic(path) as partial:
            partial.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        self._file = path.open("a")

    def append(self, row: dict[str, Any]) -> None:
        """Add a row; it is on disk when this returns control to the operating system's cache."""
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Force the rows to disk: called before a checkpoint that counts on them."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Whole rows of a growing metrics file: a last line that a kill cut short is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text().splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        rows.append(json.loads(line))
    return rows


def read_last_row(path: Path, *, tail: int = 4096) -> dict[str, Any] | None:
    """Last whole row of a growing metrics file, read from its last `tail` bytes."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - tail))
        lines = file.read().split(b"\n")
    return json.loads(lines[-2]) if len(lines) >= 2 and lines[-2] else None
