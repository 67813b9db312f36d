"""The lock of a cell, by real processes."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from plmscale.training import lock
from plmscale.training.interruption import INTERRUPTED
from plmscale.training.lock import CellLock, Holder, lock_files
from test_train import command, data, environment, train  # noqa: F401

CONTEST = """
import os, sys, time
from pathlib import Path
from plmscale.training.lock import CellLock
folder, me, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for n in range(rounds):
    if os.fork():
        assert os.wait()[1] == 0
        continue
    lock = CellLock(folder)
    while lock.take():
        time.sleep(0.001)
    inside = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)  # fails if another is in
    with (folder / "log").open("a") as log:
        log.write(f"{me} {n}\\n")
    os.unlink(folder / "inside")
    if n % 3:
        lock.release()
    os._exit(0)
"""


def test_of_many_processes_one_is_inside_at_a_time(tmp_path):
    """Six times thirty; a third of the locks is left behind by a process that died with it."""
    words = [sys.executable, "-c", CONTEST, str(tmp_path)]
    contest = [subprocess.Popen([*words, str(i), "30"], stderr=subprocess.PIPE, text=True) for i in range(6)]
    for process in contest:
        assert process.wait(timeout=120) == 0, process.stderr and process.stderr.read()
    assert len((tmp_path / "log").read_text().splitlines()) == 180


KILLED = """
import os, signal
from pathlib import Path
from plmscale.training.lock import CellLock
os.link = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
CellLock(Path.cwd()).take()
"""


def test_killed_while_it_takes_the_lock_it_leaves_nothing(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=environment())
    assert killed.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_wants_names_has_the_same_lock(tmp_path, monkeypatch):
    def refused(*_: object) -> bool:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(lock, "_link_unnamed", refused)
    first, second = CellLock(tmp_path), CellLock(tmp_path)
    assert first.take() is None
    assert second.take() == lock_files(tmp_path)[0].holder
    assert [path.name for path in tmp_path.iterdir()] == ["lock.1"]
    first.release()
    assert second.take() is None
    second.release()


def sleeper(folder: Path) -> subprocess.Popen:
    """A process that holds the lock until it is killed."""
    code = "from plmscale.training.lock import *; import time; "
    code += f"l = CellLock(Path({str(folder)!r})); print(l.take(), flush=True)"
    process = subprocess.Popen([sys.executable, "-c", f"{code}; time.sleep(1000)"], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "None\n"
    return process


def test_a_killed_holder_is_succeeded_and_a_living_one_is_not(tmp_path):
    process = sleeper(tmp_path)
    waiting = CellLock(tmp_path)
    holder = waiting.take()
    assert holder and holder.pid == process.pid
    process.kill()
    process.wait()
    assert waiting.take() is None
    assert waiting.held()
    assert waiting.last_seen == pytest.approx(time.time(), abs=60)
    waiting.release()
    assert not lock_files(tmp_path)


def test_a_holder_on_another_machine_lives_as_long_as_it_gives_signs(tmp_path):
    far = replace(Holder.here(), host="another", boot="another", pid=1)
    held = tmp_path / "lock.1"
    held.write_text(json.dumps(vars(far)))
    waiting = CellLock(tmp_path, silent=0.4)
    for n in range(8):
        assert waiting.take() == far, "it gave a sign of life"
        os.utime(held, (n, n))  # by another machine's clock, which is wrong
        time.sleep(0.1)
    began = time.monotonic()
    while waiting.take():
        time.sleep(0.02)
    assert time.monotonic() - began > 0.25
    waiting.release()


def test_a_suspended_job_of_another_machine_is_not_taken_for_dead(tmp_path, monkeypatch):
    """What SLURM says is a stand-in's word here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "squeue").write_text('#!/bin/sh\n[ "$3" = 77 ] && cat ' + str(tmp_path / "state") + "\n")
    (programs / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    far = replace(Holder.here(), host="another", slurm_job="77")
    (tmp_path / "lock.1").write_text(json.dumps(vars(far)))
    (tmp_path / "state").write_text("SUSPENDED\n")
    waiting = CellLock(tmp_path, silent=0.0)
    assert waiting.take() == far
    assert waiting.take() == far
    (tmp_path / "state").write_text("COMPLETED\n")
    assert waiting.take() is None
    waiting.release()


def test_a_machine_that_was_started_again_holds_nothing(tmp_path):
    (tmp_path / "lock.1").write_text(json.dumps(vars(replace(Holder.here(), boot="before"))))
    lock = CellLock(tmp_path)
    assert lock.take() is None
    lock.release()


QUICK = {"engine": "torch", "monitors": "none"}


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):  # noqa: F811
    return train(data, tmp_path_factory.mktemp("undisturbed"), **QUICK)


def second_job(data, out: Path, **environ: str) -> subprocess.Popen:  # noqa: F811
    """The same cell again, as Snakemake submits it: the declared outputs are removed first."""
    for name in ("run.json", "metrics.parquet"):
        (out / name).unlink(missing_ok=True)
    with (out / "log").open("w") as log:
        return subprocess.Popen(command(data, out, **QUICK), stdout=log, stderr=log, env=environment() | environ)


def stopped_in_training(data, out: Path, words: list[str], **environ: str) -> subprocess.Popen:  # noqa: F811
    """A job held still in the middle of its training."""
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, env=environment() | environ)
    while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").stat().st_size:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)
    return process


def test_a_second_job_waits_for_the_first_and_takes_its_result(undisturbed, data, tmp_path):  # noqa: F811
    first = stopped_in_training(data, tmp_path, command(data, tmp_path, **QUICK))
    second = second_job(data, tmp_path)
    while "is being trained already by process" not in (tmp_path / "log").read_text():
        assert second.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGCONT)
    assert first.wait() == second.wait() == 0
    record = json.loads((tmp_path / "run.json").read_text())
    assert [each["reason"] for each in record["attempts"]] == ["finished"], "it was trained once"
    assert record["resumed_at_steps"] == []
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "metrics.parquet"), undisturbed[0], check_exact=True)
    assert not list(tmp_path.glob("lock.*"))
    assert not list(tmp_path.glob(".lock-*"))


def test_a_duplicate_that_slurm_submitted_leaves_at_once(undisturbed, data, tmp_path):  # noqa: F811
    """It would hold its nodes for nothing; who submitted it follows the job that trains the cell."""
    words = command(data, tmp_path, **QUICK)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/squeue").write_text("#!/bin/sh\necho RUNNING\n")
    (tmp_path / "bin/squeue").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    first = stopped_in_training(data, tmp_path, words, SLURM_JOB_ID="7")
    second = second_job(data, tmp_path, SLURM_JOB_ID="8", PLMSCALE_DUPLICATES="leave", PATH=path)
    assert second.wait() == INTERRUPTED
    assert "SLURM job 7" in (tmp_path / "log").read_text()
    first.send_signal(signal.SIGCONT)
    assert first.wait() == 0
    record = json.loads((tmp_path / "run.json").read_text())
    assert [each["slurm_job"] for each in record["attempts"]] == ["7"], "the duplicate is no attempt"


def test_killed_while_another_waits_it_is_gone_on_with(undisturbed, data, tmp_path):  # noqa: F811
    words = command(data, tmp_path, checkpoint_tokens=3000, **QUICK)
    first = stopped_in_training(data, tmp_path, words)
    second = second_job(data, tmp_path)
    while "is being trained already" not in (tmp_path / "log").read_text():
        assert second.poll() is None
        time.sleep(0.02)
    first.kill()
    first.wait()
    assert second.wait() == 0
    assert "took over the lock of process" in (tmp_path / "log").read_text()
    record = json.loads((tmp_path / "run.json").read_text())
    assert [each["reason"] for each in record["attempts"]] == ["killed", "finished"]
    assert record["device_seconds"] == sum(each["wall_seconds"] for each in record["attempts"])
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "metrics.parquet"), undisturbed[0], check_exact=True)
