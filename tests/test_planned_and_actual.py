"""Planned against actual cost where a run changed its devices, stopped early, or was recorded by an older version."""

from dataclasses import replace

import pytest

from plmscale.config import Hardware
from plmscale.grid import grid
from plmscale.outcomes import planned_and_actual
from plmscale.pace import assumed_pace
from results_data import make_results, make_study


@pytest.fixture
def results():
    study = make_study(widths=("w32", "w48", "w80"), schedules=("constant",), sets=("half", "tenth"))
    hardware = Hardware(name="x", peak_flops=1e11, memory_gib=80, startup_seconds=36, mfu=0.5)
    study = replace(study, config=study.config.model_copy(update={"hardware": hardware}))
    return make_results(study, fits=False)


def test_recorded_device_seconds_are_what_a_run_cost(results):
    results.records[0]["device_seconds"] = 7200.0
    table = planned_and_actual(results)
    assert table.loc[0, "actual_device_hours"] == 2.0
    old = results.records[1]
    assert table.loc[1, "actual_device_hours"] == pytest.approx(old["wall_seconds"] * 2 / 3600, rel=1e-12)


def test_a_run_that_stopped_early_is_compared_with_the_plan_for_what_it_saw(results):
    """A tenth of the tokens: the plan for them is start-up and a tenth of the training."""
    record = results.records[0]
    whole, seen = record["n_tokens"], record["n_tokens"] // 10
    record |= {"n_tokens": seen, "stopped": "plateau", "device_seconds": 600.0}
    row = planned_and_actual(results).to_dict("records")[0]
    pace = assumed_pace(grid(results.study)[0], results.study.config.hardware)
    assert (row["planned_tokens"], row["seen_tokens"]) == (whole, seen)
    assert row["planned_for_seen"] == pytest.approx((36 + seen / pace.tokens_per_second) / 3600, rel=1e-9)
    assert row["ratio_seen"] == pytest.approx(600 / 3600 / row["planned_for_seen"], rel=1e-12)
    assert row["ratio"] == pytest.approx(600 / 3600 / row["planned_device_hours"], rel=1e-12)
    assert row["ratio"] < row["ratio_seen"]
