"""A run that cannot be lost: kills, signals, damaged checkpoints, full disks, other numbers of ranks.

The oracle of every test here is the same run undisturbed.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forked
from plmscale.cli.main import parser_of
from plmscale.plan.dispatch import stoppable
from plmscale.training.checkpoints import Checkpoints
from plmscale.training.engine import joined_ranks
from plmscale.training.interruption import StopRequest
from plmscale.training.manifest import check, files_of, unseal
from plmscale.training.trainer import Run
from test_train import SIZE, TRAINING, command, data, environment, torchrun, train  # noqa: F401

CELL = {"training": TRAINING | {"log_every_steps": 1}}
INTERVAL = 3000
"""Tokens between checkpoints: every third or fourth of 24 steps."""


class Job:
    """A training job of the server."""

    def __init__(self, server: subprocess.Popen, out: Path, **options) -> None:
        self._server, self.out = server, out
        largest_file = options.pop("largest_file", 0)
        arguments = options.pop("arguments")
        (out / "log").write_text("")
        self._before = self._seen("**/*")
        job = {"arguments": arguments, "log": str(out / "log"), "largest_file": largest_file}
        assert server.stdin and server.stdout
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        self.pid = int(server.stdout.readline())

    def alive(self) -> bool:
        """Whether it has not ended."""
        state = Path(f"/proc/{self.pid}/stat")
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"

    def wait_for(self, pattern: str) -> None:
        """Wait until a file matches, or the job ends."""
        self.wait_until(lambda: bool(list(self.out.glob(pattern))))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for it, or until the job ends."""
        while self.alive() and not condition():
            time.sleep(0.0005)

    def changed(self, pattern: str) -> bool:
        """Whether a file or folder matches that was not there, or was another, when the job began."""
        return bool(self._seen(pattern) - self._before)

    def _seen(self, pattern: str) -> set[tuple[Path, int]]:
        seen = set()
        for path in self.out.glob(pattern):
            with suppress(FileNotFoundError):  # removed meanwhile
                seen.add((path, path.stat().st_ino))
        return seen

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.alive():
            os.kill(self.pid, number)

    def end(self) -> int:
        """Wait for it; its status, negative for a signal."""
        assert self._server.stdout
        return int(self._server.stdout.readline())

    @property
    def log(self) -> str:
        """What it wrote to its log."""
        return (self.out / "log").read_text()


@pytest.fixture(scope="session")
def server() -> subprocess.Popen:
    return forked.server("training", of="jobs")


def begin(server, data, out: Path, **options) -> Job:  # noqa: F811
    """Start a job of the server."""
    largest_file = options.pop("largest_file", 0)
    options = {"engine": "torch", "checkpoint_tokens": INTERVAL, "cell": CELL} | options
    return Job(server, out, arguments=command(data, out, **options)[4:], largest_file=largest_file)


@pytest.fixture
def start(server, data, tmp_path):  # noqa: F811
    """Start a job in this test's folder, again and again."""
    return partial(begin, server, data, tmp_path)


@pytest.fixture(scope="module")
def undisturbed_by_engine(server, data, tmp_path_factory):  # noqa: F811
    """Metrics and record of the undisturbed run of each engine."""

    def run(engine: str) -> tuple[pd.DataFrame, dict]:
        out = tmp_path_factory.mktemp("expected")
        job = begin(server, data, out, engine=engine, checkpoint_tokens=10**9)
        assert job.end() == 0, job.log
        return outcome(out)

    return {engine: run(engine) for engine in ("torch", "deepspeed")}


@pytest.fixture
def expected(undisturbed_by_engine):
    """The undisturbed run of the torch engine."""
    return undisturbed_by_engine["torch"]


def outcome(out: Path) -> tuple[pd.DataFrame, dict]:
    return pd.read_parquet(out / "metrics.parquet"), json.loads((out / "run.json").read_text())


def assert_same(out: Path, expected) -> dict:
    """Metrics and holdout are those of the undisturbed run, bit for bit. Returns the record."""
    metrics, record = outcome(out)
    pd.testing.assert_frame_equal(metrics, expected[0], check_exact=True)
    assert record["holdout"] == expected[1]["holdout"]
    assert record["status"] == "done"
    return record


def lost_steps(out: Path) -> int:
    """Steps that the log has and the newest checkpoint lacks."""
    lines = (out / "metrics.jsonl").read_text().split("\n")
    logged = json.loads(lines[-2])["step"] if len(lines) > 1 else 0
    return logged - max([0, *Checkpoints(out / "checkpoints").steps()])


def kill(job: Job, kind: str, rng: random.Random) -> None:
    """Kill a job while it starts or trains, at random, while it writes a checkpoint, or when one is there."""
    if kind == "starting":
        time.sleep(rng.uniform(0.0, 0.3))
    elif kind == "training":
        job.wait_until(lambda: job.changed("metrics.jsonl"))
        time.sleep(rng.uniform(0.0, 0.1))
    else:
        job.wait_until(lambda: job.changed("checkpoints/partial-step*" if kind == "writing" else "checkpoints/step*"))
        time.sleep(rng.uniform(0.0, 0.004))
    job.send(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "n_kills"), [("torch", 20), ("deepspeed", 6)])
def test_killed_again_and_again_it_loses_no_more_than_an_interval(start, tmp_path, capsys, engine, n_kills):
    options = {
        "engine": engine,
        "checkpoint_tokens": 1000,
        "cell": {"training": CELL["training"] | {"batch_tokens": 250}},
    }
    assert start(**options).end() == 0
    expected = outcome(tmp_path)
    for name in ("run.json", "metrics.parquet", "finished.json"):
        (tmp_path / name).unlink()
    rng, n_half_written, attempts = random.Random(0), 0, []
    for attempt in range(n_kills):
        kind = ["writing", "training", "written", "starting"][attempt % 4]
        job = start(**options)
        kill(job, kind, rng)
        assert job.end() == -signal.SIGKILL, f"it ended before kill {attempt + 1}: {job.log}"
        n_half_written += job.changed("checkpoints/partial-step*")
        attempts.append(max([0, *Checkpoints(tmp_path / "checkpoints").steps()]))
        if (tmp_path / "metrics.jsonl").exists():
            assert lost_steps(tmp_path) <= 6, "more than an interval is lost"
    assert start(**options).end() == 0
    record = assert_same(tmp_path, expected)
    with capsys.disabled():
        print(
            f"\n{engine}: {n_kills} kills, {n_half_written} of which left a half-written checkpoint; newest whole one"
        )
        print(f"after each: step {attempts} of {record['n_steps']}; metrics and holdout identical")
    assert set(record["resumed_at_steps"]) <= set(attempts)
    assert n_half_written >= n_kills // 10
    assert record["discarded_checkpoints"] == [], "a kill left a checkpoint that looked complete"


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("before training", signal.SIGUSR1),
        ("writing", signal.SIGTERM),
        ("written", signal.SIGUSR1),
        ("twice", signal.SIGTERM),
    ],
)
def test_asked_to_stop_at_any_moment_it_goes_on_from_there(start, expected, tmp_path, moment, number):
    job = start()
    if moment != "before training":
        job.wait_for(f"checkpoints/{'partial-*' if moment == 'writing' else 'step*'}")
    job.send(number)
    if moment == "twice":
        job.send(number)
    status = job.end()
    if moment == "before training":
        assert status in (75, -number), job.log
    else:
        assert status == 75, job.log
        assert lost_steps(tmp_path) == 0, "it left without a checkpoint"
    assert not (tmp_path / "run.json").exists()
    assert start().end() == 0
    assert_same(tmp_path, expected)


def test_asked_to_stop_in_the_evaluation_it_does_not_train_again(start, tmp_path):
    options = {"micro_batch_tokens": 30}  # makes the evaluation long
    job = start(**options)
    job.wait_for("checkpoints/step24")
    job.send(signal.SIGTERM)
    assert job.end() == 75, job.log
    assert "the last checkpoint is of step 24" in job.log
    assert start(**options).end() == 0
    assert outcome(tmp_path)[1]["resumed_at_steps"] == [24]


def test_a_file_size_limit_costs_checkpoints_and_nothing_else(start, expected, tmp_path):
    assert start(largest_file=200_000).end() == 0  # weights have 110 kB, weights and moments 330 kB
    record = assert_same(tmp_path, expected)
    assert [failed["step"] for failed in record["failed_checkpoints"]] == [4, 8, 12, 16, 20, 24]
    assert not list(tmp_path.glob("checkpoints/*"))


@pytest.fixture
def small_disk(tmp_path_factory) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, *, leave: int) -> Path:
    """Leave so many bytes of room on a disk."""
    filler = folder / "filler"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    filler.write_bytes(bytes(free - leave))
    return filler


def test_a_full_disk_of_checkpoints_costs_checkpoints_and_nothing_else(small_disk, start, expected, tmp_path):
    fill(small_disk, leave=200_000)
    assert start(checkpoints=small_disk / "checkpoints", checkpoint_tokens=8000).end() == 0
    record = assert_same(tmp_path, expected)
    assert [failed["step"] for failed in record["failed_checkpoints"]] == [9, 18, 24]
    assert not list(small_disk.glob("checkpoints/*"))


@pytest.mark.slow
def test_a_rank_that_finds_no_room_does_not_keep_the_others_waiting(small_disk, data, expected, tmp_path):  # noqa: F811
    """ZeRO stage 2: the first rank writes the weights, 110 kB, and each the half of 220 kB of moments and copies."""
    fill(small_disk, leave=150_000)
    options = {"checkpoints": small_disk / "checkpoints", "checkpoint_tokens": 8000}
    metrics, record = train(data, tmp_path, cell=CELL, ranks=2, **options)
    assert [failed["step"] for failed in record["failed_checkpoints"]] == [9, 18, 24]
    assert "rank " in record["failed_checkpoints"][0]["reason"]
    np.testing.assert_allclose(metrics["loss"], expected[0]["loss"], rtol=2e-4)
    assert not list(small_disk.glob("checkpoints/*"))


def test_outputs_that_find_no_room_are_written_when_there_is(small_disk, start, expected, tmp_path):
    outputs = {"metrics": small_disk / "metrics.parquet", "record": small_disk / "run.json"}
    filler = fill(small_disk, leave=30_000)
    job = start(**outputs)
    assert job.end() == 1
    assert "error: cannot write" in job.log
    assert "Make room" in job.log
    assert "Traceback" not in job.log
    assert sorted(path.name for path in small_disk.iterdir() if path.is_file()) == ["filler", "metrics.jsonl"]
    filler.unlink()
    assert start(**outputs).end() == 0
    assert assert_same(small_disk, expected)["resumed_at_steps"] == [24], "it trained again"
    assert not (tmp_path / "checkpoints").exists()


def test_a_truncated_checkpoint_costs_its_interval_and_nothing_else(start, expected, tmp_path):
    job = start()
    job.wait_for("checkpoints/step12")
    job.send(signal.SIGKILL)
    job.end()
    newest, before, *_ = Checkpoints(tmp_path / "checkpoints").steps()
    os.truncate(tmp_path / f"checkpoints/step{newest}/state.pt", 1000)
    job = start()
    assert job.end() == 0
    record = assert_same(tmp_path, expected)
    assert record["resumed_at_steps"] == [before]
    assert [bad["step"] for bad in record["discarded_checkpoints"]] == [newest]
    assert f"step{newest} is discarded: state.pt has 1000 bytes instead of" in job.log


def test_without_any_whole_checkpoint_it_does_not_start_afresh_unasked(start, tmp_path):
    job = start()
    job.wait_for("checkpoints/step12")
    job.send(signal.SIGKILL)
    job.end()
    for state in tmp_path.glob("checkpoints/step*/state.pt"):
        os.truncate(state, 1000)
    job = start()
    assert job.end() == 1
    assert "error:" in job.log
    assert "delete the folder to train the cell from the start" in job.log
    assert "Traceback" not in job.log


def launch(data: Path, out: Path, launcher: list[str], **options) -> subprocess.Popen:  # noqa: F811
    words = command(data, out, launcher=launcher, cell=CELL, **options)
    with (out / "log").open("w") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, env=environment())


def wait_for_row(process: subprocess.Popen, out: Path) -> None:
    growing = out / "metrics.jsonl"
    while not (growing.exists() and growing.stat().st_size):
        assert process.poll() is None, (out / "log").read_text()
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then", "number", "options"),
    [
        ([sys.executable], 2, signal.SIGTERM, {"engine": "torch"}),
        (torchrun(2), 1, signal.SIGTERM, {"zero_stage": 2}),
        ([*torchrun(2), *stoppable(120).split()], 1, signal.SIGUSR1, {"zero_stage": 0}),
    ],
    ids=["torch 1 to 2", "zero2 2 to 1", "zero0 2 to 1"],
)
def test_a_run_goes_on_with_another_number_of_ranks(data, expected, tmp_path, first, then, number, options):  # noqa: F811
    """Stopped by a signal to the launcher: torchrun hands it on to its ranks, as SLURM or a user would have it."""
    process = launch(data, tmp_path, first, **options)
    wait_for_row(process, tmp_path)
    process.send_signal(number)
    assert process.wait() != 0
    assert lost_steps(tmp_path) == 0, (tmp_path / "log").read_text()
    metrics, record = train(data, tmp_path, cell=CELL, ranks=then, **options)
    assert len(record["resumed_at_steps"]) == 1
    assert record["allocation"]["world"] == then
    np.testing.assert_allclose(metrics["loss"], expected[0]["loss"], rtol=2e-4)
    assert metrics.drop(columns="loss").equals(expected[0].drop(columns="loss"))


@pytest.mark.slow
def test_three_ranks_keep_their_last_checkpoint(data, expected, tmp_path):  # noqa: F811
    options = {"ranks": 3, "checkpoint_tokens": INTERVAL, "keep_checkpoints": 1}
    metrics, record = train(data, tmp_path, cell=CELL, **options)
    np.testing.assert_allclose(metrics["loss"], expected[0]["loss"], rtol=2e-4)
    assert record["failed_checkpoints"] == []
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step24"]
    kept = unseal(tmp_path / "checkpoints/step24")
    assert kept["world"] == 3
    assert sorted(kept["files"]) == files_of(tmp_path / "checkpoints/step24")
    assert len(kept["files"]) == 5, "weights, the moments of three ranks, the rows"
    check(tmp_path / "checkpoints/step24", kept["files"], names=kept["files"])


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(start, tmp_path):
    rules = {"divergence_nats": 0.5, "divergence_rows": 3, "spike_nats": 0.2}
    cell = {
        "model": SIZE | {"learning_rate": 2.0},
        "schedule": "constant",
        "training": CELL["training"] | {"health": rules},
    }
    assert start(cell=cell).end() == 0
    metrics, record = outcome(tmp_path)
    assert record["status"] == "diverged"
    assert "0.5 nats above its minimum" in record["reason"]
    assert (metrics["loss"].iloc[-3:] > metrics["loss"].min() + 0.5).all()
    assert record["n_steps"] == metrics["step"].iloc[-1] < 24
    assert record["spikes"][0]["until"] is None
    assert record["holdout"] is None


def test_weights_that_stop_being_numbers_are_written_nowhere(data, tmp_path):  # noqa: F811
    """The loss of step 5 is finite, the weights after it are not."""
    words = command(data, tmp_path, engine="torch", checkpoint_tokens=INTERVAL, cell=CELL, keep_checkpoints=1)
    with joined_ranks() as ranks:
        run = Run(parser_of("train").parse_args(words[4:]), ranks, asked=StopRequest())
        step, losses = run.engine.step, []

        def poisoned(*args, **options) -> float:
            losses.append(step(*args, **options))
            if len(losses) == 5:
                next(iter(run.engine.module.parameters())).data[0, 0] = float("nan")
                run.progress.n_tokens += INTERVAL  # the checkpoint is due
            return losses[-1]

        run.engine.step = poisoned
        run.finish(*run.train())
    record = outcome(tmp_path)[1]
    assert (record["status"], record["reason"]) == ("diverged", "weights were not finite after step 5")
    assert Checkpoints(tmp_path / "checkpoints").steps() == [4]
    assert not (tmp_path / "model.safetensors").exists()
