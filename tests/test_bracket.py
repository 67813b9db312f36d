"""The bracket check of the learning rate; and a study with a rule of rates and muP through Snakemake, up to a fit."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from plmscale.plan.bracket import RATES, bracket_cell, bracket_run, judge, share_of
from plmscale.study.flops import count_params
from plmscale.study.grid import Cell, grid
from plmscale.study.study import Study, load_study
from test_workflow import CONFIG, prepare, snakemake

MODELS = """name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules
S\t1\t16\t64\t1\t\tconstant
M\t1\t32\t128\t2\t\tconstant
"""
SUBSETS = """name\tkind\tof\tepochs\tn_sequences\tn_tokens\ttrain
all\tall\t\t\t600\t28000\tno
short\tpasses\tall\t0.4\t\t\tyes
long\tpasses\tall\t0.9\t\t\tyes
"""
RULE = "8e-3 * (N / 5e3)^-0.2 * (D / 1e4)^-0.3"
TRAINING = {
    "learning_rate": RULE,
    "batch_tokens": 1000,
    "log_every_steps": 1,
    "parametrization": "mup",
    "mup": {"base_d_model": 16, "base_head_dim": 16},
    "optimizer": {"name": "adamw"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A study of two sizes and two budgets, with rates by rule and muP."""
    found = prepare(tmp_path_factory.mktemp("bracket"), training=TRAINING)
    (found / "models.tsv").write_text(MODELS)
    (found / "subsets.tsv").write_text(SUBSETS)
    return found


@pytest.fixture
def study(folder, monkeypatch) -> Study:
    monkeypatch.chdir(folder)
    return load_study(CONFIG | {"training": TRAINING}, base=ROOT)


def record(loss: float | None) -> dict:
    """A run that ended with this loss, or diverged."""
    return {"status": "diverged" if loss is None else "done", "holdout": None if loss is None else {"loss": loss}}


def test_the_longest_run_of_the_largest_size_is_checked_at_three_rates_over_its_beginning(study):
    cell = bracket_cell(grid(study), study)
    assert cell.path == "M/long/constant/seed0"
    assert share_of(study, cell) == 1, "100 steps are more than the whole run"
    longer = study.config.training.model_copy(update={"batch_tokens": 20})
    study = Study(study.config.model_copy(update={"training": longer}), study.models, study.subsets)
    cell = bracket_cell(grid(study), study)
    assert share_of(study, cell) == 0.1
    runs = {rate: Cell.from_json(bracket_run(study, cell, rate)) for rate in RATES}
    assert {one.epochs for one in runs.values()} == {0.09} and {one.of for one in runs.values()} == {"all"}
    rates = [runs[rate].model.learning_rate / cell.model.learning_rate for rate in ("half", "same", "double")]
    assert rates == [0.5, 1, 2]


@pytest.mark.parametrize(
    "half, same, double, verdict, said",
    [
        (2.60, 2.50, 2.60, "holds", "0.1 nats higher, twice the rate 0.1 nats higher"),
        (2.40, 2.50, 2.60, "too high", "0.1 nats lower, twice the rate 0.1 nats higher"),
        (2.60, 2.50, 2.40, "not too high", "twice the rate 0.1 nats lower"),
        (2.60, 2.50, None, "holds", "twice the rate in divergence"),
        (2.40, None, None, "too high", "Its run diverged"),
        (None, 2.50, 2.40, "open", "See its log"),
        (2.501, 2.50, 2.501, "open", "less than runs differ by chance"),
        (2.60, 2.50, 2.501, "open", "on at least one side"),
    ],
)
def test_the_verdict_is_that_of_the_losses(study, half, same, double, verdict, said):
    found = judge(study, {"half": record(half), "same": record(same), "double": record(double)})
    assert found.verdict == verdict and said in found.words


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
def test_a_study_with_a_rule_of_rates_and_mup_goes_through_to_a_fit_and_its_rate_is_checked(folder):
    snakemake(folder, "bracket", "results/fits/chinchilla.json", "results/analysis/runs.parquet")
    results = folder / "results"
    told = json.loads((results / "bracket/bracket.json").read_text())
    assert told["cell"] == "M/long/constant/seed0" and told["verdict"] in (results / "bracket/bracket.txt").read_text()
    assert all(2 < loss < 4 for loss in told["losses"].values())
    runs = {path.parts[-6]: json.loads(path.read_text()) for path in results.glob("bracket/*/*/*/*/*/run.json")}
    assert {rate: one["cell"]["model"]["learning_rate"] / told["learning_rate"] for rate, one in runs.items()} == RATES

    # What was trained has the rates that the formula gives, written down here once more, and muP.
    trained = [json.loads(path.read_text()) for path in results.glob("runs/*/*/*/*/run.json")]
    assert len(trained) == 4 and {one["status"] for one in trained} == {"done"}
    for one in trained:
        cell = Cell.from_json(one["cell"])
        tokens = round(28_000 * cell.epochs)
        wanted = 8e-3 * (count_params(cell.model) / 5e3) ** -0.2 * (tokens / 1e4) ** -0.3
        assert cell.model.learning_rate == pytest.approx(wanted, rel=6e-3)  # three digits
        assert (cell.training.parametrization, cell.training.mup.base_d_model) == ("mup", 16)
    table = pd.read_parquet(results / "analysis/runs.parquet")
    assert set(table["run"]) == {Cell.from_json(one["cell"]).path for one in trained}, "the check is none of the runs"
    assert np.isfinite(table["loss"]).all()
    fit = json.loads((results / "fits/chinchilla.json").read_text())["schedules"]["constant"]
    assert fit["status"] == "not_identified" and fit["why"]["code"] == "few_sizes", "two sizes give no law"

    # The same command again does nothing; the whole study would train no bracket run.
    assert "Nothing to be done" in snakemake(folder, "--dry-run", "bracket")
    assert "bracket_run" not in snakemake(folder, "--dry-run")
