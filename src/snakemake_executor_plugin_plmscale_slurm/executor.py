"""The plugin snakemake-executor-plugin-slurm with another way to submit and to watch jobs.

- While SLURM's controller does not answer, it waits, with submissions too. The plugin forgets its jobs then.
- A job that is queued or running already, because Snakemake was started again, is followed and not submitted again.
- A cell that was preempted, ran into its walltime, or lost its node goes on in a new job. As long as it comes forward,
  that costs none of Snakemake's `retries`.
- Jobs are named after study and cell, and short cells share jobs.
- A job starts Snakemake once. The plugin's starts another one, in a step of srun if the job is none of MPI: a second
  import and a second look at the whole study, which for thousands of cells is most of a short job.
"""

import asyncio
import os
import shutil
import threading
import time
import traceback
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as plugin
from snakemake_executor_plugin_slurm.job_cancellation import cancel_slurm_jobs
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from plmscale.status import job_ends, slurm_queue

from .bundles import Bundles
from .submission import Refused, Request, Unanswered, cell_folder, comment_in_queue, comment_of, submit

common_settings = plugin.common_settings

FIRST_WAIT, LONGEST_WAIT = 5.0, 60.0
"""Seconds between two attempts to reach the controller, doubled from the first to the longest."""

LONGEST_POLL = 180.0
"""Seconds between two looks at the queue, at most; as the plugin's, and below half of SLURM's MinJobAge."""

UNSEEN = 2
"""Looks at the queue in which a job was not there, after which it is gone: it ended longer than MinJobAge ago."""

IN_VAIN = 20
"""Jobs in a row that SLURM ended before a cell came forward, after which Snakemake counts a failure."""


@dataclass
class ExecutorSettings(plugin.ExecutorSettings):
    """The settings of the plugin, by its names: plmscale-slurm-init-seconds-before-status-checks, …-no-requeue."""


def _look() -> list[slurm_queue.QueuedJob] | None:
    """The queue; None also where SLURM's configuration is gone, for a moment, with the file system that it is on."""
    try:
        return slurm_queue.look()
    except slurm_queue.NoSlurm:
        return None


class Executor(plugin.Executor):
    """See the module."""

    def __post_init__(self, test_mode: bool = False) -> None:
        """Begin; jobs learn that a duplicate need not wait, since its double is followed here."""
        os.environ["PLMSCALE_DUPLICATES"] = "leave"
        self._leaving = threading.Event()
        self._at_start: list[slurm_queue.QueuedJob] | None = None
        self._at_start_lock = threading.Lock()
        self._in_vain: dict[str, int] = {}
        self._away_since: float | None = None
        super().__post_init__(test_mode)
        self._bundles = Bundles(self._job_submission_executor, self._guard_bundle)

    @property
    def workdir(self) -> Path:
        """Snakemake's working directory, by which its jobs are known in the queue."""
        return Path(str(self.workflow.workdir_init))

    def additional_general_args(self) -> Any:
        """Have the job's Snakemake run the job itself; the plugin's would start a second one to do that."""
        return ""

    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs; short cells wait some seconds for others to share a job with."""
        super().run_jobs([job for job in jobs if not self._bundles.takes(job)])
        for job in jobs:
            if self._bundles.takes(job):
                self.run_job_pre(job)
                self._bundles.add(job)

    def run_job(self, job: Any) -> None:
        """Submit a job, unless it is in the queue already."""
        self._guarded([job], lambda: self._submit_or_follow(job))

    def _guarded(self, jobs: list[Any], work: Any) -> None:
        try:
            work()
        except Exception as error:  # in a thread: nobody else would hear of it
            told = isinstance(error, (Refused, WorkflowError))
            self.logger.error(f"{error}" if told else traceback.format_exc())
            for job in jobs:
                self._report_job_error_threadsafe(SubmittedJobInfo(job), f"{error}")

    def _submit_or_follow(self, job: Any) -> None:
        request = Request.of(job, self)
        there = self._earlier().get(request.comment)
        if there and self._may_follow(there, job, request):
            return self._follow(job, there)
        return self._submit([job], request)

    def _guard_bundle(self, jobs: list[Any]) -> None:
        self._guarded(jobs, lambda: self._submit_bundle(jobs))

    def _submit_bundle(self, jobs: list[Any]) -> None:
        """Submit short cells as one job; those that are in the queue already are followed."""
        earlier = self._earlier()
        rest = []
        for job in jobs:
            there = earlier.get(comment_of(job))
            if there and self._may_follow(there, job, None):
                self._follow(job, there)
            else:
                rest.append(job)
        if len(rest) == 1:
            self.run_job(rest[0])
        elif rest:
            self._submit(rest, Request.of_bundle(rest, self))

    def _submit(self, jobs: list[Any], request: Request) -> None:
        """Submit a request, however long the controller is away."""
        wait = FIRST_WAIT
        while not self._leaving.is_set():
            try:
                number = submit(request)
            except Unanswered as error:
                self._away(f"sbatch: {error}")
                self._leaving.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)
                if number := self._arrived(request):
                    return self._begin(jobs, request, number)
                continue
            self._back()
            return self._begin(jobs, request, number)
        return None

    def _begin(self, jobs: list[Any], request: Request, number: str) -> None:
        self.logger.info(f"{request.name} has been submitted as SLURM job {number}.")
        log = request.log.with_name(request.log.name.replace("%j", number))
        for place, job in enumerate(jobs):
            aux = {"slurm_logfile": log, "since": time.time()}
            aux |= {"bundle": request.bundle, "member": place} if request.bundle else {}
            self._report_job_submission_threadsafe(SubmittedJobInfo(job, external_jobid=number, aux=aux))

    def _arrived(self, request: Request) -> str | None:
        """The job that a submission has become whose answer was lost."""
        here = _look() or []
        mine = (each for each in here if each.active and each.workdir == self.workdir)
        return next((each.job for each in mine if (each.comment, each.request) == request.identity), None)

    def _earlier(self) -> dict[str, slurm_queue.QueuedJob]:
        """The jobs of this study that were in the queue when this Snakemake first submitted; asked once."""
        if not shutil.which("sbatch"):
            raise WorkflowError("There is no sbatch on this machine: start the study on a login node of the cluster.")
        with self._at_start_lock:
            wait = FIRST_WAIT
            while self._at_start is None and not self._leaving.is_set():
                self._at_start = _look()
                if self._at_start is None:
                    self._away("squeue")
                    self._leaving.wait(wait)
                    wait = min(2 * wait, LONGEST_WAIT)
            return slurm_queue.by_comment(self._at_start or [], workdir=self.workdir)

    def _may_follow(self, there: slurm_queue.QueuedJob, job: Any, request: Request | None) -> bool:
        """Whether a job that is in the queue does what one that is to be submitted would; a stale one is cancelled."""
        if there.state not in slurm_queue.WAITING or request is None or there.request in ("", request.identity[1]):
            return True
        self.logger.info(f"SLURM job {there.job} waits with an older request for {request.name}: it is cancelled.")
        with suppress(WorkflowError):
            cancel_slurm_jobs([SubmittedJobInfo(job, external_jobid=there.job)], set(), self.logger)
        return False

    def _follow(self, job: Any, there: slurm_queue.QueuedJob) -> None:
        """Watch a job that an earlier Snakemake, or another, submitted."""
        self.logger.info(f"{comment_of(job)} is SLURM job {there.job} already, which is followed.")
        log = self.slurm_logdir / f"rule_{job.name}" / plugin.get_job_wildcards(job) / f"{there.job}.log"
        aux = {"slurm_logfile": log, "since": time.time(), "followed": there.started or time.time()}
        aux |= {"bundle": there.bundle, "member": there.member} if there.member is not None else {}
        if there.state in slurm_queue.WAITING:
            aux["followed"] = float("inf")  # it reads what it trains when it begins
        self._report_job_submission_threadsafe(SubmittedJobInfo(job, external_jobid=there.job, aux=aux))

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Look at the queue once, and see what came of each job; those that are not over are given back."""
        settings: Any = self.workflow.executor_settings  # type: ignore[attr-defined]  (Snakemake's own are typed so)
        first = settings.init_seconds_before_status_checks or 40
        if not active_jobs:
            self.next_seconds_between_status_checks = first
            return
        async with self.status_rate_limiter:
            jobs = await asyncio.to_thread(_look)
        if jobs is None:
            self._away("squeue")
            self.next_seconds_between_status_checks = first
            for info in active_jobs:
                yield info
            return
        self._back()
        queue, n_before = {each.job: each for each in jobs}, len(active_jobs)
        going_on = [info for info in active_jobs if self._goes_on(info, queue)]
        longer = min(self.next_seconds_between_status_checks + first / 4, LONGEST_POLL)
        self.next_seconds_between_status_checks = longer if len(going_on) == n_before else first
        for info in going_on:
            yield info

    def _goes_on(self, info: SubmittedJobInfo, queue: dict[str, slurm_queue.QueuedJob]) -> bool:
        """Whether a job is not over; if it is, Snakemake is told, or another is submitted that goes on."""
        aux = info.aux or {}
        there = queue.get(info.external_jobid or "")
        if there is None or not there.makes(comment_in_queue(info), workdir=self.workdir):
            there = None
            aux["unseen"] = aux.get("unseen", 0) + 1
            if aux["unseen"] < UNSEEN:
                return True
        elif there.active:
            aux["unseen"] = 0
            return True
        state = there.state if there else "not known to SLURM any more"
        if self._succeeded(info, state):
            self.report_job_success(info)
            return False
        return self._after_failure(info, state, list(queue.values()))

    def _succeeded(self, info: SubmittedJobInfo, state: str) -> bool:
        """Whether a job that is over made what it was to make."""
        aux: dict[str, Any] = info.aux or {}
        if aux.get("bundle"):
            ended = slurm_queue.status_of_member(aux["bundle"], aux["member"])
            well = ended == 0
        else:
            well = state == "COMPLETED"
        if not (aux.get("followed") or state not in slurm_queue.ENDED):
            return well
        # Somebody else's job, or one whose end nobody saw: its outputs say whether it did what was asked of this one.
        cell = next((Path(path) for path in info.job.input if Path(path).name == "cell.json"), None)
        stale = bool(cell and aux.get("followed") and cell.stat().st_mtime > aux["followed"])
        there = all(Path(path).exists() for path in info.job.output)
        return there and not stale and (well or state not in slurm_queue.ENDED)

    def _after_failure(self, info: SubmittedJobInfo, state: str, jobs: list[slurm_queue.QueuedJob]) -> bool:
        """Go on with a cell that did not fail by itself; whether there is a job of it still."""
        aux, job = info.aux or {}, info.job
        folder = cell_folder(job)
        if folder and (other := job_ends.trained_by(folder, jobs)) and other.job != info.external_jobid:
            self._follow(job, other)
            return False
        if folder and self._comes_forward(job, aux, state, job_ends.since(folder, aux.get("since", 0.0) - 1)):
            self.logger.info(f"SLURM job {info.external_jobid} was {state}: {comment_of(job)} goes on in a new one.")
            self._job_submission_executor.submit(self._guarded, [job], partial(self._again, job))
            return False
        msg = f"SLURM-job '{info.external_jobid}' failed, SLURM status is: '{state}'. "
        self.report_job_error(info, msg=msg, aux_logs=[str(aux.get("slurm_logfile"))])
        return False

    def _again(self, job: Any) -> None:
        self._submit([job], Request.of(job, self))

    def _comes_forward(self, job: Any, aux: dict[str, Any], state: str, since: job_ends.Since) -> bool:
        """Whether a cell is to go on without a failure being counted."""
        if since.finished or since.progressed:
            self._in_vain.pop(comment_of(job), None)
            return True
        not_begun = bool(aux.get("bundle")) and slurm_queue.status_of_member(aux["bundle"], aux["member"]) is None
        if not (since.goes_on(state) or since.stopped or aux.get("followed") or not_begun):
            return False
        self._in_vain[comment_of(job)] = n = self._in_vain.get(comment_of(job), 0) + 1
        return n < IN_VAIN

    def _away(self, what: str) -> None:
        if self._away_since is None:
            self._away_since = time.time()
            self.logger.info(f"SLURM's controller does not answer ({what}): jobs go on, and are looked for again.")

    def _back(self) -> None:
        if self._away_since is not None:
            self.logger.info(f"SLURM's controller answers again, after {time.time() - self._away_since:.0f} s.")
            self._away_since = None

    def shutdown(self) -> None:
        """End; nothing is submitted any more."""
        self._bundles.stop()
        super().shutdown()

    def cancel(self) -> None:
        """Cancel the jobs, and wait for the controller no longer."""
        self._leaving.set()
        super().cancel()
