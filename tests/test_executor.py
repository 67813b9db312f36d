"""The executor for SLURM without SLURM: what it submits, follows, goes on with and gives up."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plmscale.plan.plan import grid_resources
from plmscale.status.slurm_queue import MEMBERS, QueuedJob, by_comment, note_members
from plmscale.study.study import load_study
from plmscale.training.attempts import Attempts
from plmscale.training.interruption import REASONS
from plmscale.training.lock import Holder

pytest.importorskip("snakemake_executor_plugin_slurm", reason="needs the extra workflow")
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from snakemake_executor_plugin_plmscale_slurm import executor as plugin
from snakemake_executor_plugin_plmscale_slurm.bundles import Bundles
from snakemake_executor_plugin_plmscale_slurm.submission import (
    START,
    Refused,
    Request,
    Unanswered,
    _call,
    submit,
)


def job(folder: Path, **resources: Any) -> SimpleNamespace:
    """A training job of Snakemake, as far as it is looked at."""
    rule = SimpleNamespace(name="train")
    run = folder / "results/runs/S/all/constant/seed0"
    run.mkdir(parents=True, exist_ok=True)
    (run / "cell.json").touch()
    found = SimpleNamespace(name="train", rule=rule, wildcards=["S", "all", "constant", "0"], input=[run / "cell.json"])
    found.output, found.is_group = [run / "metrics.parquet", run / "run.json"], lambda: False
    values = {"cells_per_job": 1} | resources
    found.resources = SimpleNamespace(get=lambda name, default=None: values.get(name, default), **values)
    return found


class Told(plugin.Executor):
    """An executor that notes what it tells Snakemake, and what it would submit."""

    def __init__(self, folder: Path) -> None:
        self.workflow = SimpleNamespace(workdir_init=folder)
        self.logger = SimpleNamespace(info=lambda text: None, error=lambda text: None)
        self._leaving, self._in_vain, self._away_since = threading.Event(), {}, None
        self._job_submission_executor = SimpleNamespace(submit=lambda *_: self.told.append("again"))
        self.slurm_logdir, self.told = folder, []

    def report_job_success(self, job_info: Any) -> None:
        self.told.append("success")

    def report_job_error(self, job_info: Any, msg: Any = None, **kwargs: Any) -> None:
        self.told.append("error")

    def _report_job_submission_threadsafe(self, job_info: Any) -> None:
        self.told.append(f"watches {job_info.external_jobid}")


def after(executor: Told, found: Any, state: str | None, *, others: tuple[QueuedJob, ...] = (), **aux: Any) -> list:
    """What is told of a job when SLURM says that of it."""
    executor.told.clear()
    info = SubmittedJobInfo(found, external_jobid="7", aux={"since": time.time() - 60} | aux)
    queue = {"7": QueuedJob("7", state, workdir=executor.workdir)} if state else {}
    executor._goes_on(info, queue | {each.job: each for each in others})
    return list(executor.told)


@pytest.mark.parametrize("state", ["TIMEOUT", "PREEMPTED", "NODE_FAIL", "FAILED", "CANCELLED"])
def test_a_cell_that_comes_forward_goes_on_without_a_failure(tmp_path, state):
    executor, found = Told(tmp_path), job(tmp_path)
    for n in range(30):
        path = found.output[-1].parent / "attempts.jsonl"
        ledger = Attempts(path)
        ledger.settle(newest=0)
        ledger.begin(world=1, device="cpu")
        ledger._events[-1]["at"] = time.time()
        ledger.resumed(n)
        ledger.saved(n + 1)
        path.write_text("".join(json.dumps(row) + "\n" for row in ledger._events))
        assert after(executor, found, state) == ["again"]


def test_one_that_fails_by_itself_is_a_failure_and_preemption_without_end_is_one_at_last(tmp_path):
    executor, found = Told(tmp_path), job(tmp_path)
    assert after(executor, found, "TIMEOUT") == ["error"]
    assert after(executor, found, "OUT_OF_MEMORY") == ["error"]
    told = [after(executor, found, "PREEMPTED")[0] for _ in range(plugin.IN_VAIN)]
    assert told == ["again"] * (plugin.IN_VAIN - 1) + ["error"]


def test_one_that_was_asked_to_stop_before_it_had_a_checkpoint_goes_on(tmp_path):
    executor, found = Told(tmp_path), job(tmp_path)
    ledger = found.output[-1].parent / "attempts.jsonl"
    rows = [{"event": "start", "at": time.time(), "host": "n1", "world": 1}, {"event": "resumed", "at": 1, "step": 0}]
    rows += [{"event": "end", "at": 1, "reason": next(iter(REASONS.values())), "wall_seconds": 3}]
    ledger.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert after(executor, found, "FAILED") == ["again"]


def test_a_result_whose_job_ended_badly_is_taken_over_by_another(tmp_path):
    executor, found = Told(tmp_path), job(tmp_path)
    (found.output[-1].parent / "finished.json").write_text("{}")
    assert after(executor, found, "TIMEOUT") == ["again"]


def test_a_duplicate_gives_way_to_the_job_that_trains_the_cell(tmp_path):
    executor, found = Told(tmp_path), job(tmp_path)
    holder = vars(Holder.here()) | {"host": "n9", "slurm_job": "8"}
    (found.output[-1].parent / "lock.1").write_text(json.dumps(holder))
    assert after(executor, found, "FAILED", others=(QueuedJob("8", "RUNNING"),)) == ["watches 8"]


def test_a_job_that_slurm_has_forgotten_is_judged_by_its_outputs(tmp_path):
    executor, found = Told(tmp_path), job(tmp_path)
    assert after(executor, found, None) == []  # one look may be wrong
    assert after(executor, found, None, unseen=1) == ["error"]
    for path in found.output:
        path.touch()
    assert after(executor, found, None, unseen=1) == ["success"]


@pytest.mark.parametrize(
    ("comment", "place", "is_ours"),
    [
        ("rule_train_wildcards_S_all_constant_0", "", True),
        ("rule_train_wildcards_T_all_constant_0", "", False),
        ("bundle_0123456789ab", "", False),
        ("(null)", "", True),
        ("(null)", "elsewhere", False),
    ],
)
def test_a_number_that_was_given_to_another_job_says_nothing_of_this_one(tmp_path, comment, place, is_ours):
    """After the controller lost its state. A site that replaces comments is known by the working directory."""
    executor, found = Told(tmp_path), job(tmp_path)
    there = QueuedJob("7", "COMPLETED", workdir=tmp_path / place, comment=comment)
    assert after(executor, found, None, others=(there,), unseen=0) == (["success"] if is_ours else [])
    assert after(executor, found, None, others=(there,), unseen=1) == (["success"] if is_ours else ["error"])


def test_a_followed_job_that_began_before_the_cell_was_another_is_not_its_training(tmp_path):
    executor, found = Told(tmp_path), job(tmp_path)
    for path in found.output:
        path.touch()
    began = time.time() - 100
    assert after(executor, found, "COMPLETED", followed=began) == ["again"]
    os.utime(found.input[0], (began - 1, began - 1))
    assert after(executor, found, "COMPLETED", followed=began) == ["success"]


def test_members_of_a_job_of_several_end_each_for_itself(tmp_path):
    executor, found = Told(tmp_path), job(tmp_path)
    folder, comment = note_members(["rule_train_wildcards_S_all_constant_0", "other"], workdir=tmp_path, name="b")
    assert json.loads((folder / MEMBERS).read_text())[1] == "other"
    queue = [QueuedJob("7", "RUNNING", workdir=tmp_path, comment=comment)]
    there = by_comment(queue, workdir=tmp_path)["other"]
    assert (there.job, there.member, there.bundle) == ("7", 1, folder)
    assert after(executor, found, "COMPLETED", bundle=folder, member=0) == ["again"], "its turn did not come"
    (folder / "0.status").write_text("0\n")
    assert after(executor, found, "TIMEOUT", bundle=folder, member=0) == ["success"]
    (folder / "0.status").write_text("1\n")
    assert after(executor, found, "COMPLETED", bundle=folder, member=0) == ["error"]


def request(folder: Path, said: str, *, status: int = 0) -> Request:
    (folder / "sbatch").write_text(f"#!/bin/sh\ncat > {folder}/script\necho '{said}' >&2\necho 12\nexit {status}\n")
    (folder / "sbatch").chmod(0o755)
    call = f"{folder}/sbatch --comment rule_x"
    return Request("study:x", call, "#!/bin/sh\ntrue\n", "rule_x", folder / "%j.log")


def test_what_sbatch_says_is_a_number_no_answer_or_a_refusal(tmp_path):
    assert submit(request(tmp_path, "")) == "12"
    assert (tmp_path / "script").read_text() == "#!/bin/sh\ntrue\n"
    away = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)"
    with pytest.raises(Unanswered, match="connect failure"):
        submit(request(tmp_path, away, status=1))
    with pytest.raises(Refused, match="study:x: sbatch: error: invalid partition specified"):
        submit(request(tmp_path, "sbatch: error: invalid partition specified: x", status=1))


def test_snakemake_of_a_job_runs_the_job_and_the_options_of_the_job_are_no_defaults_of_its_srun(tmp_path):
    """As the plugin's second Snakemake would, without starting it."""
    assert plugin.Executor.additional_general_args(Told(tmp_path)) == ""
    given = {
        "SLURM_JOB_ID": "7",
        "SLURM_NTASKS": "16",
        "SRUN_CPUS_PER_TASK": "8",
        "SBATCH_QOS": "x",
        "PATH": os.environ["PATH"],
    }
    given |= {"SLURM_MEM_PER_NODE": "64000", "SLURM_SUBMIT_DIR": "/", "ABOUT": "SLURM_\nSLURM_NTASKS=2"}
    said = subprocess.run(["/bin/sh"], input=f"{START}env -0", env=given, capture_output=True, text=True, check=True)
    kept = {line.partition("=")[0] for line in said.stdout.split("\0")} & set(given)
    assert kept == {"SLURM_JOB_ID", "SLURM_SUBMIT_DIR", "PATH", "ABOUT"}
    assert said.stderr == ""


@pytest.mark.parametrize(("words", "requeues"), [({"no_requeue": True}, ["--no-requeue"]), ({}, [])])
def test_no_requeue_of_the_profile_is_in_every_submission(tmp_path, words, requeues):
    executor = SimpleNamespace(workflow=SimpleNamespace(executor_settings=plugin.ExecutorSettings(**words)))
    executor.get_account_arg, executor.get_partition_arg = lambda _: iter(["-A lab"]), lambda _: "-p gpu"
    executor.workdir, executor._failed_nodes = tmp_path, set()
    found = job(tmp_path, runtime=5, nodes=1, tasks=1, cpus_per_task=1, slurm_extra="--signal=USR1@120")
    found.threads = 1
    call = _call(found, executor, comment="rule_train", name="study:S", log=tmp_path / "logs/%j.log")
    assert [word for word in call.split() if word.endswith("-requeue")] == requeues
    assert " -t 5 " in call
    assert "--signal=USR1@120" in call


def test_squeue_is_asked_once_for_all_jobs_and_less_and_less_often(tmp_path, monkeypatch):
    """Below two calls a minute from the first, whatever the number of jobs; soon again after the end of one."""
    states, looks = {str(number): "RUNNING" for number in range(50)}, []

    def look() -> list[QueuedJob]:
        looks.append(len(states))
        return [QueuedJob(*each, workdir=tmp_path) for each in states.items()]

    monkeypatch.setattr(plugin, "_look", look)
    here = Told(tmp_path)
    here.workflow.executor_settings = SimpleNamespace(init_seconds_before_status_checks=None)
    here.status_rate_limiter, here.next_seconds_between_status_checks = contextlib.nullcontext(), 40.0
    active = [SubmittedJobInfo(job(tmp_path), external_jobid=number, aux={"since": 0.0}) for number in states]

    async def check() -> list[SubmittedJobInfo]:
        return [info async for info in here.check_active_jobs(active)]

    waits = []
    for n in range(1, 20):
        assert asyncio.run(check()) == active
        assert len(looks) == n
        waits.append(here.next_seconds_between_status_checks)
    assert waits == [*range(50, 181, 10), *[180] * 5]
    states["7"] = "COMPLETED"
    assert len(asyncio.run(check())) == 49
    assert here.told == ["success"]
    assert here.next_seconds_between_status_checks == 40
    here.workflow.executor_settings.init_seconds_before_status_checks = 8
    active = active[8:]
    here.next_seconds_between_status_checks = 8.0
    assert asyncio.run(check()) == active
    assert here.next_seconds_between_status_checks == 10, "a shorter wait grows more slowly, too"


def test_short_cells_of_one_request_are_submitted_together(tmp_path, monkeypatch):
    monkeypatch.setattr("snakemake_executor_plugin_plmscale_slurm.bundles.WAIT", 0.05)
    together = []
    bundles = Bundles(SimpleNamespace(submit=lambda work, jobs: work(jobs)), together.append)  # type: ignore[arg-type]
    assert not bundles.takes(job(tmp_path))
    for memory in (1, 1, 2, 1, 1):
        each = job(tmp_path, cells_per_job=3, mem_mb=memory)
        assert bundles.takes(each)
        bundles.add(each)
    end = time.monotonic() + 20
    while len(together) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert sorted(len(jobs) for jobs in together) == [1, 1, 3]


def test_without_the_plugin_snakemake_starts_nevertheless():
    """As in an environment with Snakemake and plmscale, and not with plmscale[workflow]."""
    code = (
        "import sys; sys.modules['snakemake_executor_plugin_slurm'] = None\n"
        "import snakemake_executor_plugin_plmscale_slurm as plugin\n"
        "try: plugin.Executor(None, None)\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'plmscale[workflow]'" in done.stdout, done.stderr


def test_a_thousand_cells_of_seconds_are_few_jobs_and_eight_are_eight(tmp_path):
    header = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules\n"
    sets = "name\tkind\tmin_identity\tsame_size_as\tn_sequences\ttrain\nall\tall\t\t\t600\tyes\n"
    (tmp_path / "subsets.tsv").write_text(sets)
    (tmp_path / "models.tsv").write_text(header + "S\t1\t16\t64\t1\t4e-3\tconstant\n")
    config = {"source": "x.fasta", "models": "models.tsv", "subsets": "subsets.tsv"}
    for n_seeds, per_job in ((8, 1), (1000, 20)):
        study = load_study(config | {"seeds": list(range(n_seeds))}, base=tmp_path)
        found = grid_resources(study, {})
        assert {each["cells_per_job"] for each in found.values()} == {per_job}
        assert {each["runtime"] for each in found.values()} == {10}, "the least walltime"
        assert {each["shared_minutes"] for each in found.values()} == {3}, "a minute planned, and the start"
