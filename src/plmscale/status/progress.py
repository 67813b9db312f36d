"""A line that says how far the training of a study is, read from the files of its runs."""

import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..presentation.formats import duration
from ..study.jobs import TRUNKS, Workload
from ..study.trunks import Trunk
from ..training.checkpoints import METRICS_LOG
from ..training.lock import lock_files, seems_alive
from ..training.trunk_files import is_there, reached
from .rows import last_row


@dataclass(frozen=True)
class StudyProgress:
    """Cells of a study by state, and its trunks.

    Attributes
    ----------
    done, running, left : int
        Cells.
    share : float
        FLOPs done ÷ FLOPs of all jobs, those of trunks among them.
    trunks, trunks_done, trunks_running : int
    """

    done: int
    running: int
    left: int
    share: float
    trunks: int = 0
    trunks_done: int = 0
    trunks_running: int = 0


def state(work: Mapping[str, Workload], *, results: Path, trunks: Mapping[str, Trunk] | None = None) -> StudyProgress:
    """Read the state of a study.

    Parameters
    ----------
    work : mapping of str to Workload
        See `plmscale.study.jobs.workloads`.
    results : Path
    trunks : mapping of str to Trunk, optional
        Those of the study.
    """
    n_cells = sum(not path.startswith(TRUNKS) for path in work)
    spent, done, running = 0.0, {True: 0, False: 0}, {True: 0, False: 0}
    for path, planned in work.items():
        trunk = (trunks or {}).get(path.removeprefix(TRUNKS)) if path.startswith(TRUNKS) else None
        folder = results / path if trunk else results / "runs" / path
        if _trunk_done(trunk, results) if trunk else (folder / "run.json").is_file():
            share = 1.0
            done[trunk is not None] += 1
        else:
            share = _share(folder, planned) or (reached(trunk, results=results) / trunk.until if trunk else 0.0)
            running[trunk is not None] += _is_trained(folder)
        spent += planned.flops * share
    total = sum(planned.flops for planned in work.values())
    left, n_trunks = n_cells - done[False] - running[False], len(work) - n_cells
    return StudyProgress(done[False], running[False], left, spent / total, n_trunks, done[True], running[True])


def _trunk_done(trunk: Trunk, results: Path) -> bool:
    """Whether a trunk is as long as it is needed: without a branch that is to come it need not be there."""
    runs = (results / "runs" / cell.path / "run.json" for cell in trunk.branches)
    return is_there(trunk, results=results) or all(run.is_file() for run in runs)


def _share(folder: Path, planned: Workload) -> float:
    """Share of a job's tokens that it has trained by its last row of metrics."""
    row = last_row(folder / METRICS_LOG)
    own = planned.n_tokens - planned.before
    return min(1.0, max(0.0, (row["n_tokens"] - planned.before) / own)) if row else 0.0


def _is_trained(folder: Path) -> bool:
    """Whether a process trains there, as `plmscale status` says it."""
    locks = lock_files(folder) if folder.is_dir() else []
    return bool(locks) and seems_alive(locks[-1])


def line(now: StudyProgress, *, share_before: float, seconds: float) -> str:
    """The progress line after `seconds` in which the share went up from `share_before`.

    Examples
    --------
    >>> line(StudyProgress(done=8, running=2, left=30, share=0.4), share_before=0.1, seconds=90)
    'cells: 8 done, 2 running, 30 left; 40 % of the FLOPs; about 3 min left'
    >>> line(StudyProgress(0, 0, 4, 0.4, trunks=2, trunks_done=1, trunks_running=1), share_before=0.1, seconds=90)
    'cells: 0 done, 0 running, 4 left; trunks: 1 of 2 done, 1 running; 40 % of the FLOPs; about 3 min left'
    """
    text = f"cells: {now.done} done, {now.running} running, {now.left} left"
    if now.trunks:
        text += f"; trunks: {now.trunks_done} of {now.trunks} done, {now.trunks_running} running"
    text += f"; {100 * now.share:.0f} % of the FLOPs"
    gained = now.share - share_before
    if now.left + now.running == 0:
        return text
    if gained <= 0:
        return f"{text}; time left not known yet"
    return f"{text}; about {duration(seconds * (1 - now.share) / gained)} left"


def watch(
    work: Mapping[str, Workload], *, results: Path, trunks: Mapping[str, Trunk] | None = None, every: float = 10.0
) -> None:
    """Print the progress line to standard error every few seconds, as long as this process lives.

    On a terminal the line is rewritten in place; elsewhere a new line appears when something changed.
    """

    def loop() -> None:
        start, first = time.monotonic(), None
        printed = ""
        while True:
            now = state(work, results=results, trunks=trunks)
            if first is None and now.running + now.trunks_running:  # the data are no part of it
                start, first = time.monotonic(), now.share
            text = line(now, share_before=first if first is not None else 1.0, seconds=time.monotonic() - start)
            if text != printed:
                _show(text)
                printed = text
            if now.left + now.running == 0:
                return
            time.sleep(every)

    threading.Thread(target=loop, name="progress", daemon=True).start()


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print("\r" + text.ljust(shutil.get_terminal_size().columns - 1), end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)
