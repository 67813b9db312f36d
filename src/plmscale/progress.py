"""A line that says how far the training of a study is, read from the files of its runs."""

import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .checkpoints import read_last_row
from .plan import Workload

RUNNING_WITHIN = 300.0
"""Seconds since its last row of metrics within which an unfinished run counts as running."""


@dataclass(frozen=True)
class State:
    """Cells of a study by state.

    Attributes
    ----------
    done, running, left : int
    share : float
        FLOPs done ÷ FLOPs of all cells.
    """

    done: int
    running: int
    left: int
    share: float


def state(cells: Mapping[str, Workload], *, folder: Path) -> State:
    """Read the state of cells.

    Parameters
    ----------
    cells : mapping of str to Workload
        By `Cell.path`.
    folder : Path
        Folder of the runs.
    """
    done = running = 0
    spent = 0.0
    for path, planned in cells.items():
        if (folder / path / "run.json").is_file():
            done += 1
            spent += planned.flops
            continue
        growing = folder / path / "metrics.jsonl"
        if growing.is_file():
            running += time.time() - growing.stat().st_mtime < RUNNING_WITHIN
            row = read_last_row(growing)
            spent += planned.flops * min(1.0, row["n_tokens"] / planned.n_tokens) if row else 0.0
    return State(done, running, len(cells) - done - running, spent / sum(w.flops for w in cells.values()))


def line(now: State, *, share_before: float, seconds: float) -> str:
    """The progress line after `seconds` in which the share went up from `share_before`.

    Examples
    --------
    >>> line(State(done=8, running=2, left=30, share=0.4), share_before=0.1, seconds=90)
    'cells: 8 done, 2 running, 30 left; 40 % of the FLOPs; about 3 min left'
    """
    text = f"cells: {now.done} done, {now.running} running, {now.left} left; {100 * now.share:.0f} % of the FLOPs"
    gained = now.share - share_before
    if now.left + now.running == 0:
        return text
    if gained <= 0:
        return f"{text}; time left not known yet"
    return f"{text}; about {duration(seconds * (1 - now.share) / gained)} left"


def duration(seconds: float) -> str:
    """Seconds in words: 40 s, 3 min, 1.5 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def watch(cells: Mapping[str, Workload], *, folder: Path, every: float = 10.0) -> None:
    """Print the progress line to standard error every few seconds, as long as this process lives.

    On a terminal the line is rewritten in place; elsewhere a new line appears when something changed.
    """

    def loop() -> None:
        start, first = time.monotonic(), None
        printed = ""
        while True:
            now = state(cells, folder=folder)
            if first is None and now.running:  # the clock starts with the training, not with the data
                start, first = time.monotonic(), now.share
            text = line(now, share_before=first if first is not None else 1.0, seconds=time.monotonic() - start)
            if text != printed:
                _show(text)
                printed = text
            if now.done == len(cells):
                return
            time.sleep(every)

    threading.Thread(target=loop, name="progress", daemon=True).start()


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print("\r" + text.ljust(shutil.get_terminal_size().columns - 1), end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)
