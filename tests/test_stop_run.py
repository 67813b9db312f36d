"""A real run that stops at its plateau, interrupted and watched, as a user's job does it."""

import json
import os
import signal
import subprocess
import time
from importlib.util import find_spec

import pandas as pd
import pytest

import forked
from plmscale.runs.collect import collect
from plmscale.runs.curves import smooth
from plmscale.study.config import Training
from plmscale.study.grid import Cell
from plmscale.study.schedules import lr_fraction
from test_monitor import STAND_IN
from test_train import N_STEPS, SIZE, TRAINING, command, data, environment, run, torchrun, train  # noqa: F401

STOP = {"patience_tokens": 5000, "tolerance": 0.3, "smoothing_tokens": 2000}
CELL = {"schedule": "cosine", "training": TRAINING | {"log_every_steps": 2, "stop": STOP, "cosine": {"floor": 0.2}}}


@pytest.fixture(scope="module")
def stopped(data, tmp_path_factory):  # noqa: F811
    """A run that ends at its plateau, with nobody watching."""
    out = tmp_path_factory.mktemp("stopped")
    return (*train(data, out, cell=CELL, engine="torch", monitors="none"), out)


def test_it_ends_at_the_plateau_as_a_finished_run_and_says_why(stopped):
    metrics, record, out = stopped
    assert (record["status"], record["stopped"]) == ("done", "plateau")
    last = metrics.iloc[-1]
    assert record["n_steps"] == last["step"] < N_STEPS
    assert record["n_tokens"] == last["n_tokens"] < record["unique_tokens"]
    assert f"at {int(last['n_tokens'])} tokens" in record["reason"]
    assert record["holdout"]["perplexity"] > 1
    assert not (out / "tensorboard").exists()
    frame = collect([out / "run.json"], [out / "metrics.parquet"], convention="6nd")
    curve = smooth(frame)[0]
    assert curve.status == "done"
    assert curve.n_tokens[-1] == record["n_tokens"]


def test_the_cosine_goes_to_the_budget_of_the_whole_pass(stopped):
    """Not to where the run stopped, which nobody knew, and not to a plan's estimate."""
    metrics, record, _ = stopped
    training = Training(**CELL["training"])
    budget = record["unique_tokens"]
    expected = [lr_fraction("cosine", n, training=training, budget=budget) for n in metrics["n_tokens"]]
    assert metrics["lr_fraction"].tolist() == expected
    assert Cell.from_json(record["cell"]).training == training


def test_killed_and_watched_by_every_monitor_it_stops_at_the_same_step(stopped, data, tmp_path):  # noqa: F811
    modules, out = tmp_path / "modules", tmp_path / "run"
    modules.mkdir()
    (modules / "wandb.py").write_text(STAND_IN)
    env = environment() | {"PYTHONPATH": os.pathsep.join([str(modules), os.environ.get("PYTHONPATH", "")])}
    watched = {"monitors": "tensorboard,csv,wandb", "peak_flops": 1e9, "checkpoint_tokens": 3500}
    words = command(data, out, cell=CELL, engine="torch", **watched)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    while not list(out.glob("checkpoints/step*/progress.json")):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() != 0
    done = forked.run(words, env=env)
    assert done.returncode == 0, done.stderr
    metrics, record = pd.read_parquet(out / "metrics.parquet"), json.loads((out / "run.json").read_text())
    assert record["resumed_at_steps"]
    pd.testing.assert_frame_equal(metrics, stopped[0], check_exact=True)
    assert {k: record[k] for k in ("stopped", "reason")} == {k: stopped[1][k] for k in ("stopped", "reason")}
    assert record["holdout"] == stopped[1]["holdout"]
    drawn = pd.read_csv(out / "metrics.csv")
    assert drawn["step"].tolist() == metrics["step"].tolist()
    assert drawn["loss"].tolist() == pytest.approx(metrics["loss"].tolist(), rel=1e-12)
    assert (drawn["utilisation"] > 0).all()
    told = [json.loads(line) for line in (out / "told.jsonl").read_text().splitlines()]
    assert [what["step"] for what in told if "log" in what] == metrics["step"].tolist()
    lines = [line for line in done.stderr.splitlines() if "tokens/s" in line]
    assert 1 <= len(lines) <= 3, "one for the first row, one for the last, one for a slow machine"
    assert "stopped at the plateau after step" in done.stderr


@pytest.mark.slow
def test_two_ranks_stop_at_the_same_step(stopped, data, tmp_path):  # noqa: F811
    metrics, record = train(data, tmp_path, cell=CELL, engine="torch", ranks=2)
    assert record["stopped"] == "plateau"
    assert metrics["step"].tolist() == stopped[0]["step"].tolist()


@pytest.mark.skipif(find_spec("wandb") is not None, reason="wandb is installed")
def test_a_monitor_that_is_not_installed_is_refused_before_training(data, tmp_path):  # noqa: F811
    words = command(data, tmp_path, engine="torch", monitors="csv,wandb")
    refused = run(words)
    assert refused.returncode != 0
    assert "error: execution.monitors names 'wandb'" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attempts.jsonl", "cell.json"]
