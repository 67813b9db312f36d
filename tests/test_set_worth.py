"""What the tokens of one set are worth in those of another of equal count."""

from dataclasses import replace

import numpy as np
import pytest

import results_data
from plmscale.compare.set_worth import set_worth
from plmscale.presentation.reasons import words
from plmscale.report.tables.set_worth import set_worth_table
from plmscale.report.tables.study import BUILDERS
from plmscale.results.study_results import Results
from plmscale.study.catalog import IF_ANY
from plmscale.study.config import Subset
from plmscale.study.flops import count_params
from results_data import make_results, make_study, no_learning, with_findings
from scaling_data import chinchilla

WORTH = 1.6
"""The close set's tokens teach as much as 1.6 times as many of a sample."""


def study_of_equal_sets(monkeypatch, *, worth: float = WORTH, law=chinchilla) -> Results:
    """Six sizes on five sets, `close` and `tenth` of equally many tokens; holdout losses by the law of the sets."""
    sets = results_data.SETS | {"close": 4_100_000, "third": 20_000_000}
    monkeypatch.setattr(results_data, "SETS", sets)
    study = make_study(schedules=("constant",), sets=("all_20k", "half", "tenth", "third"))
    close = Subset(name="close", kind="cluster", min_identity=0.4, n_sequences=41_000, train=True)
    study = replace(study, subsets=(*study.subsets, close))
    results = make_results(study, law=law)
    rng = np.random.default_rng(0)
    for record in results.records:
        size = record["n_params"]
        factor = worth if record["cell"]["subset"] == "close" else 1.0
        loss = float(law(size, np.array([record["n_tokens"] * factor]))[0]) + rng.normal(0, 0.002)
        record["holdout"] = record["holdout"] | {"loss": loss}
    return with_findings(results)


def test_worth_of_a_set_that_teaches_more_is_inside_its_interval(monkeypatch):
    table = set_worth_table(study_of_equal_sets(monkeypatch))
    (row,) = table.data.to_dict("records")
    assert (row["first"], row["second"]) == ("close", "tenth"), "the sample is what the other is measured by"
    assert row["n_pairs"] == row["n_models"] == 6
    assert row["difference"] < 0
    assert 1 < row["worth_low"] < WORTH < row["worth_high"] < 1.5 * row["worth_low"]
    assert any("close are worth" in note for note in table.notes)


def test_equal_sets_are_worth_one(monkeypatch):
    (row,) = set_worth_table(study_of_equal_sets(monkeypatch, worth=1.0)).data.to_dict("records")
    assert row["worth_low"] < 1 < row["worth_high"]


def test_without_a_law_there_is_no_worth_but_a_reason(monkeypatch):
    results = study_of_equal_sets(monkeypatch, law=no_learning)
    (row,) = set_worth(results).to_dict("records")
    assert np.isnan(row["worth"]) or row["worth"] is None
    assert row["why"].code == "no_token_worth"
    assert set_worth_table(results).data["reason"].tolist() == [words(row["why"])]


@pytest.mark.parametrize("name", IF_ANY)
def test_tables_of_what_was_not_done_are_empty(name):
    results = make_results(make_study(schedules=("constant",)))
    assert len({count_params(model) for model in results.study.models}) == 6
    assert BUILDERS[name](results).data.empty
