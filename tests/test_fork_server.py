"""Jobs that are forks of one process: as if each had been started by itself."""

import os
import re
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from conftest import ROOT
from plmscale.cli.in_jobs.fork_client import SCRIPT_SERVER, TRAINING_SERVER
from plmscale.cli.in_jobs.fork_server import fork_servers
from test_train import N_STEPS, TRAINING, command, data, environment, train  # noqa: F401

SLOW = {"training": TRAINING | {"log_every_steps": 1}}


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with fork_servers(engine="torch", keep=()) as variables:
        yield environment() | variables


def begin(data: Path, out: Path, env: dict[str, str], **options) -> subprocess.Popen[str]:  # noqa: F811
    words = command(data, out, engine="torch", **options)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)


def jobs_of(out: Path) -> list[int]:
    """Processes that have a file of this folder open for writing or lock there: the job, wherever it runs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            files = [str(one.readlink()) for one in (process / "fd").iterdir()]
        except OSError:
            continue
        if any(one.startswith(f"{out}/") for one in files):
            found.append(int(process.name))
    return found


def wait_until(condition, *, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_a_fork_trains_what_a_new_process_trains(server, data, tmp_path):  # noqa: F811
    metrics, _ = train(data, tmp_path / "alone", engine="torch")
    for name in ("first", "second"):  # the second finds a server that has forked before
        job = begin(data, tmp_path / name, server)
        said, _ = job.communicate(timeout=300)
        assert job.returncode == 0, said
        assert f"step {N_STEPS}" in said or "holdout" in said, "its output is the client's"
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / name / "metrics.parquet"), metrics)
        same = [(tmp_path / one / "model.safetensors").read_bytes() for one in ("alone", name)]
        assert same[0] == same[1]


def test_a_job_is_not_a_child_of_its_client(server, data, tmp_path):  # noqa: F811
    """Else the other tests of this file say nothing: the client would have trained by itself."""
    job = begin(data, tmp_path, server, cell=SLOW)
    wait_until(lambda: set(jobs_of(tmp_path)) - {job.pid} or job.poll() is not None)
    assert job.poll() is None
    assert "torch" not in Path(f"/proc/{job.pid}/maps").read_text(), "the client has imported torch"
    assert job.wait(300) == 0


def test_a_signal_reaches_the_job_which_goes_on_later(server, data, tmp_path):  # noqa: F811
    whole, _ = train(data, tmp_path / "whole", engine="torch", cell=SLOW)
    out = tmp_path / "stopped"
    job = begin(data, out, server, cell=SLOW, checkpoint_tokens=3000)
    wait_until(lambda: list(out.glob("checkpoints/step*")) or job.poll() is not None)
    job.send_signal(signal.SIGTERM)
    said, _ = job.communicate(timeout=300)
    assert "stopped on request" in said
    assert job.returncode == 75, "as a job that goes on later"
    again = begin(data, out, server, cell=SLOW, checkpoint_tokens=3000)
    assert again.wait(300) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(out / "metrics.parquet"), whole)


def test_a_job_dies_with_its_client(server, data, tmp_path):  # noqa: F811
    job = begin(data, tmp_path, server, cell=SLOW, checkpoint_tokens=3000)
    wait_until(lambda: list(tmp_path.glob("checkpoints/step*")))
    job.kill()
    wait_until(lambda: not jobs_of(tmp_path))
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("variables", [{"OMP_NUM_THREADS": "2"}, {TRAINING_SERVER: "/nowhere"}])
def test_without_a_server_of_its_environment_a_job_starts_by_itself(server, data, tmp_path, variables):  # noqa: F811
    first = begin(data, tmp_path / "first", server)
    assert first.wait(300) == 0
    job = begin(data, tmp_path / "second", server | variables)
    wait_until(lambda: "libtorch" in _maps(job.pid) or job.poll() is not None)
    assert job.poll() is None, "it trains itself"
    assert job.wait(300) == 0


def _maps(process: int) -> str:
    try:
        return Path(f"/proc/{process}/maps").read_text()
    except OSError:
        return ""


def test_a_job_that_cannot_be_read_says_so(server):
    job = subprocess.run(
        [sys.executable, "-m", "plmscale", "train", "--cell", "x"], env=server, capture_output=True, text=True
    )
    assert job.returncode == 2
    assert "the following arguments are required" in job.stderr


def test_the_server_ends_with_the_study():
    with fork_servers(engine="torch", keep=()) as variables:
        folder = Path(variables[TRAINING_SERVER]).parent
        wait_until(lambda: {one.name for one in folder.iterdir()} == {"training", "scripts"})
        assert folder.stat().st_mode & 0o077 == 0, "somebody else could have jobs done"
    assert not folder.exists()


# Scripts of the workflow

SCRIPT = f"""
import sys; sys.path.insert(0, {str(ROOT / "workflow/scripts")!r})
import os, types
snakemake = types.SimpleNamespace(input={{}}, output={{}}, params={{"words": sys.argv[1:]}}, log=["log"], rule="test")
snakemake.threads = int(os.environ.get("N_THREADS", "1"))
snakemake.bench_iteration = 0 if "MEASURED" in os.environ else None
print("client", os.getpid(), flush=True)

from _job import run

from plmscale.errors import InputError
from plmscale.laws.methods import fit_curves


def main(*, words):
    print("main", os.getpid(), fit_curves.__name__, __name__, *words)
    if "refuse" in words:
        raise InputError("no such protein")
    if "fail" in words:
        raise RuntimeError("a fault")


run(main, snakemake)
"""


def script(folder: Path, *words: str, env: dict[str, str]) -> tuple[subprocess.CompletedProcess[str], bool]:
    """A script as Snakemake starts it, and whether a fork of the server went on with it."""
    folder.mkdir()
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "script.py", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    processes = [line.split()[1] for line in done.stdout.splitlines()]
    return done, processes[-1] != processes[0]


def without_numbers(said: str) -> list[str]:
    """Without ids of processes, and times."""
    return [re.sub(r"\d+", "N", line) for line in said.splitlines()]


@pytest.mark.parametrize("words", [(), ("a b",), ("refuse",), ("fail",)])
def test_a_script_says_and_logs_in_a_fork_what_it_would_by_itself(server, tmp_path, words):
    one = {"OMP_NUM_THREADS": "1"}
    alone, is_fork = script(tmp_path / "alone", *words, env=environment() | one)
    assert not is_fork
    forked, is_fork = script(tmp_path / "forked", *words, env=server | one)
    assert is_fork
    assert forked.returncode == alone.returncode == (1 if words in (("refuse",), ("fail",)) else 0)
    assert without_numbers(forked.stdout)[-1] == without_numbers(alone.stdout)[-1]
    assert forked.stderr.splitlines()[-1:] == alone.stderr.splitlines()[-1:]
    logs = [without_numbers((tmp_path / name / "log").read_text()) for name in ("alone", "forked")]
    assert logs[0][-1:] == logs[1][-1:]


@pytest.mark.parametrize("variables", [{"N_THREADS": "2"}, {"MEASURED": "yes"}, {SCRIPT_SERVER: "/nowhere"}])
def test_a_script_of_several_threads_or_measured_or_without_a_server_runs_by_itself(server, tmp_path, variables):
    done, is_fork = script(tmp_path / "run", env=server | {"OMP_NUM_THREADS": "1"} | variables)
    assert done.returncode == 0
    assert not is_fork


def test_another_python_has_its_jobs_itself(server, tmp_path):
    """As with an environment of conda for the rules, or in a container that sees the socket."""
    venv.create(tmp_path / "other", system_site_packages=False, symlinks=True)
    folders = [str(ROOT / "src"), *(path for path in sys.path if path.endswith("site-packages"))]
    env = server | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(folders)}
    (tmp_path / "script.py").write_text(SCRIPT)
    for python, n_processes in ((sys.executable, 2), (str(tmp_path / "other/bin/python"), 1)):
        done = subprocess.run([python, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert len({line.split()[1] for line in done.stdout.splitlines()}) == n_processes
