"""Rows of metrics of a run in progress, read without the run's lock: a damaged line is left out."""

import json
import os
from pathlib import Path
from typing import Any

NEEDED = {"step", "n_tokens", "loss"}


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows that can be read; none where the file cannot."""
    try:
        return [row for line in path.read_bytes().split(b"\n")[:-1] if (row := _row(line))]
    except OSError:
        return []


def last_row(path: Path, *, tail: int = 4096) -> dict[str, Any] | None:
    """The last row that can be read, of the last `tail` bytes; None without one."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - tail))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return None
    return next((row for line in reversed(lines) if (row := _row(line))), None)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and row.keys() >= NEEDED else None
