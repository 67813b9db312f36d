"""Planned against actual cost where a run changed its devices, stopped early, or was recorded by an older version."""

import json
from dataclasses import replace

import pytest

from plmscale.analysis.study import find
from plmscale.plan.pace import assumed_pace
from plmscale.results.study_results import Results, read_results
from plmscale.runs.curve_files import to_frame
from plmscale.study.config import Config, Hardware, Subset
from plmscale.study.grid import grid
from plmscale.study.study import Study
from plmscale.study.trunks import trunk_cell
from results_data import PAPERS_5M, make_results, make_study


@pytest.fixture
def results():
    study = make_study(widths=("w32", "w48", "w80"), schedules=("constant",), sets=("half", "tenth"))
    hardware = Hardware(name="x", peak_flops=1e11, memory_gib=80, startup_seconds=36, mfu=0.5)
    study = replace(study, config=study.config.model_copy(update={"hardware": hardware}))
    return make_results(study, fits=False)


def test_recorded_device_seconds_are_what_a_run_cost(results):
    results.records[0]["device_seconds"] = 7200.0
    table = find(results).costs
    assert table.loc[0, "actual_device_hours"] == 2.0
    old = results.records[1]
    assert table.loc[1, "actual_device_hours"] == pytest.approx(old["wall_seconds"] * 2 / 3600, rel=1e-12)


def test_a_run_that_stopped_early_is_compared_with_the_plan_for_what_it_saw(results):
    """A tenth of the tokens: the plan for them is start-up and a tenth of the training."""
    record = results.records[0]
    whole, seen = record["n_tokens"], record["n_tokens"] // 10
    record |= {"n_tokens": seen, "stopped": "plateau", "device_seconds": 600.0}
    row = find(results).costs.to_dict("records")[0]
    config = results.study.config
    pace = assumed_pace(grid(results.study)[0], config.hardware, execution=config.execution)
    assert (row["planned_tokens"], row["seen_tokens"]) == (whole, seen)
    assert row["planned_for_seen"] == pytest.approx((36 + seen / pace.tokens_per_second) / 3600, rel=1e-9)
    assert row["ratio_seen"] == pytest.approx(600 / 3600 / row["planned_for_seen"], rel=1e-12)
    assert row["ratio"] == pytest.approx(600 / 3600 / row["planned_device_hours"], rel=1e-12)
    assert row["ratio"] < row["ratio_seen"]


START, SPEED = 36.0, 1e11 * 0.5
"""Seconds that a job takes to start, and FLOP/s."""
WHOLE, HALF, TRUNK = "5M/all/wsd/seed0", "5M/half/wsd/seed0", "trunks/5M/all/seed0"


def shared_study() -> Study:
    """A set of 4 million tokens, and half a pass over it: a trunk of 3.2 million, branches of 0.8 and 0.4."""
    hardware = Hardware(name="x", peak_flops=1e11, memory_gib=80, startup_seconds=START, mfu=0.5, target_hours=1e6)
    sets = (
        Subset(name="all", kind="all", n_sequences=40_000, train=True),
        Subset(name="half", kind="passes", of="all", epochs=0.5, n_sequences=40_000, train=True),
    )
    return Study(Config(hardware=hardware), (PAPERS_5M.model_copy(update={"schedules": ["wsd"]}),), sets)


def record(cell, *, n_tokens: int, before: int = 0, seconds: float, devices: int = 1, **more) -> dict:
    left = {"step": 1, "n_tokens": before, "squared_lengths": 9 * before} if before else None
    return {
        "cell": cell.frozen(),
        "status": "done",
        "reason": None,
        "n_tokens": n_tokens,
        "squared_lengths": 9 * n_tokens,
        "trunk": "checkpoints" if before else None,
        "branched_from": left,
        "wall_seconds": seconds / devices,
        "device_seconds": seconds,
        "resumed_at_steps": [],
        "allocation": {"world": devices},
    } | more


def results_of(study: Study, records: list[dict], trunks: list[dict]) -> Results:
    counts = {"all": {"n_tokens": 4_000_000}, "half": {"n_tokens": 2_000_000}}
    return Results(study, [], records, {}, counts, {}, trunk_records=trunks)


def planned_hours(study: Study, n_tokens: int) -> float:
    pace = assumed_pace(grid(study)[0], study.config.hardware, execution=study.config.execution)
    return (START + n_tokens / pace.tokens_per_second) / 3600


def test_trunks_are_rows_and_branches_are_what_they_train_themselves():
    """The short branch left the trunk at 1.5 instead of 1.6 million tokens, and trained 0.5 instead of 0.4."""
    study = shared_study()
    whole, half = grid(study)
    runs = [
        record(whole, n_tokens=4_000_000, before=3_200_000, seconds=7200),
        record(half, n_tokens=2_000_000, before=1_500_000, seconds=1800),
    ]
    trunk = record(trunk_cell(whole), n_tokens=3_200_000, seconds=36_000, devices=2, until_passes=0.8)
    results = results_of(study, runs, [trunk])
    table = find(results).costs.set_index("run")
    assert table.index.tolist() == [WHOLE, HALF, TRUNK, "sum", "sum", "sum"]
    assert table["schedule"].tolist() == ["wsd", "wsd", "wsd trunk", "wsd", "wsd trunk", "study"]
    assert table["planned_tokens"].tolist() == [800_000, 400_000, 3_200_000, 1_200_000, 3_200_000, 4_400_000]
    assert table["seen_tokens"].tolist() == [800_000, 500_000, 3_200_000, 1_300_000, 3_200_000, 4_500_000]
    planned = [planned_hours(study, n) for n in (800_000, 400_000, 3_200_000)]
    expected = [*planned, planned[0] + planned[1], planned[2], sum(planned)]
    assert table["planned_device_hours"].tolist() == pytest.approx(expected, rel=1e-12)
    assert table["actual_device_hours"].tolist() == [2, 0.5, 10, 2.5, 10, 12.5]
    assert table.loc[TRUNK, "actual_hours"] == 5
    assert table.loc[HALF, "planned_for_seen"] == pytest.approx(planned_hours(study, 500_000), rel=1e-12)
    assert table.iloc[-1]["ratio"] == pytest.approx(12.5 / sum(planned), rel=1e-12)
    assert find(results).trained[0] == 4_500_000


def test_runs_without_a_trunk_are_planned_without_and_a_lost_record_counts_nothing():
    study = shared_study()
    whole, half = grid(study)
    runs = [record(cell, n_tokens=n, seconds=3600) for cell, n in ((whole, 4_000_000), (half, 2_000_000))]
    table = find(results_of(study, runs, [])).costs
    assert table["run"].tolist() == [WHOLE, HALF, "sum", "sum"]
    assert table["planned_tokens"].tolist() == table["seen_tokens"].tolist() == [4e6, 2e6, 6e6, 6e6]
    runs = [run | {"trunk": "checkpoints"} for run in runs]
    lost = find(results_of(study, runs, [])).costs.set_index("run")
    assert lost.loc[TRUNK, "status"] == "missing"
    planned = [planned_hours(study, n) for n in (800_000, 400_000)]
    assert lost.iloc[-1]["ratio"] == pytest.approx(2 / sum(planned), rel=1e-12), "of what has both"


def test_records_of_runs_and_of_trunks_are_told_apart(tmp_path):
    study = shared_study()
    run = record(grid(study)[0], n_tokens=1, seconds=1)
    files = {"run.json": run, "trunk.json": run | {"until_passes": 0.8}, "stats.json": {}}
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    results = make_results(make_study(widths=("w32",), schedules=("constant",), sets=("half",)), fits=False)
    to_frame(results.curves).to_parquet(tmp_path / "curves.parquet")
    read = read_results(
        study.to_json(),
        curves=tmp_path / "curves.parquet",
        records=[tmp_path / "run.json", tmp_path / "trunk.json"],
        fits=[],
        subsets=[],
        stats=tmp_path / "stats.json",
    )
    assert (read.records, read.trunk_records) == ([run], [run | {"until_passes": 0.8}])
