"""What is submitted, and to submit it: sbatch's words of a job, or of several cells in one."""

import re
import shlex
import subprocess
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as plugin
from snakemake_executor_plugin_slurm.submit_string import get_submit_command

from plmscale.cluster.profile import PLACEHOLDERS, REMEDY
from plmscale.status import slurm_queue

UNANSWERED = re.compile(
    "unable to contact|timed out|connection (refused|reset)|connect failure|zero bytes|temporarily|"
    "try again|standby mode|communication|slurm_receive|MaxSubmitJob|AssocMaxSubmit",
    re.IGNORECASE,
)
"""What sbatch says where the controller is away or overworked, or the user has as many jobs as may be submitted."""

TRAINING = ("train", "trunk", "bracket_run")
"""Rules that train a cell, or a beginning of one, whose folder has its lock and the record of its attempts."""

START = """#!/bin/sh
# The job's options are no defaults of an srun in it, which says itself what it asks for.
for name in $(env | grep -oE '^(SLURM|SRUN|SBATCH)_[A-Za-z0-9_]+'); do
  case $name in
    SLURM_JOB_ID | SLURM_JOBID | SLURM_CLUSTER_NAME | SLURM_SUBMIT_DIR | SLURM_SUBMIT_HOST) ;;
    *) unset "$name" ;;
  esac
done
"""
SEVERAL = """# Cells one after the other; what the time is too short for is left to another job.
end=$(( $(date +%s) + {seconds} ))
"""
CELL = """[ "$(date +%s)" -lt "$end" ] || exit 0
( {command} ); echo $? > {status}
"""


class Unanswered(Exception):
    """SLURM did not answer; the submission may have arrived nevertheless."""


class Refused(Exception):
    """SLURM answered, and did not take the job."""


@dataclass(frozen=True)
class Request:
    """A submission.

    Attributes
    ----------
    name : str
        The job's name in the queue: study and cell.
    call : str
        The command line of sbatch.
    script : str
    comment : str
    log : Path
        With %j for the number of the job.
    bundle : Path or None
        The folder of a job of several cells.
    """

    name: str
    call: str
    script: str
    comment: str
    log: Path
    bundle: Path | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """Comment, and checksum of what is requested: how the job is known in the queue."""
        return self.comment, _checksum(self.call)

    @classmethod
    def of(cls, job: Any, executor: Any) -> "Request":
        """The request of one job."""
        comment = comment_of(job)
        log = executor.slurm_logdir / comment.partition("_wildcards_")[0] / plugin.get_job_wildcards(job) / "%j.log"
        words = [] if job.is_group() else list(job.wildcards or [])
        words = words if words and job.name == "train" else [job.name, *words]
        name = f"{executor.workdir.name}:{'/'.join(words)}"
        script = f"{START}{executor.format_job_exec(job)}\n"
        return cls(name, _call(job, executor, comment=comment, name=name, log=log), script, comment, log)

    @classmethod
    def of_bundle(cls, jobs: Sequence[Any], executor: Any) -> "Request":
        """The request of several cells, one after the other."""
        folder, comment = slurm_queue.note_members(
            map(comment_of, jobs), workdir=executor.workdir, name=uuid.uuid4().hex[:12]
        )
        name = f"{executor.workdir.name}:{len(jobs)} cells:{'/'.join(jobs[0].wildcards)}"
        log = executor.slurm_logdir / "bundles" / "%j.log"
        warning = re.search(r"--signal=\w+@(\d+)", jobs[0].resources.get("slurm_extra") or "")
        minutes = sum(job.resources.shared_minutes for job in jobs) + (int(warning[1]) // 60 + 1 if warning else 1)
        minutes = max(minutes, jobs[0].resources.runtime)
        call = _call(jobs[0], executor, comment=comment, name=name, log=log)
        script = START + SEVERAL.format(seconds=60 * minutes - (int(warning[1]) if warning else 0))
        for place, job in enumerate(jobs):
            script += CELL.format(command=executor.format_job_exec(job), status=f"'{folder}/{place}.status'")
        return cls(name, re.sub(r" -t \S+", f" -t {minutes}", call, count=1), script, comment, log, folder)


def comment_of(job: Any) -> str:
    """What names a job in the queue, as the plugin has it: rule and wildcards."""
    kind, wildcards = "group" if job.is_group() else "rule", plugin.get_job_wildcards(job)
    return f"{kind}_{job.name}" + (f"_wildcards_{wildcards}" if wildcards else "")


def comment_in_queue(info: Any) -> str:
    """What names a submitted job in the queue: its own comment, or that of the job of several that it is part of."""
    bundle = (info.aux or {}).get("bundle")
    return slurm_queue.comment_of_bundle(bundle) if bundle else comment_of(info.job)


def cell_folder(job: Any) -> Path | None:
    """The folder of the cell or trunk that a job trains; None if it trains none."""
    return Path(job.output[-1]).parent if not job.is_group() and job.rule.name in TRAINING else None


def _call(job: Any, executor: Any, *, comment: str, name: str, log: Path) -> str:
    """The command line of sbatch, as the plugin makes it, without the script."""
    plugin.validate_slurm_extra(job)
    log.parent.mkdir(parents=True, exist_ok=True)
    params = {
        "run_uuid": re.sub(r"[^\w./:= -]", "_", name)[:200],
        "slurm_logfile": log,
        "comment_str": comment,
        "account": next(executor.get_account_arg(job)),
        "partition": executor.get_partition_arg(job),
        "workdir": executor.workdir,
    }
    settings = executor.workflow.executor_settings
    return get_submit_command(job, params, settings=settings, failed_nodes=executor._failed_nodes) + (
        plugin.set_gres_string(job) or ""
    )


def submit(request: Request) -> str:
    """Submit a request; the number of the job.

    Raises
    ------
    Unanswered
    Refused
    """
    words = shlex.split(request.call)
    if "-A" in words and words[words.index("-A") + 1] in PLACEHOLDERS:
        raise Refused(f"{request.name} is not submitted: its account is a placeholder of the profile. {REMEDY}")
    comment, checksum = request.identity
    call = request.call.replace(f"--comment {comment}", f"--comment {comment}@{checksum}", 1)
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", f"{call} /dev/stdin"], input=request.script, capture_output=True, text=True, timeout=300
        )
    except subprocess.TimeoutExpired:
        raise Unanswered("no answer within 300 s") from None
    said = done.stderr.strip()
    number = done.stdout.strip().split(";")[0]
    if done.returncode == 0 and number:
        return str(plugin.validate_or_get_slurm_job_id(number, done.stdout))
    if UNANSWERED.search(said):
        raise Unanswered(said.splitlines()[-1])
    raise Refused(f"SLURM did not take {request.name}: {said}\n    sbatch call:\n        {call}")


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
