"""What the arms of a comparison cost where runs have a trunk in common."""

import json

import pytest

from plmscale.compare.arms import comparisons
from plmscale.compare.contrasts import costs
from plmscale.compare.studies import ComparedStudy, read_study, setup_of
from plmscale.compare.tables import ONCE, costs_table
from plmscale.results.outcomes import device_seconds
from plmscale.runs.curve_files import to_frame
from plmscale.study.flops import train_flops
from plmscale.study.grid import Cell
from plmscale.study.trunks import trunk_cell
from results_data import make_results, make_study

BEFORE, LONG = 20_000, 100_000
"""Tokens at which the branches left, and those that the trunks were trained on."""


@pytest.fixture(scope="module")
def parts():
    """A study of two schedules; each size and set of wsd has a trunk, but one run was trained without it."""
    study = make_study(schedules=("wsd", "constant"), widths=("w32", "w48"), sets=("half", "tenth"))
    results, trunks = make_results(study, fits=False), []
    for record in results.records:
        cell = Cell.from_json(record["cell"])
        if cell.schedule == "wsd" and (cell.model.name, cell.subset) != ("w32", "tenth"):
            record["branched_from"] = {"step": 9, "n_tokens": BEFORE, "squared_lengths": 200 * BEFORE}
            trunk = {"cell": trunk_cell(cell).frozen(), "n_tokens": LONG, "squared_lengths": 200 * LONG}
            trunks.append(record | trunk | {"branched_from": None, "wall_seconds": 1800.0})
    unused = next(record for record in results.records if "branched_from" not in record)
    lost = trunk_cell(Cell.from_json(unused["cell"])).frozen() | {"seed": 7}
    return results, [*trunks, trunks[0] | {"cell": lost}]


def member(parts) -> ComparedStudy:
    results, trunks = parts
    setup = setup_of(results.curves, results.records, holdout=None)
    return ComparedStudy("one", results.curves, {}, results.records, trunks, setup)


def flops(cell, n_tokens: float) -> float:
    return train_flops(cell.model, n_tokens, convention="appendix_e", max_length=cell.max_length)


def test_what_branches_share_is_counted_once(parts):
    """By hand: of each run its tokens less those of the trunk, and each trunk that a run came from."""
    results, trunks = parts
    (comparison,) = comparisons([member(parts)], by=["schedule"])
    table = costs(comparison).set_index("arm")
    for schedule, n_trunks in (("wsd", 3), ("constant", 0)):
        records = [record for record in results.records if record["cell"]["schedule"] == schedule]
        own = [record["n_tokens"] - (record.get("branched_from") or {}).get("n_tokens", 0) for record in records]
        cells = [Cell.from_json(record["cell"]) for record in records]
        used = trunks[:n_trunks]
        row = table.loc[schedule]
        assert (row["runs"], row["trunks"], row["timed"]) == (4, n_trunks, 4 + n_trunks)
        assert row["n_tokens"] == sum(own) + n_trunks * LONG
        shared = sum(flops(Cell.from_json(one["cell"]), LONG) for one in used)
        assert row["flops"] == pytest.approx(sum(map(flops, cells, own)) + shared, rel=1e-9)
        seconds = [device_seconds(record) or 0 for record in records] + n_trunks * [3600.0]
        assert row["device_hours"] == pytest.approx(sum(seconds) / 3600, rel=1e-12)
    assert costs_table(costs(comparison)).notes == (ONCE,)
    assert costs_table(costs(comparison).assign(trunks=0)).notes == ()


def test_sets_have_their_own_trunks(parts):
    (comparison,) = comparisons([member(parts)], by=["set"])
    found = {arm.label: sorted(arm.trunks["model"]) for arm in comparison.arms if arm.schedule == "wsd"}
    assert found == {"half, wsd": ["w32", "w48"], "tenth, wsd": ["w48"]}


def test_trunks_are_read_with_their_study(parts, tmp_path):
    results, trunks = parts
    (tmp_path / "analysis").mkdir()
    (tmp_path / "fits").mkdir()
    to_frame(results.curves).to_parquet(tmp_path / "analysis/curves.parquet")
    (tmp_path / "fits/envelope.json").write_text(json.dumps({"fit": "envelope", "schedules": {}}))
    for record in results.records:
        folder = tmp_path / "runs" / Cell.from_json(record["cell"]).path
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(record))
    for record in trunks[:-1]:
        cell = Cell.from_json(record["cell"])
        folder = tmp_path / f"trunks/{cell.model.name}/{cell.subset}/seed{cell.seed}"
        folder.mkdir(parents=True)
        (folder / "trunk.json").write_text(json.dumps(record))
    read = read_study(tmp_path, name="one")
    assert len(read.trunks) == 3
    assert (read.trunks["n_tokens"] == LONG).all()
    assert (read.trunks["device_seconds"] == 3600).all()
