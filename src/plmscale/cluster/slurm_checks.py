"""What SLURM's own settings do to a study: the traps of docs/slurm.md, by name."""

import re
from collections.abc import Iterator
from typing import Any

from .checks import Check
from .description import Cluster
from .profile import names_of

NO_REQUEUE = "plmscale-slurm-no-requeue"
"""Setting of a profile: an interrupted cell continues in a new job."""

LEAST_JOB_AGE = 200
"""Seconds that SLURM must remember an ended job: the executor looks at the queue every 180 s (docs/slurm.md)."""


def check_slurm(cluster: Cluster | None, profile: dict[str, Any] | None) -> Iterator[Check]:
    """Checks of SLURM's settings, and of a profile against them, if there is one."""
    if cluster is None:
        remedy = "run it on a login node; if it is one, wait until `sinfo` answers, or ask the administrator"
        yield Check("SLURM", "failed", "sinfo gives no answer", remedy)
        return
    yield Check("SLURM", "ok", f"{len(cluster.partitions)} partitions")
    yield _job_age(cluster.settings.get("MinJobAge", ""))
    yield from (_preemption(where, mode.upper()) for where, mode in _modes(cluster).items())
    yield _requeue(cluster.settings.get("JobRequeue", ""), profile)
    yield _signals(cluster.settings.get("ProctrackType", ""), profile)
    if profile is not None:
        yield _queue_length(cluster.settings.get("MaxJobCount", ""), profile)
        yield _account(cluster, profile)


def _job_age(said: str) -> Check:
    seconds = _seconds(said)
    if seconds is None:
        return Check("MinJobAge", "warning", "scontrol does not say", "see that `scontrol show config` has 200 or more")
    if seconds < LEAST_JOB_AGE:
        remedy = "ask the administrator for 300; until then, the end of a job is seen by its outputs alone"
        return Check("MinJobAge", "failed", f"{seconds} s, below {LEAST_JOB_AGE} s", remedy)
    return Check("MinJobAge", "ok", f"{seconds} s")


def _modes(cluster: Cluster) -> dict[str, str]:
    """Mode of preemption by partition, or of the whole cluster where partitions have none."""
    if cluster.settings.get("PreemptType", "preempt/none").endswith("none"):
        return {"": "OFF"}
    own = {each.name: each.preempt_mode for each in cluster.partitions if each.preempt_mode}
    return own or {"": cluster.settings.get("PreemptMode", "OFF")}


def _preemption(where: str, mode: str) -> Check:
    name = f"preemption in {where}" if where else "preemption"
    if "SUSPEND" in mode:
        remedy = "use another partition, or ask for REQUEUE: a suspended cell keeps its memory and its lock"
        return Check(name, "warning", f"{mode}: jobs are suspended", remedy)
    if "CANCEL" in mode:
        remedy = f"nothing: the cell continues in a new job; write {NO_REQUEUE}: true in the profile"
        return Check(name, "warning", f"{mode}: jobs are cancelled", remedy)
    return Check(name, "ok", mode)


def _requeue(said: str, profile: dict[str, Any] | None) -> Check:
    if said == "0" and not (profile or {}).get(NO_REQUEUE):
        remedy = (
            f"nothing: a preempted cell continues in a new job. `{NO_REQUEUE}: true` in the profile says so to SLURM"
        )
        return Check("requeue", "warning", "JobRequeue is 0: SLURM restarts no job", remedy)
    return Check("requeue", "ok", f"JobRequeue is {said or 'not said'}")


def _signals(tracking: str, profile: dict[str, Any] | None) -> Check:
    name = "warning before the walltime"
    rules = (profile or {}).get("set-resources") or {}
    lacking = [rule for rule in ("train", "trunk") if "srun" not in str((rules.get(rule) or {}).get("step", ""))]
    if profile is not None and lacking:
        found = f"{' and '.join(lacking)} have no step of srun, and {tracking or 'SLURM'} signals what srun started"
        remedy = "write step: \"'srun'\" at both in the profile"
        return Check(name, "failed" if "cgroup" in tracking else "warning", found, remedy)
    return Check(name, "ok", tracking or "ProctrackType not said")


def _queue_length(most: str, profile: dict[str, Any]) -> Check:
    jobs = profile.get("jobs")
    if most.isdigit() and isinstance(jobs, int) and jobs > int(most):
        return Check(
            "jobs", "failed", f"{jobs} in the profile, above MaxJobCount {most}", f"write jobs: {int(most) // 2}"
        )
    return Check("jobs", "ok", f"{jobs} in the queue at a time")


def _account(cluster: Cluster, profile: dict[str, Any]) -> Check:
    names = set(names_of(profile, "slurm_account").values())
    required = "associations" in cluster.settings.get("AccountingStorageEnforce", "").lower()
    if unknown := sorted(names - set(cluster.accounts)) if cluster.accounts else []:
        remedy = f"write one of {', '.join(cluster.accounts)} in the profile"
        return Check("account", "failed", f"{unknown[0]} is no account of yours", remedy)
    if required and not names:
        return Check("account", "failed", "SLURM requires one, and the profile has none", "write slurm_account there")
    return Check("account", "ok", ", ".join(sorted(names)) or "none needed")


def _seconds(said: str) -> int | None:
    found = re.match(r"\d+", said)
    return int(found[0]) if found else None
