"""All checks: on the login node, and in a job on each partition."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .checks import Check, of_json
from .description import Cluster, Partition, describe, said
from .file_checks import clock
from .node_checks import check_node
from .profile import names_of
from .slurm_checks import check_slurm

MARK = "plmscale doctor: "
"""Begins the line by which a job hands on its checks: programs of a site print lines of their own."""

JOB_MINUTES = 15
"""Walltime of a job of checks."""


def diagnose(
    folder: Path, profile: dict[str, Any] | None, *, partitions: Sequence[str] | None, wait: float
) -> Iterator[tuple[str, Check]]:
    """Where each check was made, and what came of it.

    Parameters
    ----------
    folder : Path
        Of the study.
    profile : dict or None
        What its profile says.
    partitions : sequence of str or None
        Where jobs are started; None: on those of the profile, or on all of the cluster's; empty: on none.
    wait : float
        Seconds that a job may take, its time in the queue included.
    """
    cluster = describe()
    for check in check_slurm(cluster, profile):
        yield "login node", check
    for check in check_node(folder, computes=False):
        yield "login node", check
    for partition in _asked(cluster, profile, partitions):
        for check in in_job(partition, folder, profile, wait=wait):
            yield f"partition {partition.name}", check


def _asked(cluster: Cluster | None, profile: dict[str, Any] | None, named: Sequence[str] | None) -> Iterator[Partition]:
    if cluster is None:
        return
    wanted = named
    if wanted is None and profile is not None:
        wanted = [name for names in names_of(profile, "slurm_partition").values() for name in names.split(",")]
    yield from (each for each in cluster.partitions if wanted is None or each.name in wanted)


def in_job(partition: Partition, folder: Path, profile: dict[str, Any] | None, *, wait: float) -> Iterator[Check]:
    """The checks of a job on a partition, and of its clock against this one."""
    words = ["srun", "--quiet", f"--partition={partition.name}", "--ntasks=1", f"--time={JOB_MINUTES}"]
    words += [f"--mem={min(8000, partition.memory_mb)}", "--job-name=plmscale-doctor"]
    words += [f"--account={name}" for name in list(names_of(profile or {}, "slurm_account").values())[:1]]
    if partition.gpus:
        words.append(f"--gpus-per-node={min(partition.gpus, 2)}")
    words += [sys.executable, "-m", "plmscale", "doctor", "--node", "--directory", str(folder.absolute())]
    before = time.time()
    text = said([*words, "--gpu"] if partition.gpus else words, timeout=wait)
    after = time.time()
    rows = [line.removeprefix(MARK) for line in (text or "").splitlines() if line.startswith(MARK)]
    if not rows:
        found = f"srun gave no checks within {wait:.0f} s"
        command = " ".join(words[: words.index(sys.executable)])
        yield Check("job", "failed", found, f"run `{command} hostname`; if the queue is long, give a longer --wait")
        return
    found = json.loads(rows[-1])
    yield Check("job", "ok", f"ran on {found['host']}")
    yield clock(found["time"], before=before, after=after, name="clock of the node")
    yield from of_json(found["checks"])
