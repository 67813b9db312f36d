"""The state of every cell of a study, read from the files of its runs and from SLURM's queue. Nothing is touched."""

import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from .attempts import LEDGER, attempts_of, device_seconds, read_events
from .checkpoints import read_last_row, read_rows
from .clock import start_ticks
from .errors import InputError
from .files import read_json
from .lock import SILENT, Holder, Seen, seen
from .plan import plan
from .study import Study

STATES = ("done", "diverged", "running", "queued", "interrupted", "failed", "not begun")
"""From finished to not begun. `diverged` is finished too; `interrupted` goes on when Snakemake runs it again."""

ERROR = re.compile(r"(error|srun: error|slurmstepd: error|([a-z_]+\.)*[A-Z]\w*(Error|Exception|Interrupt))\b", re.ASCII)
"""How lines begin that name what ended a job: our own, SLURM's, and the last line of a Python traceback."""


@dataclass(frozen=True)
class Queued:
    """A job of SLURM's queue: its number, its state, and why it waits."""

    job: str
    state: str
    reason: str


def cell_states(study: Study, counted: Mapping[str, int], *, results: Path) -> pd.DataFrame:
    """The grid with the state of every cell.

    Parameters
    ----------
    study : Study
    counted : mapping of str to int
        Exact tokens of the sets that exist already.
    results : Path

    Returns
    -------
    pandas.DataFrame
        One row per cell: `model`, `subset`, `schedule`, `seed`; `state`, one of `STATES`, and its `reason`; `loss` so
        far in nats, `percent` of the tokens, `eta_hours`; `attempts`; `device_hours` spent, and planned; `job` and
        `host` of who trains it.
    """
    planned = plan(study, counted)
    queue = slurm_queue(results.absolute().parent)
    rows = []
    for row in planned.to_dict("records"):
        identity = {key: row[key] for key in ("model", "subset", "schedule", "seed")}
        path = f"{row['model']}/{row['subset']}/{row['schedule']}/seed{row['seed']}"
        queued = queue.get(f"rule_train_wildcards_{path.replace('/seed', '/').replace('/', '_')}")
        found = _state(results / "runs" / path, n_tokens=row["n_tokens"], queued=queued)
        begun = (
            results / "runs" / path / "cell.json"
        ).exists()  # not so where a cell was removed, and its log was left
        if found["state"] == "not begun" and begun and (error := error_in(results / "logs/train" / f"{path}.log")):
            found |= {"state": "failed", "reason": f"{error} (before training began)"}
        rows.append(identity | found | {"planned_device_hours": row["device_hours"]})
    return pd.DataFrame(rows, dtype=object)  # objects: what is not known stays None


def _state(run: Path, *, n_tokens: int, queued: Queued | None) -> dict[str, Any]:
    attempts = attempts_of(read_events(run / LEDGER))
    last = read_last_row(run / "metrics.jsonl") if (run / "metrics.jsonl").is_file() else None
    state = {"reason": None, "loss": None, "percent": 0.0, "eta_hours": None, "job": None, "host": None}
    if last:
        state |= {"loss": last["loss"], "percent": 100 * min(1.0, last["n_tokens"] / n_tokens)}
    locks = seen(run) if run.is_dir() else []
    if record := _record(run / "run.json"):
        attempts = record.get("attempts", [])
        holdout = record.get("holdout") or {}
        state |= {"state": record["status"], "reason": record["reason"], "loss": holdout.get("loss"), "percent": 100.0}
    elif locks and seems_alive(locks[-1]):
        holder = locks[-1].holder
        state |= {"state": "running", "eta_hours": _eta(run, attempts, n_tokens)}
        state |= {"job": holder.slurm_job, "host": holder.host} if holder else {}
    elif queued:
        state |= {"state": "queued", "reason": queued.reason, "job": queued.job}
    elif attempts:
        why = attempts[-1]["reason"] or "killed"
        state |= {"state": "failed" if why.startswith("error") else "interrupted", "reason": why}
    else:
        state |= {"state": "not begun"}
    spent = device_seconds(attempts) + _open_seconds(attempts, alive=state["state"] == "running")
    return state | {"attempts": len(attempts), "device_hours": spent / 3600}


def error_in(log: Path) -> str | None:
    """The last error in the log of a job, which may have died before it could keep a record; None without one."""
    if not log.is_file():
        return None
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    found = [line for line in lines if ERROR.match(line)]
    return found[-1].removeprefix("error: ") if found else None


def _record(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except InputError:  # absent, or just being replaced
        return None


def seems_alive(found: Seen) -> bool:
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


def slurm_queue(workdir: Path) -> dict[str, Queued]:
    """Jobs of a working directory in SLURM's queue, by the comment that Snakemake gave them; empty without SLURM."""
    command = ["squeue", "--noheader", "--user", str(os.getuid()), "--states=PENDING,RUNNING"]
    try:
        said = subprocess.run([*command, "--format=%Z|%k|%i|%T|%r"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, Queued] = {}
    for line in said.stdout.splitlines():
        folder, comment, *rest = line.split("|")
        if len(rest) == 3 and Path(folder) == workdir and comment not in found:
            found[comment] = Queued(*rest)
    return found
