"""Checkpoints that are damaged, cannot be written, or belong to another job; the rows beside them; health."""

import errno
import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from plmscale.errors import InputError
from plmscale.files import atomic
from plmscale.study.config import Health
from plmscale.training.checkpoints import Checkpoints, MetricsLog, Progress, read_rows
from plmscale.training.engine import EngineSettings, Ranks, TorchEngine
from plmscale.training.health import HealthCheck, HealthState
from plmscale.training.resume import CheckpointManager, NotFinite

ALONE = Ranks(0, 1, torch.device("cpu"))


def make_engine(value: float = 0.0) -> TorchEngine:
    """A weight and an optimizer with moments."""
    model = nn.Linear(8, 8, bias=False)
    nn.init.constant_(model.weight, value)
    optimizer = torch.optim.Adam(model.parameters())
    model.weight.grad = torch.zeros_like(model.weight)
    optimizer.step()
    return TorchEngine(model, optimizer, ranks=ALONE, settings=EngineSettings(1, "fp32", 0.0, 0))


def make_manager(
    folder: Path, value: float = 0.0, *, ranks: Ranks = ALONE, written_by: str = "torch"
) -> CheckpointManager:
    return CheckpointManager(Checkpoints(folder), make_engine(value), ranks=ranks, written_by=written_by)


def write(folder: Path, *steps: int) -> None:
    """Checkpoints whose weight is their step."""
    for step in steps:
        progress = Progress(step=step)
        assert make_manager(folder, step).write(progress, rows=[{"step": step}], wall_seconds=1.5)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def make_old(path: Path) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: content[key] for key in ("step", "world", "progress")}))


DAMAGE = [
    ("state.pt", truncate, "bytes instead of"),
    ("state.pt", flip_a_bit, "state.pt has another checksum"),
    ("state.pt", Path.unlink, "state.pt is missing"),
    ("rows.jsonl", truncate, "rows.jsonl has"),
    ("progress.json", Path.unlink, "progress.json is missing"),
    ("progress.json", truncate, "progress.json is not JSON"),
    ("progress.json", lambda path: path.write_text(path.read_text().replace('"step": 2', '"step": 3')), "checksum"),
    ("progress.json", make_old, "format 1, not 2"),
]


@pytest.mark.parametrize(("name", "damage", "reason"), DAMAGE)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(tmp_path, caplog, name, damage, reason):
    write(tmp_path, 1, 2)
    damage(tmp_path / "step2" / name)
    manager = make_manager(tmp_path)
    with caplog.at_level(logging.WARNING):
        progress, rows = manager.take_up()
    assert (progress.step, progress.resumed_at, rows) == (1, [1], [{"step": 1}])
    assert progress.discarded_checkpoints[0]["step"] == 2
    assert reason in progress.discarded_checkpoints[0]["reason"]
    assert "step2" in caplog.text
    assert reason in caplog.text
    assert (tmp_path / "step2").is_dir(), "the evidence is gone before there is a newer checkpoint"
    progress.step = 3
    manager.write(progress, rows=rows, wall_seconds=2.0)
    assert Checkpoints(tmp_path).steps() == [3, 1]
    assert make_manager(tmp_path).take_up()[0].discarded_checkpoints == progress.discarded_checkpoints


def test_weights_and_progress_come_back(tmp_path):
    write(tmp_path, 1, 2)
    manager = make_manager(tmp_path, -1.0)
    progress, _ = manager.take_up()
    assert torch.equal(manager._engine.module.weight, torch.full((8, 8), 2.0))
    assert (progress.step, progress.wall_seconds) == (2, 1.5)


def test_a_damaged_checkpoint_is_replaced_when_the_run_is_at_its_step_again(tmp_path):
    write(tmp_path, 1, 2)
    truncate(tmp_path / "step2" / "state.pt")
    manager = make_manager(tmp_path)
    progress, rows = manager.take_up()
    progress.step = 2
    assert manager.write(progress, rows=rows, wall_seconds=2.0)
    assert Checkpoints(tmp_path).steps() == [2, 1]
    assert make_manager(tmp_path).take_up()[0].step == 2


def test_if_all_are_damaged_it_is_for_the_user_to_decide(tmp_path):
    write(tmp_path, 1, 2)
    for step in (1, 2):
        truncate(tmp_path / f"step{step}" / "state.pt")
    for _ in range(2):  # and the second time the same
        with pytest.raises(InputError, match=r"step2: state.pt has .*step1: state.pt has .*delete the folder"):
            make_manager(tmp_path).take_up()


def test_what_a_kill_left_is_no_checkpoint(tmp_path):
    (tmp_path / "partial-step7").mkdir(parents=True)
    (tmp_path / "partial-step7" / "state.pt").write_text("half")
    assert make_manager(tmp_path).take_up() == (Progress(), [])
    write(tmp_path, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step1"]


def test_the_newest_two_are_kept(tmp_path):
    write(tmp_path, 8, 9, 10, 11)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step10", "step11"]
    Checkpoints(tmp_path).keep(1)
    assert [path.name for path in tmp_path.iterdir()] == ["step11"]


def test_another_engine_is_refused(tmp_path):
    write(tmp_path, 1)
    with pytest.raises(InputError, match=r"engine torch, but this job's is deepspeed, ZeRO stage 2"):
        make_manager(tmp_path, written_by="deepspeed, ZeRO stage 2").take_up()


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    write(tmp_path, 1)

    def full(state, path):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    manager = make_manager(tmp_path)
    progress, rows = manager.take_up()
    progress.step = 2
    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        assert not manager.write(progress, rows=rows, wall_seconds=2.0)
    assert [path.name for path in tmp_path.iterdir()] == ["step1"]
    assert progress.failed_checkpoints == [{"step": 2, "reason": "rank 0: OSError: [Errno 28] No space left on device"}]
    progress.step = 3
    assert manager.write(progress, rows=rows, wall_seconds=2.0)
    assert make_manager(tmp_path).take_up()[0].failed_checkpoints == progress.failed_checkpoints


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_written(tmp_path, value):
    write(tmp_path, 1)
    with pytest.raises(NotFinite, match="after step 2"):
        make_manager(tmp_path, value).write(Progress(step=2), rows=[], wall_seconds=2.0)
    assert [path.name for path in tmp_path.iterdir()] == ["step1"]


def test_rows_wait_in_memory_while_the_disk_is_full(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path, rows=[{"step": 1}])
    room = 5
    whole = os.write

    def write_until_full(file: int, content: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        n = whole(file, content[:room])
        room -= n
        return n

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_until_full)
        for step in (2, 3):
            log.append({"step": step})
            assert path.read_text() == '{"step": 1}\n', "a torn row"
    log.append({"step": 4})
    log.close()
    assert read_rows(path) == log.rows == [{"step": step} for step in (1, 2, 3, 4)]


def test_a_full_disk_is_said_in_plain_words(tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*out.json.*Make room"), atomic(tmp_path / "out.json"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(InputError, match="Make room"), atomic(tmp_path / "out.safetensors"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")  # as safetensors says it
    with pytest.raises(RuntimeError), atomic(tmp_path / "out"):
        raise RuntimeError("something else")
    assert not list(tmp_path.iterdir())


def observe(losses: list[float], *, every: int = 1, restart_at: int | None = None, **rules) -> tuple[str | None, list]:
    """Judge losses; with `restart_at`, by a check that goes on from another's saved state there."""
    state = HealthState()
    for step, loss in enumerate(losses, start=1):
        if step == restart_at:
            state = HealthState(**json.loads(json.dumps(vars(state))))
        reason = HealthCheck(Health(**rules), every=every, state=state).observe(step=step, loss=loss)
        if reason:
            return reason, state.spikes
    return None, state.spikes


def test_a_spike_that_recovers_is_recorded_and_no_more():
    reason, spikes = observe([3.0, 2.5, 2.9, 3.2, 2.6, 2.4, 2.75], spike_nats=0.3)
    assert reason is None
    assert [(s["step"], s["until"]) for s in spikes] == [(3, 5), (7, None)]
    assert spikes[0]["nats"] == pytest.approx(0.7)


@pytest.mark.parametrize("restart_at", [None, 4, 5])
def test_divergence_needs_rows_in_a_row(restart_at):
    losses = [2.0, 3.5, 3.5, 2.1, 3.5, 3.5, 3.5, 3.5]
    reason, _ = observe(losses, restart_at=restart_at, divergence_nats=1.0, divergence_rows=3)
    assert reason == "the loss was more than 1 nats above its minimum of 2.0000 in 3 rows up to step 7"


def test_rules_are_about_rows_not_steps():
    assert observe([3.0, 3.0, 2.0, 4.4], every=2, divergence_nats=0.3, divergence_rows=1)[0] is None
    assert observe([3.0, 3.0, 3.0, 4.4], every=2, divergence_nats=0.3, divergence_rows=1)[0]


def test_a_loss_that_is_not_finite_ends_the_run_at_once():
    assert observe([2.0, float("nan")])[0] == "the loss was nan at step 2"
    assert observe([2.0, float("inf")])[0] == "the loss was inf at step 2"


def test_removal_leaves_nothing_that_looks_complete(tmp_path, monkeypatch):
    """A kill in the middle of removing a checkpoint."""
    write(tmp_path, 1, 2)

    def killed(path, **_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", killed)
        Checkpoints(tmp_path).keep(1)
    assert Checkpoints(tmp_path).steps() == [2]
