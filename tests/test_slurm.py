"""Studies on a real SLURM of two nodes, through profiles/slurm, with all that clusters do to jobs."""

import json
import shlex
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from plmscale.plan.dispatch import dispatch
from plmscale.study.config import Execution, Hardware
from plmscale.training.attempts import attempts_of, read_events
from plmscale.training.lock import lock_files
from slurm_cluster import HOLDING, PATIENCE, cluster, on_cluster, slurm, soon, write_study  # noqa: F401
from test_faults import Job, outcome, server  # noqa: F401
from test_train import TRAINING, command, data  # noqa: F401
from test_workflow import environment, prepare, snakemake

QUIET = ("--nodes=1", "--mem=100", "--output=/dev/null")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]


def undisturbed(folder: Path, cell: str, server, out: Path) -> tuple[pd.DataFrame, dict]:  # noqa: F811
    """The cell trained here by one process, without SLURM."""
    out.mkdir()
    results = folder / "results"
    files = {"cell": results / f"runs/{cell}/cell.json", "store": results / "store", "metrics": out / "metrics.parquet"}
    files |= {"subset": results / "subsets/all.npy", "holdout": results / "subsets/holdout.npy"}
    files |= {"record": out / "run.json", "checkpoints": out / "checkpoints"}
    options = {f"--{name}": str(path) for name, path in files.items()} | {"--monitors": "none"}
    job = Job(server, out, arguments=[word for pair in options.items() for word in pair])
    assert job.end() == 0, job.log
    return pd.read_parquet(out / "metrics.parquet"), json.loads((out / "run.json").read_text())


def assert_trained_once(record: dict, metrics: pd.DataFrame) -> None:
    """No step that a checkpoint had was taken again, and the run ended once."""
    attempts = record["attempts"]
    assert [each["reason"].partition(":")[0] for each in attempts].count("finished") == 1
    assert attempts[-1]["reason"] == "finished"
    assert attempts[0]["from_step"] == 0
    assert attempts[-1]["to_step"] == record["n_steps"]
    assert all(after["from_step"] == before["to_step"] for before, after in pairwise(attempts))
    assert metrics["step"].tolist() == list(range(1, record["n_steps"] + 1)), "rows are missing, or there twice"
    assert record["device_seconds"] == sum(each["world"] * each["wall_seconds"] for each in attempts)


def reasons_of(folder: Path, cell: str, server, *, tolerance: float = 0.0) -> list[str]:  # noqa: F811
    """Why each attempt at a cell ended, once it is sure that it ends with the numbers of one that nothing befell."""
    metrics, record = outcome(folder / "results/runs" / cell)
    expected, reference = undisturbed(folder, cell, server, folder / f"undisturbed-{cell.partition('/')[0]}")
    assert_trained_once(record, metrics)
    np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=tolerance)
    assert metrics.drop(columns="loss").equals(expected.drop(columns="loss"))
    assert record["holdout"]["loss"] == pytest.approx(reference["holdout"]["loss"], rel=tolerance)
    return [each["reason"].partition(":")[0] for each in record["attempts"]]


@pytest.fixture(scope="module")
def counted(tmp_path_factory) -> Path:
    """A study whose data are ready: two cells of one device, and one of two nodes."""
    folder = write_study(tmp_path_factory.mktemp("study") / "study", "C", "D", "T")
    snakemake(folder, "results/subsets/all.npy", "results/subsets/holdout.npy")
    return folder


def test_a_study_outlives_snakemake_a_full_queue_scancel_requeue_and_walltime(on_cluster, tmp_path, server):  # noqa: F811
    """From the proteins to the summary, every job on SLURM. One node is somebody else's."""
    a, b, c = cells = [f"{name}/all/constant/seed0" for name in "ABC"]
    here = on_cluster(write_study(tmp_path / "study", *"ABC"))
    for n_gpus in (4, 2):
        busy = slurm("sbatch", "--parsable", f"--gpus-per-node={n_gpus}", *QUIET, "--wrap=sleep 3600")
    here.start(*(f"results/runs/{cell}/run.json" for cell in cells))
    here.until(lambda: len(here.held()) == 2 and "Resources" in slurm("squeue", "--noheader", "--format=%r"))
    before = slurm("squeue", "--noheader", "--format=%i %j")
    assert all(f"study:{name}/all/constant/0" in before for name in "ABC"), "names say study and cell"
    here.kill()
    shutil.rmtree(here.folder / ".snakemake/locks")
    here.start("results/summary.txt")
    here.until(lambda: here.whole_log().count("already, which is followed") == 3)
    assert slurm("squeue", "--noheader", "--format=%i %j") == before, "a job was submitted a second time"
    slurm("scancel", busy)
    here.until(lambda: set(here.held()) == set(cells))
    jobs = here.held()

    slurm("scontrol", "update", f"JobId={jobs[c]}", f"TimeLimit={soon(jobs[c])}")
    slurm("scancel", jobs[a])
    slurm("scontrol", "requeue", jobs[b])
    for cell in cells:
        here.until(lambda cell=cell: here.ended(cell))
        here.let_go(cell)
    here.until(lambda: here.done(*cells))
    here.end()
    assert (here.folder / "results/summary.txt").read_text(), "the study was not gone through to its end"
    assert "failed, SLURM status is" not in here.whole_log(), "a walltime, a requeue and scancel are no failures"
    reasons = [reasons_of(here.folder, cell, server)[0] for cell in cells]
    assert reasons == ["SIGTERM", "SIGTERM", "SIGUSR1"]


def test_a_study_outlives_an_outage_of_the_controller(cluster, on_cluster, counted, tmp_path, server):  # noqa: F811
    """Away for 20 s when the first job is to be submitted, and for 40 s in which that job ends; nothing may fail."""
    cell = "D/all/constant/seed0"
    here = on_cluster(shutil.copytree(counted, tmp_path / "study"))
    for seconds in (20, 40):
        cluster.stop_controller()
        if here.process is None:
            here.start(f"results/runs/{cell}/run.json", "--retries", "0")
        else:
            here.let_go(cell)
        time.sleep(seconds)
        assert here.process and here.process.poll() is None, here.said()
        cluster.start_controller()
        here.until(lambda: cell in here.held() or here.done(cell))
    here.end()
    assert "controller answers again" in here.whole_log()
    assert reasons_of(here.folder, cell, server) == ["finished"]


LATE = """
import os, pathlib, time

held = pathlib.Path(os.environ["HOLD"], "starts")
while os.environ.get("SLURM_JOB_ID") and held.exists():
    time.sleep(0.1)
"""
"""A sitecustomize: every Python of a job waits, so before its srun, while there is a file of this name."""


def test_a_job_that_starts_while_the_controller_is_away_waits_for_it(cluster, on_cluster, counted, tmp_path, server):  # noqa: F811
    """The job has its node, and is about to call srun, which fails at once without a controller."""
    cell = "D/all/constant/seed0"
    here = on_cluster(shutil.copytree(counted, tmp_path / "study"))
    (here.folder / "modules/sitecustomize.py").write_text(LATE)
    held = here.folder / "hold/starts"
    held.touch()
    here.let_go(cell)
    here.start(f"results/runs/{cell}/run.json", "--retries", "0")
    here.until(lambda: slurm("squeue", "--noheader", "--states=RUNNING"))
    cluster.stop_controller(saved=True)  # it would else not know that the job runs, and start it again
    held.unlink()
    log = here.folder / "results/runs" / cell / "attempts.log"
    here.until(lambda: log.exists() and "srun waits for its controller" in log.read_text())
    cluster.start_controller()
    here.end()
    assert reasons_of(here.folder, cell, server) == ["finished"]


def test_cells_that_share_a_job_go_on_after_it_was_cancelled(on_cluster, counted, tmp_path, server):  # noqa: F811
    """The job of both ends while one is trained and the other waits; each is trained to its end, and once."""
    cells = {f"{name}/all/constant/seed0" for name in "CD"}
    here = on_cluster(shutil.copytree(counted, tmp_path / "study"))
    targets = [f"results/runs/{cell}/run.json" for cell in cells]
    here.start(*targets, "--plmscale-slurm-no-requeue", cells_per_job=2)
    here.until(here.held)
    (first,) = here.held()
    queue = slurm("squeue", "--noheader", "--format=%i|%j|%T").splitlines()
    assert len(queue) == 1, "one job for both"
    job, name, state = queue[0].split("|")
    assert (job, state) == (here.held()[first], "RUNNING")
    assert name.startswith("study:2 cells:")
    assert "Requeue=0" in slurm("scontrol", "show", "job", job).split()
    slurm("scancel", job)
    here.until(lambda: here.ended(first))
    (second,) = cells - {first}
    assert not (here.folder / "results/runs" / second / "attempts.jsonl").exists(), "it had not begun"
    for cell in cells:
        here.let_go(cell)
    here.until(lambda: here.done(*cells))
    here.end()
    assert "failed, SLURM status is" not in here.whole_log()
    assert reasons_of(here.folder, first, server) == ["SIGTERM", "finished"]
    assert reasons_of(here.folder, second, server) == ["finished"]


def test_a_cell_of_two_nodes_is_preempted_and_ends_as_one_process_would(on_cluster, counted, tmp_path, server):  # noqa: F811
    """Two ranks under DeepSpeed; a job of a partition with priority takes both nodes."""
    cell = "T/all/constant/seed0"
    here = on_cluster(shutil.copytree(counted, tmp_path / "study"))
    here.start(f"results/runs/{cell}/run.json")
    here.until(lambda: cell in here.held())
    job = here.held()[cell]
    slurm("sbatch", "--partition=urgent", "--nodes=2", "--gpus-per-node=4", "--output=/dev/null", "--wrap=true")
    here.until(lambda: here.ended(cell))
    here.let_go(cell)
    here.until(lambda: here.done(cell))
    here.end()
    # Two ranks add up gradients in another order, in single precision.
    assert reasons_of(here.folder, cell, server, tolerance=2e-4)[0] == "SIGTERM"
    first = json.loads((here.folder / f"results/runs/{cell}/run.json").read_text())["attempts"][0]
    assert (first["nodes"], first["world"], first["slurm_job"]) == (2, 2, job)


def test_a_cell_goes_on_after_its_node_was_lost(cluster, on_cluster, counted, tmp_path, server):  # noqa: F811
    """All processes of the node get SIGKILL; it returns when SLURM has noticed."""
    cell = "D/all/constant/seed0"
    here = on_cluster(shutil.copytree(counted, tmp_path / "study"))
    here.start(f"results/runs/{cell}/run.json")
    here.until(lambda: cell in here.held())
    lost = slurm("squeue", "--noheader", "--jobs", here.held()[cell], "--format=%N")
    cluster.do("lose", lost)
    here.until(lambda: "down" in slurm("sinfo", "--noheader", "--nodes", lost, "--format=%t"))
    here.let_go(cell)
    here.until(lambda: here.done(cell))
    cluster.do("return", lost)
    here.end()
    assert reasons_of(here.folder, cell, server) == ["killed", "finished"]


def test_the_warning_reaches_the_ranks_of_a_node_through_torchrun(cluster, data, tmp_path):  # noqa: F811
    """As the rule starts them with the profile; the signal is sent as SLURM sends it, to the steps of the job."""
    hardware = Hardware(devices_per_node=2, cpus_per_device=1)
    how = dispatch(1, devices_per_node=2, hardware=hardware, execution=Execution())
    assert str(how["launcher"]).startswith("torchrun --standalone --nproc-per-node=2")
    step = f"srun --nodes=1 --ntasks={how['step_tasks']} --cpus-per-task={how['cpus_per_task']} --kill-on-bad-exit=1"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/wandb.py").write_text(HOLDING)
    (tmp_path / "tiny-s-token_decay-seed0").touch()
    run = tmp_path / "run"
    cell = {"training": TRAINING | {"log_every_steps": 1}}
    launcher = [*step.split(), *str(how["launcher"]).split()]
    words = command(data, run, launcher=launcher, cell=cell, monitors="wandb", checkpoint_tokens=4000)
    env = environment() | {"HOLD": str(tmp_path)}
    env["PYTHONPATH"] = f"{tmp_path / 'modules'}:{env['PYTHONPATH']}"
    sbatch = ["sbatch", "--parsable", "--output", str(tmp_path / "log"), "--nodes=1", "--mem=1000"]
    sbatch += [*str(how["slurm_extra"]).split(), f"--cpus-per-task={how['cpus_per_task']}", "--wrap", shlex.join(words)]
    job = subprocess.run(sbatch, env=env, check=True, capture_output=True, text=True).stdout.strip()
    end = time.monotonic() + PATIENCE
    while not (run / "metrics.jsonl").exists() or (run / "metrics.jsonl").read_text().count("\n") < 12:
        assert time.monotonic() < end, (tmp_path / "log").read_text()
        time.sleep(0.1)
    holder = lock_files(run)[-1].holder
    assert holder
    assert holder.slurm_job == job
    seen_by_it = Path(f"/proc/{holder.pid}/environ").read_text().split("\0")
    assert "CUDA_VISIBLE_DEVICES=0,1" in seen_by_it
    slurm("scancel", "--signal=USR1", job)
    while slurm("squeue", "--noheader", "--jobs", job, "--states=RUNNING,COMPLETING"):
        assert time.monotonic() < end, (tmp_path / "log").read_text()
        time.sleep(0.1)
    (attempt,) = attempts_of(read_events(run / "attempts.jsonl"))
    assert attempt["reason"].startswith("SIGUSR1")
    assert (attempt["world"], attempt["nodes"]) == (2, 1)
    assert attempt["to_step"] >= 12
    assert (run / f"checkpoints/step{attempt['to_step']}").is_dir()


# From nothing to a trained cell, with no file edited

ASKED = {"device": "gpu", "devices_per_node": 1, "cpus_per_device": 1, "startup_seconds": 0}


def test_a_study_is_begun_asked_after_and_trained(cluster, tmp_path):  # noqa: F811
    folder = prepare(tmp_path / "study", hardware=ASKED)

    def plmscale(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "plmscale", *words]
        return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=PATIENCE)

    begun = plmscale("init", ".", "--cpu-partition", "urgent", "--gpu-partition", "gpu", "--configfile", "config.yaml")
    assert begun.returncode == 0, begun.stderr
    assert yaml.safe_load((folder / "my.yaml").read_text())["hardware"]["devices_per_node"] == 4
    planned = plmscale("plan", "--configfile", "my.yaml")
    assert planned.returncode == 0, planned.stderr
    asked = plmscale("doctor", "--partition", "gpu", "--wait", "240")
    failed = [line for line in asked.stdout.splitlines() if line.startswith("failed")]
    assert len(failed) == 1, asked.stdout + asked.stderr
    assert "partition gpu: GPU" in failed[0], "a GPU of the tests is a character device"
    assert "ok       partition gpu: clock of the node" in asked.stdout
    assert "ok       login node: MinJobAge: 300 s" in asked.stdout
    words = ["--config", "cell=S/all/constant/seed0", "--configfile", "my.yaml", "--profile", "profile"]
    often = ["--", "--plmscale-slurm-init-seconds-before-status-checks", "1", "--latency-wait", "15"]
    trained = plmscale("run", "cell", *words, *often)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert (folder / "results/runs/S/all/constant/seed0/run.json").exists()
