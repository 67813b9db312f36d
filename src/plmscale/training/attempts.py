"""The attempts at a cell: who trained it from where to where, and why each ended.

Every event is appended to `attempts.jsonl` beside the checkpoints and forced to disk, so an attempt that SIGKILL ended
is recorded too: what it lacks is its end, and the next attempt infers that.
"""

import json
import logging
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..clock import process_age
from ..errors import InputError
from .interruption import REASONS

LEDGER = "attempts.jsonl"

RESULT = "finished.json"
"""Record and rows of metrics of the last run that ended: what the declared outputs can be written from again."""

KILLED = "killed"
"""Reason of an attempt that left no word: SIGKILL, a lost node, a machine that went down."""

FAILED = "error: "
"""How the reason of an attempt begins that failed by itself."""

NEEDED = {
    "start": {"host", "world"},
    "resumed": {"step"},
    "saved": {"step"},
    "asked": {"reason"},
    "end": {"reason", "wall_seconds"},
    "earlier": {"attempts"},
    "afresh": set[str](),
}
"""What the events of a ledger say besides their time."""

CLOSED = ("end", "earlier", "afresh")
"""Events after which no attempt is open."""

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
        if self._events and self._events[-1]["event"] not in CLOSED and self.table():
            at = max(self._events[-1]["at"], last_seen or 0.0)
            if newest > self.table()[-1]["to_step"]:
                self._add("saved", step=newest)
            began = self._place("start")
            if began is None:
                return
            asked = [each["reason"] for each in self._events[began:] if each["event"] == "asked"]
            reason = f"{asked[0]}; {KILLED} before it could leave" if asked else KILLED
            self._add("end", at=at, reason=reason, wall_seconds=at - self._events[began]["at"])

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
        """The attempt goes on from a step; 0 where it has no checkpoint."""
        self._add("resumed", step=step)

    def asked(self, reason: str) -> None:
        """The attempt was asked to stop, for a reason of `interruption.REASONS`."""
        self._add("asked", reason=reason)

    def earlier(self, attempts: Iterable[Attempt]) -> None:
        """Begin with the attempts of a record: a run that had finished is trained again."""
        self._add("earlier", attempts=list(attempts))

    def afresh(self) -> None:
        """What comes next begins at step 0, and what failed before does not count against it."""
        self._add("afresh")

    def saved(self, step: int) -> None:
        """There is a checkpoint of a step."""
        self._add("saved", step=step)

    def end(self, reason: str, *, step: int | None = None) -> None:
        """Close the attempt; `step` is the last if it finished."""
        if step is not None:
            self._add("saved", step=step)
        self._add("end", reason=reason, wall_seconds=process_age())

    def fail(self, error: BaseException) -> None:
        """Close the attempt for an error."""
        self.end(f"{FAILED}{error}"[:500])

    def table(self) -> list[Attempt]:
        """All attempts, the first one first."""
        return attempts_of(self._events)

    def forget(self) -> None:
        """Start anew: what there is belongs to a run that is over."""
        self._events = []
        if self._path:
            self._path.unlink(missing_ok=True)

    def refuse_after(self, limit: int) -> None:
        """Refuse to try again what keeps failing by itself: preemptions and walltimes are no failures.

        Raises
        ------
        InputError
            If the last `limit` attempts that nobody asked to stop brought no new checkpoint; the message has the reason
            of each.
        """
        idle: list[Attempt] = []
        for each in reversed(attempts_of(self._events[(self._place("afresh") or 0) :])):
            if each["to_step"] > each["from_step"]:
                break
            if not interrupted(each):
                idle.insert(0, each)
        if len(idle) < limit:
            return
        reasons = "; ".join(f"{each['start']} on {each['host']}: {each['reason']}" for each in idle)
        raise InputError(
            f"the last {len(idle)} attempts at this cell brought no new checkpoint (execution.max_attempts is {limit})"
            f": {reasons}. Mend the cause, delete {self._path}, and run again."
        )

    def _place(self, event: str) -> int | None:
        """Where the last event of a kind is."""
        found = (place for place in reversed(range(len(self._events))) if self._events[place]["event"] == event)
        return next(found, None)

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
    """Events of a ledger; lines that a kill cut short, or a bad disk made something else, are left out."""
    found = []
    for line in path.read_bytes().split(b"\n") if path.is_file() else []:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # UnicodeDecodeError is one
            continue
        if isinstance(row, dict) and _is_event(row):
            found.append(row)
    return found


_LARGEST = 1e11
"""Beyond any time in seconds, and any step."""

_NUMBERS = {"start": ("world",), "resumed": ("step",), "saved": ("step",)}
"""By event its numbers besides the time."""


def _is_event(row: Mapping[str, Any]) -> bool:
    """Whether an event has what it needs, and its numbers can be the ones of an attempt."""
    name = row.get("event")
    if not isinstance(name, str) or not {"at"} | NEEDED.get(name, {"unknown"}) <= row.keys():
        return False
    given = [row[key] for key in ("at", *_NUMBERS.get(name, ()))]
    if name == "end":
        given.append(row["wall_seconds"] or 0)
    listed = name != "earlier" or isinstance(row["attempts"], list)
    return listed and all(isinstance(value, int | float) and 0 <= value < _LARGEST for value in given)


def interrupted(attempt: Attempt) -> bool:
    """Whether an attempt ended because it was asked to, by a scheduler or a person."""
    return (attempt["reason"] or "").startswith(tuple(REASONS.values()))


def failed(attempt: Attempt) -> bool:
    """Whether an attempt ended by an error of its own."""
    return (attempt["reason"] or "").startswith(FAILED)


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
    step = 0
    for row in events:
        if row["event"] == "start":
            began = {k: row.get(k) for k in ("host", "slurm_job", "nodes", "world", "device")}
            steps = {"from_step": step, "to_step": step}
            ended = {"wall_seconds": None, "reason": None}
            found.append({"start": _utc(row["at"]), "end": None} | began | steps | ended)
        elif row["event"] == "earlier":
            found += row["attempts"]
        elif row["event"] == "afresh":
            step = 0
        elif not found:
            continue
        elif row["event"] == "resumed":
            found[-1] |= {"from_step": row["step"], "to_step": row["step"]}
            step = row["step"]
        elif row["event"] == "saved":
            found[-1]["to_step"] = step = row["step"]
        elif row["event"] == "end":
            found[-1] |= {"end": _utc(row["at"]), "wall_seconds": row["wall_seconds"], "reason": row["reason"]}
    return found


def device_seconds(attempts: Sequence[Attempt], *, now: float | None = None) -> float:
    """Time that devices were held: ranks × seconds, over all attempts; `now`, if the last one goes on."""
    seconds = sum(each["world"] * (each["wall_seconds"] or 0.0) for each in attempts)
    if now is not None and attempts and attempts[-1]["end"] is None:
        seconds += attempts[-1]["world"] * (now - datetime.fromisoformat(attempts[-1]["start"]).timestamp())
    return seconds


def _n_nodes() -> int:
    """Nodes of this run: srun's step environment, else torchrun's, whose ranks of a node are a group."""
    env = os.environ
    return int(env.get("SLURM_STEP_NUM_NODES") or env.get("GROUP_WORLD_SIZE") or 1)


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
