"""The attempts at a cell: who trained it from where to where, and why each ended.

Every event is appended to `attempts.jsonl` beside the checkpoints and forced to disk, so an attempt that SIGKILL ended
is recorded too: what it lacks is its end, and the next attempt infers that.
"""

import json
import logging
import os
import socket
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..clock import process_age
from ..errors import InputError

LEDGER = "attempts.jsonl"

RESULT = "finished.json"
"""Record and rows of metrics of the last run that ended: what the declared outputs can be written from again."""

KILLED = "killed"
"""Reason of an attempt that left no word: SIGKILL, a lost node, a machine that went down."""

Attempt = dict[str, Any]
"""`start`, `end` (UTC), `host`, `slurm_job`, `nodes`, `world`, `device`, `from_step`, `to_step` (from which the next
one goes on), `wall_seconds` (from the start of the process), `reason`."""

log = logging.getLogger(__name__)


class Attempts:
    """The attempts at one cell; its first rank keeps them.

    Parameters
    ----------
    path : Path or None
        Where events are appended; None keeps them in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._events = [] if path is None else read_events(path)

    def settle(self, *, newest: int, last_seen: float | None = None) -> None:
        """Close the attempt before, if it could not itself.

        Parameters
        ----------
        newest : int
            Step of the newest checkpoint: it may have been killed before it noted that.
        last_seen : float or None
            When it was last seen alive, in seconds since the epoch.
        """
        if self._events and self._events[-1]["event"] != "end":
            at = max(self._events[-1]["at"], last_seen or 0.0)
            if newest > self.table()[-1]["to_step"]:
                self._add("saved", step=newest)
            self._add("end", at=at, reason=KILLED, wall_seconds=at - self._last("start")["at"])

    def begin(self, *, world: int, device: str) -> None:
        """Open an attempt of so many ranks on a kind of device."""
        self._add(
            "start",
            at=time.time() - process_age(),
            host=socket.gethostname(),
            slurm_job=os.environ.get("SLURM_JOB_ID"),
            nodes=_n_nodes(),
            world=world,
            device=device,
        )

    def resumed(self, step: int) -> None:
        """The attempt goes on from a step."""
        self._add("resumed", step=step)

    def saved(self, step: int) -> None:
        """There is a checkpoint of a step."""
        self._add("saved", step=step)

    def end(self, reason: str, *, step: int | None = None) -> None:
        """Close the attempt; `step` is the last if it finished."""
        if step is not None:
            self._add("saved", step=step)
        self._add("end", reason=reason, wall_seconds=process_age())

    def table(self) -> list[Attempt]:
        """All attempts, the first one first."""
        return attempts_of(self._events)

    def forget(self) -> None:
        """Start anew: what there is belongs to a run that is over."""
        self._events = []
        if self._path:
            self._path.unlink(missing_ok=True)

    def refuse_after(self, limit: int) -> None:
        """Refuse to try again what keeps failing.

        Raises
        ------
        InputError
            If the last `limit` attempts brought no new checkpoint; the message has the reason of each.
        """
        tried = self.table()
        idle = 0
        while idle < len(tried) and tried[-1 - idle]["to_step"] <= tried[-1 - idle]["from_step"]:
            idle += 1
        if idle < limit:
            return
        reasons = "; ".join(f"{each['start']} on {each['host']}: {each['reason']}" for each in tried[-idle:])
        raise InputError(
            f"the last {idle} attempts at this cell brought no new checkpoint (execution.max_attempts is {limit}): "
            f"{reasons}. Mend the cause, delete {self._path}, and run again."
        )

    def _last(self, event: str) -> dict[str, Any]:
        return next(each for each in reversed(self._events) if each["event"] == event)

    def _add(self, event: str, **what: Any) -> None:
        row = {"event": event, "at": time.time()} | what
        self._events.append(row)
        if self._path:
            try:
                _append(self._path, row)
            except OSError as error:  # a full disk may cost the record of an attempt, not the attempt
                log.warning("%s: %s", self._path, error)


def _append(path: Path, row: dict[str, Any]) -> None:
    opened = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(opened).st_size
        cut_short = size and os.pread(opened, 1, size - 1) != b"\n"  # a kill, or a full disk, in the middle of a line
        os.write(opened, (b"\n" if cut_short else b"") + json.dumps(row).encode() + b"\n")
        os.fsync(opened)
    finally:
        os.close(opened)


def read_events(path: Path) -> list[dict[str, Any]]:
    """Events of a ledger; lines that a kill cut short are left out."""
    found = []
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and "event" in row and _are_numbers(row):
            found.append(row)
    return found


_LARGEST = 1e11
"""Beyond any time in seconds, and any step."""

_NUMBERS = {"start": ("world",), "resumed": ("step",), "saved": ("step",)}
"""By event its numbers besides the time."""


def _are_numbers(row: Mapping[str, Any]) -> bool:
    """Whether the numbers of an event are there and can be the ones of an attempt."""
    given = [row.get(key) for key in ("at", *_NUMBERS.get(str(row["event"]), ()))]
    if row["event"] == "end":
        given.append(row.get("wall_seconds") or 0)
        given.append(0 if "reason" in row else None)
    return all(isinstance(value, int | float) and 0 <= value < _LARGEST for value in given)


def attempts_of(events: Iterable[dict[str, Any]]) -> list[Attempt]:
    """The attempts that events tell of.

    Examples
    --------
    >>> events = [{"event": "start", "at": 0, "host": "n1", "slurm_job": "7", "nodes": 1, "world": 4, "device": "cuda"},
    ...     {"event": "resumed", "at": 9, "step": 100}, {"event": "saved", "at": 60, "step": 200}]
    >>> (attempt,) = attempts_of(events)
    >>> attempt["from_step"], attempt["to_step"], attempt["end"], attempt["reason"]
    (100, 200, None, None)
    """
    found: list[Attempt] = []
    for row in events:
        if row["event"] == "start":
            step = found[-1]["to_step"] if found else 0
            began = {k: row.get(k) for k in ("host", "slurm_job", "nodes", "world", "device")}
            steps = {"from_step": step, "to_step": step}
            ended = {"wall_seconds": None, "reason": None}
            found.append({"start": _utc(row["at"]), "end": None} | began | steps | ended)
        elif not found:
            continue
        elif row["event"] == "resumed":
            found[-1] |= {"from_step": row["step"], "to_step": row["step"]}
        elif row["event"] == "saved":
            found[-1]["to_step"] = row["step"]
        elif row["event"] == "end":
            found[-1] |= {"end": _utc(row["at"]), "wall_seconds": row["wall_seconds"], "reason": row["reason"]}
    return found


def device_seconds(attempts: Iterable[Attempt]) -> float:
    """Time that devices were held: ranks × seconds, over all attempts."""
    return sum(each["world"] * (each["wall_seconds"] or 0.0) for each in attempts)


def _n_nodes() -> int:
    """Nodes of this run: srun's step environment, else torchrun's, whose ranks of a node are a group."""
    env = os.environ
    return int(env.get("SLURM_STEP_NUM_NODES") or env.get("GROUP_WORLD_SIZE") or 1)


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
