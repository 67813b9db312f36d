"""A line that says how far the training of a study is, read from the files of its runs."""

import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..files import read_object
from ..plan.job_hours import JobHours
from ..presentation.formats import duration
from ..study.jobs import TRUNKS, Workload
from ..study.trunks import Trunk
from ..training.attempts import LEDGER, attempts_of, device_seconds, read_events
from ..training.checkpoints import METRICS_LOG
from ..training.lock import lock_files, seems_alive
from ..training.trunk_files import RECORD, is_there, reached
from .rows import last_row
from .time_left import Work, costs, left, stepped


class Counts(NamedTuple):
    """Jobs by state."""

    done: int
    running: int
    left: int


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is.

    Attributes
    ----------
    jobs : mapping of str to Work
        Cells and trunks by their paths.
    share : float
        FLOPs done ÷ FLOPs of all jobs, those of trunks among them.
    """

    jobs: Mapping[str, Work]
    share: float

    @property
    def cells(self) -> Counts:
        """Cells by state."""
        return self._counts(of_trunks=False)

    @property
    def trunks(self) -> Counts:
        """Trunks by state."""
        return self._counts(of_trunks=True)

    def _counts(self, *, of_trunks: bool) -> Counts:
        own = [job for path, job in self.jobs.items() if path.startswith(TRUNKS) == of_trunks]
        done, running = sum(job.done for job in own), sum(job.running for job in own)
        return Counts(done, running, len(own) - done - running)


def state(
    work: Mapping[str, Workload],
    *,
    results: Path,
    trunks: Mapping[str, Trunk] | None = None,
    hours: Mapping[str, JobHours] | None = None,
    before: StudyProgress | None = None,
) -> StudyProgress:
    """Read the state of a study.

    Parameters
    ----------
    work : mapping of str to Workload
        See `plmscale.study.jobs.workloads`.
    results : Path
    trunks : mapping of str to Trunk, optional
        Those of the study.
    hours : mapping of str to JobHours, optional
        Of every job by the plan.
    before : StudyProgress, optional
        An earlier state: records of jobs that were finished then are not read again.
    """
    jobs: dict[str, Work] = {}
    for path, planned in work.items():
        trunk = (trunks or {}).get(path.removeprefix(TRUNKS)) if path.startswith(TRUNKS) else None
        folder = results / path if trunk else results / "runs" / path
        cost = (hours or {}).get(path) or JobHours(planned.flops)
        own = planned.n_tokens - planned.before
        job = Work(path.removeprefix(TRUNKS).partition("/")[0], cost.whole, start=cost.start, tokens=own)
        if _trunk_done(trunk, results) if trunk else (folder / "run.json").is_file():
            known = before.jobs[path] if before else job
            jobs[path] = known if known.done else _finished(job, folder / (RECORD if trunk else "run.json"), planned)
        else:
            share = _share(folder, planned) or (reached(trunk, results=results) / trunk.until if trunk else 0.0)
            jobs[path] = _unfinished(replace(job, share=share), folder)
    spent = sum(work[path].flops * job.gone for path, job in jobs.items())
    return StudyProgress(jobs, spent / sum(planned.flops for planned in work.values()))


def _finished(job: Work, path: Path, planned: Workload) -> Work:
    """A finished job, with what its record says."""
    try:
        record = read_object(path)
        before = (record.get("branched_from") or {}).get("n_tokens", 0)
        share = (record["n_tokens"] - before) / (planned.n_tokens - planned.before)
        taken = record["device_seconds"] / 3600
        return replace(job, share=share, taken=taken, done=True, stepped=stepped(taken, record))
    except (InputError, LookupError, TypeError):  # none, damaged, or of a version that did not record it
        return replace(job, share=1.0, done=True)


def _unfinished(job: Work, folder: Path) -> Work:
    """A job, with the device-hours that it has held if it trains, as `plmscale status` says it."""
    locks = lock_files(folder) if folder.is_dir() else []
    if not (locks and seems_alive(locks[-1])):
        return job
    hours = device_seconds(attempts_of(read_events(folder / LEDGER)), now=time.time()) / 3600
    return replace(job, taken=hours, running=True)


def _trunk_done(trunk: Trunk, results: Path) -> bool:
    """Whether a trunk is as long as it is needed: without a branch that is to come it need not be there."""
    runs = (results / "runs" / cell.path / "run.json" for cell in trunk.branches)
    return is_there(trunk, results=results) or all(run.is_file() for run in runs)


def _share(folder: Path, planned: Workload) -> float:
    """Share of a job's tokens that it has trained by its last row of metrics."""
    row = last_row(folder / METRICS_LOG)
    own = planned.n_tokens - planned.before
    return min(1.0, max(0.0, (row["n_tokens"] - planned.before) / own)) if row else 0.0


def line(now: StudyProgress, *, before: StudyProgress | None, seconds: float) -> str:
    """The progress line, `seconds` after `before`; without it the time left is not known.

    What is left takes as long as what was worked off since, cost for cost: in device-hours as jobs of the same size
    took them (`plmscale.status.time_left.costs`), not in FLOPs.

    Examples
    --------
    >>> first = StudyProgress({"5M/a": Work("5M", 1.0, running=True), "9M/a": Work("9M", 3.0)}, 0.0)
    >>> jobs = {"5M/a": Work("5M", 1.0, share=1.0, done=True), "9M/a": Work("9M", 3.0)}
    >>> line(StudyProgress(jobs, 0.1), before=first, seconds=60)
    'cells: 1 done, 0 running, 1 left; 10 % of the FLOPs; about 3 min left'
    """
    cells, trunks = now.cells, now.trunks
    text = f"cells: {cells.done} done, {cells.running} running, {cells.left} left"
    if sum(trunks):
        text += f"; trunks: {trunks.done} of {sum(trunks)} done, {trunks.running} running"
    text += f"; {100 * now.share:.0f} % of the FLOPs"
    if cells.left + cells.running == 0:
        return text
    every = list(now.jobs.values())
    each = zip(now.jobs.items(), costs(every), strict=True)
    gained = sum(cost * (job.gone - before.jobs[path].gone) for (path, job), cost in each) if before else 0.0
    if gained <= 0:
        return f"{text}; time left not known yet"
    return f"{text}; about {duration(seconds * sum(left(every)) / gained)} left"


def watch(
    work: Mapping[str, Workload],
    *,
    results: Path,
    trunks: Mapping[str, Trunk] | None = None,
    hours: Mapping[str, JobHours] | None = None,
    every: float = 10.0,
) -> None:
    """Print the progress line to standard error every few seconds, as long as this process lives.

    On a terminal the line is rewritten in place; elsewhere a new line appears when something changed. Parameters as of
    `state`.
    """

    def loop() -> None:
        start, first = time.monotonic(), None
        now, printed = None, ""
        while True:
            now = state(work, results=results, trunks=trunks, hours=hours, before=now)
            if first is None and now.cells.running + now.trunks.running:  # the data are no part of it
                start, first = time.monotonic(), now
            text = line(now, before=first, seconds=time.monotonic() - start)
            if text != printed:
                _show(text)
                printed = text
            if now.cells.left + now.cells.running == 0:
                return
            time.sleep(every)

    threading.Thread(target=loop, name="progress", daemon=True).start()


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print("\r" + text.ljust(shutil.get_terminal_size().columns - 1), end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)
