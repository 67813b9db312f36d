"""The state of every cell and trunk of a study, read from their files and from SLURM's queue."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError
from ..files import read_object
from ..plan.calibration import read_calibrations
from ..plan.job_hours import hours_of
from ..plan.plan import Records, chosen, whole_plan
from ..study.grid import grid
from ..study.jobs import TRUNKS, planned_tokens
from ..study.study import Study
from ..study.trunks import Trunk, trunk_of_each
from ..training.attempts import LEDGER, Attempts, attempts_of, device_seconds, failed, read_events
from ..training.checkpoints import METRICS_LOG
from ..training.lock import lock_files, seems_alive
from ..training.trunk_files import is_there, to_count, trunk_record, trunks_here
from .log_errors import error_in
from .rows import last_row, rows
from .slurm_queue import WAITING, NoSlurm, QueuedJob, by_comment, look, queued
from .time_left import left_of_rows, stepped

STATES = (
    "done",
    "diverged",
    "running",
    "starting",
    "queued",
    "waiting",
    "on a lost node",
    "controller away",
    "interrupted",
    "refused",
    "failed",
    "unreadable",
    "not begun",
)
"""From finished to not begun. `diverged` is finished too. `starting` runs for SLURM and has not begun to train.
`waiting` is a branch whose trunk is not there yet. `on a lost node` runs for SLURM, and its process gives no sign of
life. `controller away`: SLURM does not answer, so that nobody knows whether a job of the cell is queued. `interrupted`
goes on when Snakemake runs it again; `refused` does not (`execution.max_attempts`)."""


def cell_states(study: Study, counted: Mapping[str, int], *, results: Path) -> pd.DataFrame:
    """The grid with the state of every cell, and the trunks with theirs.

    Parameters
    ----------
    study : Study
    counted : mapping of str to int
        Exact tokens of the sets that exist already.
    results : Path

    Returns
    -------
    pandas.DataFrame
        One row per cell, then one per trunk, whose `schedule` is "wsd trunk" and whose `subset` is the set itself:
        `model`, `subset`, `schedule`, `seed`; `state`, one of `STATES`, and its `reason`; `loss` so far in nats,
        `percent` of the tokens that the job trains itself, `eta_hours`; `attempts`; `device_hours` spent, planned, and
        left by the speed of jobs of the same size (`plmscale.status.time_left`);
        `learning_rate`, `batch_tokens` and `weight_decay` where there are rules; `job` and `host` of who trains it.
    """
    found = trunks_here(study, results=results)
    records = _calibrations(study, results)
    schedule = chosen(study, planned_tokens(study, counted), records, shared=found)
    rows = whole_plan(study, counted, records, shared=found, found=schedule).to_dict("records")
    queue = _queue(results.absolute().parent)
    most = study.config.execution.max_attempts
    branches, counts = trunk_of_each(found), to_count(found, results=results)
    cells = {cell.path: row for cell, row in zip(grid(study), rows, strict=False)}
    trunk_rows = dict(zip(found, rows[len(cells) :], strict=True))
    of_trunks = {path: _trunk(trunk, trunk_rows[path], queue, most, results=results) for path, trunk in counts.items()}
    states = []
    for path, row in cells.items():
        state = _cell(path, row, queue, most, results=results)
        trunk = branches.get(path)
        there = of_trunks.get(trunk.path) if trunk else None
        if trunk and there and state["state"] == "not begun" and not is_there(trunk, results=results):
            state |= {"state": "waiting", "reason": f"for its trunk: {there['state']}, {there['percent']:.0f} %"}
        states.append(state)
    rows = [*states, *of_trunks.values()]
    table = pd.DataFrame(rows, dtype=object)  # objects: what is not known stays None
    hours = hours_of(schedule.allocations)
    starts = [hours[path].start for path in (*cells, *(f"{TRUNKS}{path}" for path in of_trunks))]
    table = table.assign(device_hours_left=left_of_rows(rows, starts=starts))
    return table.drop(columns=["trained", "stepped", "tokens_trained"], errors="ignore")


def _calibrations(study: Study, results: Path) -> Records:
    """Measured speeds; none where a file of them is damaged: the status is shown nevertheless."""
    try:
        return read_calibrations(study, results / "calibration")[0]
    except InputError:
        return {}


Queue = Mapping[str, QueuedJob] | None
"""SLURM's jobs by their comments; None if the controller does not answer."""


def _queue(workdir: Path) -> Queue:
    try:
        jobs = look(timeout=20)
    except NoSlurm:
        return {}
    return None if jobs is None else by_comment(jobs, workdir=workdir)


def _cell(path: str, row: Mapping[Hashable, Any], queue: Queue, most: int, *, results: Path) -> dict[str, Any]:
    run, before = results / "runs" / path, row["n_tokens"] - row["tokens_trained"]

    def look_at() -> dict[str, Any]:
        there = queued(queue or {}, "train", path)
        job = _Job(run, row["n_tokens"], there, most, away=queue is None, branch=before > 0)
        state = _state(job, record=_record(run / "run.json"))
        return _failed_early(state, run, results / "logs/train" / f"{path}.log")

    return _identity(row) | _readable(look_at) | _planned(row)


def _trunk(trunk: Trunk, row: Mapping[Hashable, Any], queue: Queue, most: int, *, results: Path) -> dict[str, Any]:
    """The row of a trunk; a trunk that was trained, but must be longer now, is not done."""
    folder = results / "trunks" / trunk.path

    def look_at() -> dict[str, Any]:
        record = trunk_record(trunk, results=results)
        done = record and is_there(trunk, results=results)
        earlier = record["attempts"] if record and not done else []
        there = queued(queue or {}, "trunk", trunk.path)
        job = _Job(folder, row["n_tokens"], there, most, away=queue is None, earlier=earlier)
        state = _state(job, record=record if done else None)
        if record and not done:
            here, until = record["until_passes"], trunk.until
            state["percent"] = max(state["percent"], 100 * here / until)
            state["reason"] = state["reason"] or f"trained to {here:.4g} of {until:.4g} passes"
        return _failed_early(state, folder, results / "logs/trunk" / f"{trunk.path}.log")

    return _identity(row) | _readable(look_at) | _planned(row)


def _readable(look_at: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The state of a cell; `unreadable` where a file of it is damaged, so that the others are still shown."""
    try:
        return look_at()
    except Exception as error:  # whatever a damaged file makes of its reader
        return NOTHING | {"state": "unreadable", "reason": f"{type(error).__name__}: {error}"[:300]}


def _identity(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("model", "subset", "schedule", "seed")}


def _planned(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    values = {key: row[key] for key in ("learning_rate", "batch_tokens", "weight_decay") if key in row}
    return {"planned_device_hours": row["device_hours"], "tokens_trained": row["tokens_trained"]} | values


def _failed_early(state: dict[str, Any], folder: Path, log: Path) -> dict[str, Any]:
    """The state, but failed where a job died before it could keep a record of an attempt."""
    begun = (folder / "cell.json").exists()  # not so where a cell was removed, and its log was left
    if (
        state["state"] in ("not begun", "controller away")
        and not state["attempts"]
        and begun
        and (error := error_in(log))
    ):
        return state | {"state": "failed", "reason": f"{error} (before training began)"}
    return state


@dataclass(frozen=True)
class _Job:
    """A cell or a trunk as it lies there.

    Attributes
    ----------
    folder : Path
    n_tokens : int
        Tokens that its run has seen at its end.
    queued : QueuedJob or None
    max_attempts : int
        See `execution.max_attempts`.
    away : bool
        Whether SLURM's controller does not answer.
    branch : bool
        Whether the run begins at a trunk.
    earlier : list of dict
        Attempts at the trunk that this one extends.
    """

    folder: Path
    n_tokens: int
    queued: QueuedJob | None
    max_attempts: int
    away: bool
    branch: bool = False
    earlier: Sequence[dict[str, Any]] = ()


NOTHING = {"reason": None, "loss": None, "percent": 0.0, "eta_hours": None, "job": None, "host": None}
NOTHING |= {"attempts": 0, "device_hours": 0.0}
"""The row of a cell of which nothing is known."""


def _state(job: _Job, *, record: dict[str, Any] | None) -> dict[str, Any]:
    attempts = attempts_of(read_events(job.folder / LEDGER))
    last = last_row(job.folder / METRICS_LOG)
    state: dict[str, Any] = dict(NOTHING)
    if last:
        state |= {"loss": last["loss"], "percent": _percent(job, attempts, last["n_tokens"])}
    if record:
        attempts = record.get("attempts", [])
        holdout = record.get("holdout") or {}
        state |= {"state": record["status"], "reason": record["reason"], "loss": holdout.get("loss"), "percent": 100.0}
        before = (record.get("branched_from") or {}).get("n_tokens", 0)
        state["trained"] = (record.get("n_tokens", job.n_tokens) - before) / max(1, job.n_tokens - before)
    else:
        state |= _going_on(job, attempts) or _by_attempts(job, attempts)
    attempts = [*job.earlier, *attempts]
    spent = device_seconds(attempts, now=time.time() if state["state"] == "running" else None)
    steps = {"stepped": stepped(spent / 3600, record)} if record else {}
    return state | steps | {"attempts": len(attempts), "device_hours": spent / 3600}


def _going_on(job: _Job, attempts: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The state of a cell that has a process or a job; None of others."""
    locks = lock_files(job.folder) if job.folder.is_dir() else []
    holder = locks[-1].holder if locks else None
    if locks and seems_alive(locks[-1]):
        who = {"job": holder.slurm_job, "host": holder.host} if holder else {}
        return {"state": "running", "eta_hours": _eta(job.folder, attempts, job.n_tokens)} | who
    there = job.queued
    if not there:
        return None
    if there.state in WAITING:
        return {"state": "queued", "reason": there.reason, "job": there.job}
    who = {"job": there.job, "host": there.nodes}
    if holder and holder.slurm_job == there.job:
        silent = (time.time() - locks[-1].touched) / 60
        return {"state": "on a lost node", "reason": f"{holder.host} has given no sign for {silent:.0f} min"} | who
    return {"state": "starting", "reason": f"{there.state.lower()} on {there.nodes}"} | who


def _by_attempts(job: _Job, attempts: list[dict[str, Any]]) -> dict[str, Any]:
    """The state of a cell that has neither a process nor a job."""
    try:
        Attempts(job.folder / LEDGER).refuse_after(job.max_attempts)
    except InputError as error:
        return {"state": "refused", "reason": str(error)}
    why = (attempts[-1]["reason"] or "killed") if attempts else ""
    if job.away and (job.folder / "cell.json").exists():
        return {"state": "controller away", "reason": f"SLURM does not answer{f'; last attempt: {why}' if why else ''}"}
    if attempts:
        return {"state": "failed" if failed(attempts[-1]) else "interrupted", "reason": why}
    return {"state": "not begun"}


def _percent(job: _Job, attempts: Sequence[dict[str, Any]], n_tokens: int) -> float:
    """Per cent of the tokens that a job trains itself; rows of a branch begin with those of its trunk."""
    start = 0
    if job.branch and attempts:
        moved = [each["from_step"] for each in attempts if each["to_step"] > each["from_step"]]
        first = min([*moved, attempts[-1]["from_step"]])
        seen = rows(job.folder / METRICS_LOG)
        start = max((row["n_tokens"] for row in seen if row["step"] <= first), default=0)
    return 100 * min(1.0, max(0.0, (n_tokens - start) / max(1, job.n_tokens - start)))


def _record(path: Path) -> dict[str, Any] | None:
    try:
        return read_object(path)
    except InputError:  # absent, or just being replaced
        if path.is_file() and path.stat().st_size:
            raise
        return None


def _eta(run: Path, attempts: list[dict[str, Any]], n_tokens: int) -> float | None:
    """Hours left at the speed of the running attempt, its start-up included; None before there is a speed."""
    seen = rows(run / METRICS_LOG)
    if not seen or not attempts:
        return None
    before = [row["n_tokens"] for row in seen if row["step"] <= attempts[-1]["from_step"]]
    trained = seen[-1]["n_tokens"] - (before[-1] if before else 0)
    hours = (time.time() - datetime.fromisoformat(attempts[-1]["start"]).timestamp()) / 3600
    return (n_tokens - seen[-1]["n_tokens"]) * hours / trained if trained else None
