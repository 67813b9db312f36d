"""The state of every cell and trunk of a study, read from their files and from SLURM's queue."""

import os
import re
import subprocess
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from ..clock import start_ticks
from ..errors import InputError
from ..files import read_object
from ..plan.plan import whole_plan
from ..study.grid import grid
from ..study.study import Study
from ..study.trunks import Trunk, trunk_of_each
from ..training.attempts import LEDGER, attempts_of, device_seconds, read_events
from ..training.checkpoints import read_last_row, read_rows
from ..training.lock import SILENT, Holder, LockFile, lock_files
from ..training.trunk_files import is_there, to_count, trunk_record, trunks_here

STATES = ("done", "diverged", "running", "queued", "waiting", "interrupted", "failed", "not begun")
"""From finished to not begun. `diverged` is finished too; `waiting` is a branch whose trunk is not there yet;
`interrupted` goes on when Snakemake runs it again."""

ERROR = re.compile(r"(error|srun: error|slurmstepd: error|([a-z_]+\.)*[A-Z]\w*(Error|Exception|Interrupt))\b", re.ASCII)
"""How lines begin that name what ended a job: our own, SLURM's, and the last line of a Python traceback."""


@dataclass(frozen=True)
class QueuedJob:
    """A job of SLURM's queue: its number, its state, and why it waits."""

    job: str
    state: str
    reason: str


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
        `percent` of the tokens that the job trains itself, `eta_hours`; `attempts`; `device_hours` spent, and planned;
        `job` and `host` of who trains it.
    """
    found = trunks_here(study, results=results)
    rows = whole_plan(study, counted, {}, shared=found).to_dict("records")
    queue = slurm_queue(results.absolute().parent)
    branches, counts = trunk_of_each(found), to_count(found, results=results)
    cells = {cell.path: row for cell, row in zip(grid(study), rows, strict=False)}
    trunk_rows = dict(zip(found, rows[len(cells) :], strict=True))
    of_trunks = {path: _trunk(trunk, trunk_rows[path], queue, results=results) for path, trunk in counts.items()}
    states = []
    for path, row in cells.items():
        state = _cell(path, row, queue, results=results)
        trunk = branches.get(path)
        there = of_trunks.get(trunk.path) if trunk else None
        if trunk and there and state["state"] == "not begun" and not is_there(trunk, results=results):
            state |= {"state": "waiting", "reason": f"for its trunk: {there['state']}, {there['percent']:.0f} %"}
        states.append(state)
    return pd.DataFrame([*states, *of_trunks.values()], dtype=object)  # objects: what is not known stays None


def _cell(path: str, row: Mapping[Hashable, Any], queue: Mapping[str, QueuedJob], *, results: Path) -> dict[str, Any]:
    run, before = results / "runs" / path, row["n_tokens"] - row["tokens_trained"]
    job = _Job(run, row["n_tokens"], _queued(queue, "train", path), branch=before > 0)
    state = _state(job, record=_record(run / "run.json"))
    return _identity(row) | _failed_early(state, run, results / "logs/train" / f"{path}.log") | _planned(row)


def _trunk(
    trunk: Trunk, row: Mapping[Hashable, Any], queue: Mapping[str, QueuedJob], *, results: Path
) -> dict[str, Any]:
    """The row of a trunk; one that was trained, and is to be longer now, is not done."""
    folder, record = results / "trunks" / trunk.path, trunk_record(trunk, results=results)
    done = record and is_there(trunk, results=results)
    earlier = record["attempts"] if record and not done else []
    job = _Job(folder, row["n_tokens"], _queued(queue, "trunk", trunk.path), earlier=earlier)
    state = _state(job, record=record if done else None)
    if record and not done:
        here, until = record["until_passes"], trunk.until
        state["percent"] = max(state["percent"], 100 * here / until)
        state["reason"] = state["reason"] or f"trained to {here:.4g} of {until:.4g} passes"
    return _identity(row) | _failed_early(state, folder, results / "logs/trunk" / f"{trunk.path}.log") | _planned(row)


def _identity(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("model", "subset", "schedule", "seed")}


def _planned(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {"planned_device_hours": row["device_hours"]}


def _queued(queue: Mapping[str, QueuedJob], rule: str, path: str) -> QueuedJob | None:
    return queue.get(f"rule_{rule}_wildcards_{path.replace('/seed', '/').replace('/', '_')}")


def _failed_early(state: dict[str, Any], folder: Path, log: Path) -> dict[str, Any]:
    """The state, but failed where a job died before it could keep a record of an attempt."""
    begun = (folder / "cell.json").exists()  # not so where a cell was removed, and its log was left
    if state["state"] == "not begun" and begun and (error := error_in(log)):
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
    branch : bool
        Whether the run begins at a trunk.
    earlier : list of dict
        Attempts at the trunk that this one extends.
    """

    folder: Path
    n_tokens: int
    queued: QueuedJob | None
    branch: bool = False
    earlier: Sequence[dict[str, Any]] = ()


def _state(job: _Job, *, record: dict[str, Any] | None) -> dict[str, Any]:
    attempts = attempts_of(read_events(job.folder / LEDGER))
    last = read_last_row(job.folder / "metrics.jsonl") if (job.folder / "metrics.jsonl").is_file() else None
    state = {"reason": None, "loss": None, "percent": 0.0, "eta_hours": None, "job": None, "host": None}
    if last:
        state |= {"loss": last["loss"], "percent": _percent(job, attempts, last["n_tokens"])}
    locks = lock_files(job.folder) if job.folder.is_dir() else []
    if record:
        attempts = record.get("attempts", [])
        holdout = record.get("holdout") or {}
        state |= {"state": record["status"], "reason": record["reason"], "loss": holdout.get("loss"), "percent": 100.0}
    elif locks and seems_alive(locks[-1]):
        holder = locks[-1].holder
        state |= {"state": "running", "eta_hours": _eta(job.folder, attempts, job.n_tokens)}
        state |= {"job": holder.slurm_job, "host": holder.host} if holder else {}
    elif job.queued:
        state |= {"state": "queued", "reason": job.queued.reason, "job": job.queued.job}
    elif attempts:
        why = attempts[-1]["reason"] or "killed"
        state |= {"state": "failed" if why.startswith("error") else "interrupted", "reason": why}
    else:
        state |= {"state": "not begun"}
    attempts = [*job.earlier, *attempts]
    spent = device_seconds(attempts) + _open_seconds(attempts, alive=state["state"] == "running")
    return state | {"attempts": len(attempts), "device_hours": spent / 3600}


def _percent(job: _Job, attempts: Sequence[dict[str, Any]], n_tokens: int) -> float:
    """Per cent of the tokens that a job trains itself; rows of a branch begin with those of its trunk."""
    start = 0
    if job.branch and attempts:
        moved = [each["from_step"] for each in attempts if each["to_step"] > each["from_step"]]
        first = min([*moved, attempts[-1]["from_step"]])
        rows = read_rows(job.folder / "metrics.jsonl")
        start = max((row["n_tokens"] for row in rows if row["step"] <= first), default=0)
    return 100 * min(1.0, max(0.0, (n_tokens - start) / max(1, job.n_tokens - start)))


def error_in(log: Path) -> str | None:
    """The last error in the log of a job, which may have died before it could keep a record; None without one."""
    if not log.is_file():
        return None
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    found = [line for line in lines if ERROR.match(line)]
    return found[-1].removeprefix("error: ") if found else None


def _record(path: Path) -> dict[str, Any] | None:
    try:
        return read_object(path)
    except InputError:  # absent, or just being replaced
        return None


def seems_alive(found: LockFile) -> bool:
    """Whether the holder of a lock lives, by one look: of another machine, whether it gave a sign lately."""
    holder = found.holder
    here = Holder.here()
    if holder and (holder.host, holder.boot, holder.namespace) == (here.host, here.boot, here.namespace):
        return start_ticks(str(holder.pid)) == holder.ticks
    return abs(time.time() - found.touched) < SILENT


def _eta(run: Path, attempts: list[dict[str, Any]], n_tokens: int) -> float | None:
    """Hours left at the speed of the running attempt, its start-up included; None before there is a speed."""
    rows = read_rows(run / "metrics.jsonl")
    if not rows or not attempts:
        return None
    before = [row["n_tokens"] for row in rows if row["step"] <= attempts[-1]["from_step"]]
    trained = rows[-1]["n_tokens"] - (before[-1] if before else 0)
    hours = (time.time() - _epoch(attempts[-1]["start"])) / 3600
    return (n_tokens - rows[-1]["n_tokens"]) * hours / trained if trained else None


def _open_seconds(attempts: list[dict[str, Any]], *, alive: bool) -> float:
    if not (attempts and alive and attempts[-1]["end"] is None):
        return 0.0
    return attempts[-1]["world"] * (time.time() - _epoch(attempts[-1]["start"]))


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def slurm_queue(workdir: Path) -> dict[str, QueuedJob]:
    """Jobs of a working directory in SLURM's queue, by the comment that Snakemake gave them; empty without SLURM."""
    command = ["squeue", "--noheader", "--user", str(os.getuid()), "--states=PENDING,RUNNING"]
    try:
        said = subprocess.run([*command, "--format=%Z|%k|%i|%T|%r"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, QueuedJob] = {}
    for line in said.stdout.splitlines():
        folder, comment, *rest = line.split("|")
        if len(rest) == 3 and Path(folder) == workdir and comment not in found:
            found[comment] = QueuedJob(*rest)
    return found
