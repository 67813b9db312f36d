"""SLURM's queue: the jobs of this user, and which cells a job of several trains."""

import json
import os
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..files import write_json

FIELDS = "%i|%T|%Z|%S|%r|%N|%k"
"""Number, state, working directory, start, reason, nodes and comment, see squeue(1)."""

WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"})
"""States of a job that has no nodes yet, or has none again."""

ENDED = frozenset(
    ["BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"]
)
"""States of a job that is over. SLURM shows one for MinJobAge, 300 s unless an administrator says otherwise."""

BUNDLES = Path(".snakemake/plmscale_slurm")
"""Folder, in the working directory, of the jobs that train several cells: what each trains, and how each cell ended."""

MEMBERS = "members.json"
_BUNDLE = "bundle_"
_OURS = ("rule_", "group_", _BUNDLE)
"""How comments of jobs of Snakemake begin."""


@dataclass(frozen=True)
class QueuedJob:
    """A job of SLURM's queue.

    Attributes
    ----------
    job, state, reason : str
        Its number, its state, and why it waits.
    workdir : Path
    started : float or None
        When it began, or is to begin, in seconds since the epoch.
    nodes, comment : str
    request : str
        Checksum of what it requests, behind an @ of the comment; empty without one.
    member : int or None
        Its place among the cells of a job of several.
    """

    job: str
    state: str
    reason: str = "None"
    workdir: Path = Path()
    started: float | None = None
    nodes: str = ""
    comment: str = ""
    request: str = ""
    member: int | None = None

    @property
    def active(self) -> bool:
        """Whether it is not over."""
        return self.state not in ENDED

    @property
    def bundle(self) -> Path | None:
        """The folder of a job that trains several cells; None of any other."""
        return self.workdir / BUNDLES / self.comment.removeprefix(_BUNDLE) if self.comment.startswith(_BUNDLE) else None

    def makes(self, comment: str, *, workdir: Path) -> bool:
        """Whether it is the job with a comment, and no other that was given its number.

        A controller that lost its state begins to count anew. Where a site replaces comments, the working directory
        decides.
        """
        return self.comment == comment or (not self.comment.startswith(_OURS) and self.workdir == workdir)


class NoSlurm(Exception):
    """This machine has no SLURM, or its commands and no cluster."""


def look(*, timeout: float = 60.0) -> list[QueuedJob] | None:
    """The jobs of this user; None if SLURM's controller does not answer.

    Raises
    ------
    NoSlurm
    """
    words = ["squeue", "--noheader", "--array", f"--user={os.getuid()}", "--states=all", f"--format={FIELDS}"]
    try:
        said = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return None
    except OSError as error:
        raise NoSlurm(f"squeue: {error.strerror}") from None
    if "onfiguration" in said.stderr:  # no source of it, or a file that cannot be processed
        raise NoSlurm(said.stderr.strip())
    return parsed(said.stdout) if said.returncode == 0 else None


def parsed(text: str) -> list[QueuedJob]:
    """The jobs that squeue printed.

    Examples
    --------
    >>> (job,) = parsed("7|RUNNING|/data/study|2026-01-02T03:04:05|None|n1|rule_train_wildcards_S_all@1f00\\n")
    >>> job.job, job.active, job.comment, job.request, str(job.workdir)
    ('7', True, 'rule_train_wildcards_S_all', '1f00', '/data/study')
    """
    found = []
    for line in text.splitlines():
        words = line.split("|", 6)
        if len(words) == 7:
            number, state, workdir, started, reason, nodes, said = words
            comment, _, request = said.rpartition("@") if "@" in said else (said, "", "")
            found.append(QueuedJob(number, state, reason, Path(workdir), _epoch(started), nodes, comment, request))
    return found


def by_comment(jobs: Iterable[QueuedJob], *, workdir: Path) -> dict[str, QueuedJob]:
    """The active jobs of a working directory by the comment that names what they make, also of those that make several.

    A running job goes before one that waits.
    """
    found: dict[str, QueuedJob] = {}
    for job in sorted(jobs, key=lambda job: job.state in WAITING):
        if job.active and job.workdir == workdir:
            for place, comment in enumerate(members(job.bundle)) if job.bundle else [(None, job.comment)]:
                found.setdefault(comment, replace(job, member=place))
    return found


def note_members(comments: Iterable[str], *, workdir: Path, name: str) -> tuple[Path, str]:
    """Note what a job of several makes; its folder, and its comment."""
    folder = workdir / BUNDLES / name
    write_json(folder / MEMBERS, list(comments))
    return folder, comment_of_bundle(folder)


def comment_of_bundle(folder: Path) -> str:
    """The comment of a job of several, by its folder."""
    return _BUNDLE + folder.name


def members(folder: Path | None) -> list[str]:
    """What a job of several makes, by comments as other jobs have them; empty if that cannot be read."""
    try:
        return list(json.loads((folder / MEMBERS).read_text())) if folder else []
    except (OSError, ValueError):
        return []


def status_of_member(folder: Path, place: int) -> int | None:
    """The exit status of a member of a job of several; None if it has not ended."""
    try:
        return int((folder / f"{place}.status").read_text())
    except (OSError, ValueError):
        return None


def queued(queue: Mapping[str, QueuedJob], rule: str, path: str) -> QueuedJob | None:
    """The job of a cell or a trunk, by the path of it; comments have the values of its wildcards, not their names."""
    return queue.get(f"rule_{rule}_wildcards_{path.replace('/seed', '/').replace('/', '_')}")


def _epoch(text: str) -> float | None:
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:  # N/A
        return None
