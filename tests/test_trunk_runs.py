"""A branch equals the run that was trained from its start, from whatever checkpoint of the trunk it left."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from file_formats import RECORD_MEANINGS
from plmscale.sequences.store import Store
from plmscale.sets.passes import Passes
from plmscale.study.config import Training
from plmscale.study.schedules import lr_fraction, stable_until
from plmscale.training.checkpoints import Checkpoints, read_rows
from plmscale.training.manifest import MANIFEST
from test_train import TRAINING, command, data, environment, run, torchrun, train  # noqa: F401  (data is a fixture)

pytestmark = pytest.mark.slow

EPOCHS = {"half": 0.5, "double": 1.75}
POINTS = "0.4,0.8,1.4"
BRANCH = {"subset": "double", "of": "s", "epochs": 1.75, "schedule": "wsd"}
SETTINGS = {"engine": "torch", "monitors": "none"}


def lengths_of(data: Path) -> np.ndarray:  # noqa: F811
    return np.minimum(Store.open(data / "store").lengths[np.load(data / "subset.npy")], 62) + 2


def passes_of(data: Path, epochs: float) -> Passes:  # noqa: F811
    return Passes(lengths_of(data), epochs=epochs, batch_tokens=1000, order="bucketed", seed=0)


def trunk(data: Path, out: Path, *, until: float, ranks: int = 1, **flags) -> dict:  # noqa: F811
    flags = SETTINGS | {"until_passes": until, "keep_at": POINTS} | flags
    done = run(command(data, out, cell={"schedule": "constant"}, **flags), ranks=ranks)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "run.json").read_text())


@pytest.fixture(scope="module")
def scratch(data, tmp_path_factory) -> Path:  # noqa: F811
    """The longest run, trained from its start."""
    out = tmp_path_factory.mktemp("scratch")
    train(data, out, cell=BRANCH, **SETTINGS)
    return out


@pytest.fixture(scope="module")
def grown(data, tmp_path_factory) -> Path:  # noqa: F811
    """A trunk of 0.8 passes that was then extended to 1.4."""
    out = tmp_path_factory.mktemp("trunk")
    before = trunk(data, out, until=0.8)
    assert before["until_passes"] == 0.8
    assert before["n_tokens"] <= 0.8 * lengths_of(data).sum()
    record = trunk(data, out, until=1.4)
    first, attempt = record["attempts"]
    assert [first] == before["attempts"]
    assert attempt["from_step"] == first["to_step"] == passes_of(data, 1.0).steps_within(0.8) > 0
    assert record["device_seconds"] == before["device_seconds"] + attempt["wall_seconds"]
    return out


def same(one: Path, other: Path) -> None:
    """Metrics, weights and holdout are the same, bit for bit."""
    left, right = (pd.read_parquet(out / "metrics.parquet") for out in (one, other))
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    records = [json.loads((out / "run.json").read_text()) for out in (one, other)]
    for key in ("holdout", "n_tokens", "squared_lengths", "n_steps", "unique_tokens", "epochs", "spikes", "status"):
        assert records[0][key] == records[1][key], key


def branch(data: Path, out: Path, trunk: Path, **changes) -> tuple[dict, str]:  # noqa: F811
    words = command(data, out, **{"cell": BRANCH, **SETTINGS, "trunk": trunk / "checkpoints"} | changes)
    done = run(words)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "run.json").read_text()), done.stderr


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_trunk_keeps_where_branches_leave_it_and_nothing_else(data, grown):  # noqa: F811
    found = passes_of(data, 2.0)
    expected = sorted((found.steps_within(point) for point in (0.4, 0.8, 1.4)), reverse=True)
    assert Checkpoints(grown / "checkpoints").steps() == expected
    assert not (grown / "model.safetensors").exists()
    assert json.loads((grown / "run.json").read_text())["holdout"] is None


def test_a_branch_is_the_run_from_its_start(data, scratch, grown, tmp_path):  # noqa: F811
    before = files(grown)
    record, _ = branch(data, tmp_path, grown)
    same(tmp_path, scratch)
    assert files(grown) == before, "the trunk was touched"
    left = record["branched_from"]
    assert left["step"] == passes_of(data, 1.75).steps_within(1.4)
    assert left["n_tokens"] <= stable_until(Training(**TRAINING), budget=record["n_tokens"])
    assert left["n_tokens"] > 1.4 * lengths_of(data).sum() - TRAINING["batch_tokens"]
    assert record["attempts"][0]["from_step"] == left["step"]
    assert record["resumed_at_steps"] == []
    assert list(record) == list(RECORD_MEANINGS)
    assert json.loads((scratch / "run.json").read_text())["branched_from"] is None
    (attempt,) = record["attempts"]
    trained = attempt["to_step"] - attempt["from_step"]
    assert trained == record["n_steps"] - left["step"] < record["n_steps"] / 4, "a fifth of the run was left to train"


def test_deepspeed_and_other_ranks_make_the_same_trunk_and_branch(data, scratch, tmp_path):  # noqa: F811
    """A trunk of two ranks under ZeRO-2, a branch of one; against one rank of the plain engine."""
    sharded = {"engine": "deepspeed", "zero_stage": 2}
    record = trunk(data, tmp_path / "trunk", until=1.4, ranks=2, **sharded)
    assert [attempt["world"] for attempt in record["attempts"]] == [2]
    before = files(tmp_path / "trunk")
    record, _ = branch(data, tmp_path / "branch", tmp_path / "trunk", **sharded)
    assert files(tmp_path / "trunk") == before, "the trunk was touched"
    assert record["branched_from"]["step"] == passes_of(data, 1.75).steps_within(1.4)
    assert record["attempts"][0]["world"] == 1
    metrics, expected = (pd.read_parquet(out / "metrics.parquet") for out in (tmp_path / "branch", scratch))
    np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=2e-4)  # sums in another order, as in test_train
    assert metrics.drop(columns="loss").equals(expected.drop(columns="loss"))
    reference = json.loads((scratch / "run.json").read_text())
    assert record["holdout"]["loss"] == pytest.approx(reference["holdout"]["loss"], rel=2e-4)


def test_a_shorter_budget_leaves_the_same_trunk_earlier(data, grown, tmp_path):  # noqa: F811
    cell = BRANCH | {"subset": "half", "epochs": 0.5}
    train(data, tmp_path / "scratch", cell=cell, **SETTINGS)
    record, _ = branch(data, tmp_path / "branch", grown, cell=cell)
    same(tmp_path / "branch", tmp_path / "scratch")
    assert record["branched_from"]["step"] == passes_of(data, 1.0).steps_within(0.4)


def test_damaged_and_missing_checkpoints_cost_time_alone(data, scratch, grown, tmp_path):  # noqa: F811
    there = tmp_path / "trunk"
    shutil.copytree(grown, there)
    last, middle, first = (
        Checkpoints(there / "checkpoints").path(s) for s in Checkpoints(there / "checkpoints").steps()
    )
    (last / "state.pt").write_bytes((last / "state.pt").read_bytes()[:-1])
    record, said = branch(data, tmp_path / "one", there)
    assert "is not branched off from: state.pt has" in said
    assert record["branched_from"]["step"] == int(middle.name.removeprefix("step"))
    same(tmp_path / "one", scratch)
    (middle / MANIFEST).unlink()
    shutil.rmtree(first)
    record, said = branch(data, tmp_path / "none", there)
    assert "no checkpoint to branch off from: the run is trained from its start" in said
    assert record["branched_from"] is None
    assert record["trunk"] == str(there / "checkpoints")
    same(tmp_path / "none", scratch)


def test_a_trunk_of_something_else_is_not_branched_off_from(data, grown, tmp_path):  # noqa: F811
    """Another learning rate: nothing of this trunk may be in the branch."""
    cell = BRANCH | {"model": json.loads((grown / "cell.json").read_text())["model"] | {"learning_rate": 1e-3}}
    record, said = branch(data, tmp_path, grown, cell=cell)
    assert record["branched_from"] is None
    assert said.count("it is of another trunk") == 3


def test_a_finished_trunk_of_something_else_makes_room(data, grown, tmp_path):  # noqa: F811
    there = tmp_path / "trunk"
    shutil.copytree(grown, there)
    words = command(data, there, cell={"schedule": "constant", "seed": 1}, **SETTINGS, until_passes=0.4, keep_at="0.4")
    done = run(words)
    assert done.returncode == 0, done.stderr
    record = json.loads((there / "run.json").read_text())
    assert (record["cell"]["seed"], record["attempts"][0]["from_step"]) == (1, 0)
    assert len(Checkpoints(there / "checkpoints").steps()) == 1


def test_a_branch_that_is_killed_goes_on_from_its_own_checkpoint(data, scratch, grown, tmp_path):  # noqa: F811
    out, first = tmp_path, passes_of(data, 1.75).steps_within(1.4)
    killer = "import sys, os, runpy; sys.argv = sys.argv[1:]; from plmscale.training import checkpoints as c\n"
    killer += "old = c.Checkpoints.finish\n"
    killer += "def new(self, step, content):\n    old(self, step, content); os._exit(9)\n"
    killer += "c.Checkpoints.finish = new\nrunpy.run_module('plmscale', run_name='__main__', alter_sys=True)"
    words = command(data, out, cell=BRANCH, **SETTINGS, trunk=grown / "checkpoints", checkpoint_tokens=3000)
    done = subprocess.run([words[0], "-c", killer, *words[2:]], capture_output=True, text=True, env=environment())
    assert done.returncode == 9, done.stderr
    assert read_rows(out / "metrics.jsonl")[0]["step"] == TRAINING["log_every_steps"], "rows of the trunk are there too"
    record, _ = branch(data, out, grown)
    same(out, scratch)
    (resumed,) = record["resumed_at_steps"]
    assert resumed > first == record["branched_from"]["step"]


def test_rates_of_trunk_and_branch_are_equal_until_the_decay():
    training, budget = Training(warmup_tokens=300, batch_tokens=10), 1000
    for n_tokens in range(0, 1001, 10):
        rates = [lr_fraction(name, n_tokens, training=training, budget=budget) for name in ("wsd", "constant")]
        assert (rates[0] == rates[1]) == (n_tokens <= stable_until(training, budget=budget))
