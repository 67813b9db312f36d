"""The record of attempts, from files as kills leave them."""

import json
import time

import pytest

from plmscale.errors import InputError
from plmscale.training.attempts import KILLED, Attempts, attempts_of, device_seconds, read_events


def attempt(path, *, newest=0, steps=(), reason=None, world=2) -> Attempts:
    """An attempt that starts, saves steps, and ends with a reason or is killed."""
    ledger = Attempts(path)
    ledger.settle(newest=newest)
    ledger.begin(world=world, device="cpu")
    for step in steps:
        ledger.saved(step)
    if reason:
        ledger.end(reason)
    return ledger


def test_a_killed_attempt_is_recorded_by_the_next(tmp_path):
    path = tmp_path / "attempts.jsonl"
    attempt(path, steps=(4, 8))
    ledger = Attempts(path)
    last_seen = time.time() + 100
    ledger.settle(newest=12, last_seen=last_seen)
    ledger.begin(world=4, device="cpu")
    ledger.resumed(12)
    ledger.end("finished", step=20)
    first, second = Attempts(path).table()
    assert (first["from_step"], first["to_step"], first["reason"]) == (0, 12, KILLED)
    # From the start of the process, which here is that of the tests.
    lived = last_seen - read_events(path)[0]["at"]
    assert first["wall_seconds"] == pytest.approx(lived, abs=1e-3), "up to its last sign of life"
    assert lived > 100
    assert (second["from_step"], second["to_step"], second["reason"], second["world"]) == (12, 20, "finished", 4)
    assert device_seconds([first, second]) == 2 * first["wall_seconds"] + 4 * second["wall_seconds"]


def test_a_line_that_a_kill_cut_short_costs_that_line(tmp_path):
    path = tmp_path / "attempts.jsonl"
    attempt(path, steps=(4,))
    whole = path.read_text()
    for cut in range(len(whole)):
        path.write_text(whole[:cut])
        attempt(path, reason="SIGTERM")
        rows = path.read_text().splitlines()
        assert json.loads(rows[-1])["event"] == "end"
        last = attempts_of(read_events(path))[-1]
        assert last["reason"] == "SIGTERM"


def test_what_keeps_failing_is_refused_with_the_reason_of_each(tmp_path):
    path = tmp_path / "attempts.jsonl"
    attempt(path, steps=(4,), reason="error: no memory A")
    for n in range(3):
        Attempts(path).refuse_after(3)
        attempt(path, newest=4, reason=f"error: no memory {n}")
    with pytest.raises(
        InputError, match="the last 3 attempts .* no memory 0; .* no memory 1; .* no memory 2."
    ) as error:
        Attempts(path).refuse_after(3)
    assert "no memory A" not in str(error.value), "it brought a checkpoint"
    assert str(path) in str(error.value)
    attempt(path, newest=4, steps=(8,))
    Attempts(path).refuse_after(3)  # does not raise: there is a new checkpoint


def test_a_kill_between_checkpoint_and_its_note_is_progress(tmp_path):
    path = tmp_path / "attempts.jsonl"
    for newest in range(1, 9):
        attempt(path, newest=newest)
    ledger = Attempts(path)
    ledger.settle(newest=9)
    assert [each["to_step"] for each in ledger.table()] == list(range(2, 10))
    ledger.refuse_after(1)
