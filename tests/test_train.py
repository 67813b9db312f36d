"""Training a cell as a user's job does: engines, ranks, accumulation, interruption, failure."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forked
from conftest import ROOT
from file_formats import RECORD_MEANINGS, RUNS_MEANINGS
from plmscale.model.evaluate import evaluate
from plmscale.model.evaluation_masks import EvaluationSettings
from plmscale.runs.collect import collect
from plmscale.sequences.store import Store, build_store
from plmscale.sets.subsets import write_ids
from plmscale.study.config import Training
from plmscale.study.schedules import lr_fraction

SIZE = {"name": "tiny", "n_layers": 2, "d_model": 32, "d_ffn": 128, "n_heads": 2, "learning_rate": 3e-3}
TRAINING = {"batch_tokens": 1000, "log_every_steps": 3, "decay_tokens": 20}
N_STEPS = 24


@pytest.fixture(scope="session")
def data(training_data) -> Path:
    return training_data


def make_data(folder: Path) -> Path:
    """A store of 1,200 real proteins, 600 of them in the training set, 60 in the holdout."""
    build_store(ROOT / "resources/example/swissprot_20k.fasta.gz", folder / "store")
    store = Store.open(folder / "store")
    lengths = np.minimum(store.lengths, 62) + 2
    n = int(np.searchsorted(np.cumsum(lengths), TRAINING["batch_tokens"] * (N_STEPS - 1)))
    write_ids(folder / "subset.npy", np.arange(n))
    write_ids(folder / "holdout.npy", np.arange(n, n + 60))
    return folder


def command(
    data: Path, out: Path, *, launcher: list[str] | None = None, cell: dict | None = None, **flags
) -> list[str]:
    """The command of a training job that writes into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    frozen = {
        "model": SIZE,
        "subset": "s",
        "schedule": "token_decay",
        "seed": 0,
        "max_length": 64,
        "training": TRAINING,
    }
    frozen = frozen | (cell or {})
    (out / "cell.json").write_text(json.dumps(frozen))
    files = {
        "cell": out / "cell.json",
        "store": data / "store",
        "subset": data / "subset.npy",
        "holdout": data / "holdout.npy",
        "metrics": out / "metrics.parquet",
        "record": out / "run.json",
        "checkpoints": out / "checkpoints",
    }
    options = {"checkpoint_tokens": 10**9} | files | flags
    words = [w for k, v in options.items() for w in (f"--{k.replace('_', '-')}", str(v))]
    return [*(launcher or [sys.executable]), "-m", "plmscale", "train", *words]


def train(data: Path, out: Path, *, ranks: int = 1, **options) -> tuple[pd.DataFrame, dict]:
    """Run a training job to its end; its metrics and its record."""
    done = run(command(data, out, **options), ranks=ranks)
    assert done.returncode == 0, done.stderr
    return outputs(out)


def outputs(out: Path) -> tuple[pd.DataFrame, dict]:
    return pd.read_parquet(out / "metrics.parquet"), json.loads((out / "run.json").read_text())


def run(words: list[str], *, ranks: int = 1) -> subprocess.CompletedProcess[str]:
    """Run the command of a training job; what a launcher starts imports torch itself."""
    if words[1:4] == ["-m", "plmscale", "train"]:
        return forked.run(words, env=environment(), ranks=ranks)
    return subprocess.run(words, capture_output=True, text=True, env=environment())


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def torchrun(n: int) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """The run that every other must equal."""
    out = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(data, out), check=True, capture_output=True, env=environment())
    return (*outputs(out), out)


def test_the_run_learns_and_its_record_is_whole(undisturbed, data):
    metrics, record, out = undisturbed
    assert metrics["step"].tolist() == list(range(3, N_STEPS + 1, 3))
    assert metrics["loss"].iloc[0] == pytest.approx(math.log(29), abs=0.25)
    unigram = Store.open(data / "store").stats["unigram_entropy"]
    assert metrics["loss"].iloc[-1] < (math.log(29) + unigram) / 2, "not half way to the unigram entropy in 24 steps"
    assert record["status"] == "done"
    assert record["n_tokens"] == record["unique_tokens"] == metrics["n_tokens"].iloc[-1]
    store, ids = Store.open(data / "store"), np.load(data / "subset.npy")
    lengths = np.minimum(store.lengths[ids], 62) + 2
    assert record["n_tokens"] == lengths.sum()
    assert record["squared_lengths"] == (lengths**2).sum()
    assert record["holdout"]["perplexity"] == pytest.approx(math.exp(record["holdout"]["loss"]))
    assert record["holdout"]["n_sequences"] == 60
    assert record["holdout"]["loss_low"] < record["holdout"]["loss"] < record["holdout"]["loss_high"]
    assert record["versions"]["torch"]
    assert 0 < record["seconds"] < record["wall_seconds"]
    budget, settings = record["n_tokens"], Training(**TRAINING)
    expected = [lr_fraction("token_decay", n, training=settings, budget=budget) for n in metrics["n_tokens"]]
    assert metrics["lr_fraction"].tolist() == expected
    assert list((out / "tensorboard").glob("events.*"))
    assert not (out / "checkpoints").exists()
    assert not (out / "metrics.jsonl").exists()


def test_weights_load_into_fair_esm(undisturbed):
    from esm.model.esm2 import ESM2 as FairESM2
    from safetensors.torch import load_file

    from test_esm2 import PaperAlphabet

    weights = load_file(undisturbed[2] / "model.safetensors")
    theirs = FairESM2(num_layers=2, embed_dim=32, attention_heads=2, alphabet=PaperAlphabet())
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all(k.startswith("contact_head.") or k == "lm_head.weight" for k in missing)


def test_the_holdout_scored_by_itself_gives_what_the_record_says(undisturbed, data, tmp_path):
    store, ids = Store.open(data / "store"), np.load(data / "holdout.npy")
    store.write_fasta(ids, tmp_path / "holdout.fasta")
    settings = EvaluationSettings(max_length=64, batch_tokens=1000)
    result = evaluate(undisturbed[2], tmp_path / "holdout.fasta", settings=settings, device="cpu")
    assert result["masked"] == undisturbed[1]["holdout"]


def test_the_same_command_gives_the_same_numbers(undisturbed, data, tmp_path):
    metrics, record = train(data, tmp_path)
    pd.testing.assert_frame_equal(metrics, undisturbed[0], check_exact=True)
    assert record["holdout"] == undisturbed[1]["holdout"]


@pytest.mark.parametrize(
    "options",
    [
        {"engine": "torch"},
        {"zero_stage": 0},
        {"micro_batch_tokens": 250},
        {"micro_batch_tokens": 250, "engine": "torch"},
        pytest.param({"launcher": torchrun(2)}, marks=pytest.mark.slow),
        {"ranks": 2, "micro_batch_tokens": 250},
        {"ranks": 2, "engine": "torch"},
    ],
    ids=["torch", "zero0", "1x4", "1x4-torch", "2x1", "2x2", "2x1-torch"],
)
def test_engine_ranks_and_accumulation_do_not_change_the_run(undisturbed, data, tmp_path, options):
    metrics, record = train(data, tmp_path, **options)
    np.testing.assert_allclose(metrics["loss"], undisturbed[0]["loss"], rtol=2e-4)
    assert metrics.drop(columns="loss").equals(undisturbed[0].drop(columns="loss"))
    assert record["holdout"]["loss"] == pytest.approx(undisturbed[1]["holdout"]["loss"], rel=2e-4)


def test_asked_to_stop_it_writes_a_checkpoint_and_goes_on_from_there(undisturbed, data, tmp_path):
    words = command(data, tmp_path)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    growing = tmp_path / "metrics.jsonl"
    while not (growing.exists() and growing.stat().st_size):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGUSR1)
    assert process.wait() == 75
    assert not (tmp_path / "run.json").exists()
    metrics, record = train(data, tmp_path)
    assert len(record["resumed_at_steps"]) == 1
    pd.testing.assert_frame_equal(metrics, undisturbed[0], check_exact=True)


def test_divergence_is_a_result_and_the_job_succeeds(data, tmp_path):
    metrics, record = train(data, tmp_path, cell={"model": SIZE | {"learning_rate": 1e30}})
    assert record["status"] == "diverged"
    assert "step" in record["reason"]
    assert record["holdout"] is None
    assert metrics["step"].is_monotonic_increasing


def test_the_reference_of_files_has_every_key_of_the_record_and_column_of_the_runs(undisturbed):
    _, record, out = undisturbed
    assert list(RECORD_MEANINGS) == list(record)
    frame = collect([out / "run.json"], [out / "metrics.parquet"], convention="appendix_e")
    assert list(RUNS_MEANINGS) == list(frame)
