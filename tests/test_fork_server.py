"""Jobs that are forks of one process: as if each had been started by itself."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from plmscale.cli.in_jobs.fork_client import ADDRESS
from plmscale.cli.in_jobs.fork_server import fork_server
from test_train import N_STEPS, TRAINING, command, data, environment, train  # noqa: F401

SLOW = {"training": TRAINING | {"log_every_steps": 1}}


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with fork_server(engine="torch", keep=()) as variables:
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


@pytest.mark.parametrize("variables", [{"OMP_NUM_THREADS": "2"}, {ADDRESS: "/nowhere"}])
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
    with fork_server(engine="torch", keep=()) as variables:
        folder = Path(variables[ADDRESS]).parent
        wait_until(Path(variables[ADDRESS]).exists)
        assert folder.stat().st_mode & 0o077 == 0, "somebody else could have jobs done"
    assert not folder.exists()
