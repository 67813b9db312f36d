"""Which cells share a trunk, and what the plan says that it saves, against arithmetic by hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from conftest import ROOT
from plmscale.plan.plan import grid_resources, plan, plan_summary, plan_trunks, whole_plan
from plmscale.plan.report import sentences
from plmscale.results.outcomes import branch_tokens
from plmscale.status.progress import StudyProgress, line, state
from plmscale.study.config import Training
from plmscale.study.grid import grid
from plmscale.study.jobs import TRUNK, workloads
from plmscale.study.schedule_settings import Wsd
from plmscale.study.study import Study, load_study
from plmscale.study.trunks import common_trunk, trunk_cell, trunks
from plmscale.training.lock import CellLock
from plmscale.training.trunk_files import ask_again, to_count, trunks_here, until_passes

HEADER = "name\tkind\tmin_identity\tsame_size_as\tof\tepochs\tn_sequences\ttrain\n"
LADDER = {"p30": 30 / 64, "p23": 23 / 64, "p20": 20 / 64}
"""The paper's numbers of sequences, 30, 23 and 20 of 64 million, as parts of a pass over UniRef50."""
SIZE = "5M\t4\t320\t1280\t20\t4e-4\t"


def study(folder: Path, *, schedules: str = "wsd", epochs: dict[str, float] = LADDER, **raw) -> Study:
    rows = "".join(f"{name}\tpasses\t\t\tuniref50\t{value!r}\t\tyes\n" for name, value in epochs.items())
    (folder / "subsets.tsv").write_text(HEADER + "uniref50\tall\t\t\t\t\t64000000\tyes\n" + rows)
    header = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules\n"
    (folder / "models.tsv").write_text(header + SIZE + schedules + "\n")
    tables = {"models": str(folder / "models.tsv"), "subsets": str(folder / "subsets.tsv")}
    return load_study({"source": "p.fasta", **tables, **raw}, base=folder, with_published=False)


@pytest.mark.parametrize(("share", "expected"), [(0.2, 78.6 / 137), (0.1, 71.3 / 137), (0.05, 67.65 / 137)])
def test_the_papers_ladder_by_hand(tmp_path, share, expected):
    """64 + 30 + 23 + 20 = 137 from their starts. With a fifth in decay: a trunk of 0.8 · 64 = 51.2 and branches of
    0.2 · 137 = 27.4, together 78.6; with a tenth 57.6 + 13.7, with a twentieth 60.8 + 6.85. The trunk alone is 37 to
    44 %: below half only with shares up to 4.5 ÷ 73."""
    here = study(tmp_path, training={"wsd": {"decay_share": share}})
    table = whole_plan(here, {}, {})
    total = plan_summary(table, here.config.hardware).iloc[-1]
    assert total["flops_appendix_e"] / total["flops_from_scratch"] == pytest.approx(expected, rel=1e-9)
    assert total["flops_from_scratch"] == pytest.approx(4.668e7 * 137e6 * 325, rel=1e-3)
    assert total["cells"] == 4
    assert f"{100 * expected:.1f} %" in sentences(here, {}, {}, table=table).trunks


def test_the_preset_of_the_ladder_takes_less_than_half(paper_study):
    """config/ladder.yaml over config/config.yaml, as Snakemake lays them over each other."""
    raw = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    update_config(raw, yaml.safe_load((ROOT / "config/ladder.yaml").read_text()))
    here = load_study(raw, base=ROOT)
    assert [m.model_copy(update={"schedules": ()}) for m in here.models] == [
        m.model_copy(update={"schedules": ()}) for m in paper_study.models
    ]
    tokens = {subset.name: subset.n_sequences for subset in paper_study.subsets}
    budgets = {subset.name: 64e6 * (subset.epochs or 1) for subset in here.subsets}
    assert sorted(budgets.values()) == [tokens[name] for name in ("sampled20", "sampled23", "sampled30", "uniref50")]
    table = whole_plan(here, {}, {})
    total = plan_summary(table, here.config.hardware).iloc[-1]
    assert total["flops_appendix_e"] / total["flops_from_scratch"] == pytest.approx(67.65 / 137, rel=1e-9)
    assert "49.4 %" in sentences(here, {}, {}, table=table).trunks


def test_hours_are_those_of_the_parts(tmp_path):
    here = study(tmp_path)
    apart = study(tmp_path, execution={"branch": False})
    assert sentences(apart, {}, {}, table=whole_plan(apart, {}, {})).trunks == ""
    start = 60 / 3600
    one, two = (whole_plan(s, {}, {}) for s in (here, apart))
    assert one["device_hours"].sum() - start * one["devices"].sum() < two["device_hours"].sum()
    shared = plan_trunks(here)
    assert shared["schedule"].tolist() == [TRUNK]
    assert shared["n_tokens"].tolist() == [round(0.8 * 64e6 * 325)]
    assert plan(here)["n_tokens"].tolist() == plan(apart)["n_tokens"].tolist(), "D of a run is that of the whole run"
    work, whole = workloads(here, {}), workloads(apart, {})
    assert sum(w.flops for w in work.values()) == pytest.approx(one["flops_trained"].sum(), rel=1e-12)
    assert {path: work[path].n_tokens for path in whole} == {path: w.n_tokens for path, w in whole.items()}
    assert work["5M/uniref50/wsd/seed0"].before == work["trunks/5M/uniref50/seed0"].n_tokens


def test_a_cell_that_shares_with_none_that_is_left_is_planned_whole(tmp_path):
    """The others were trained without a trunk: walltime and device-hours are those of a run from its start."""
    here, results = study(tmp_path), tmp_path / "results"
    for cell in grid(here)[1:]:
        finished(results, cell, trunk=None)
    apart = grid_resources(study(tmp_path, execution={"branch": False}), {})
    assert grid_resources(here, {}, shared=trunks_here(here, results=results)) == apart
    assert grid_resources(here, {})["5M/uniref50/wsd/seed0"] != apart["5M/uniref50/wsd/seed0"]


def test_a_trunk_that_nobody_needs_is_not_trained_to_be_counted(tmp_path):
    here, results = study(tmp_path), tmp_path / "results"
    for cell in grid(here)[1:]:
        finished(results, cell, trunk="somewhere")
    found = trunks_here(here, results=results)
    assert to_count(found, results=results) == found, "a branch is to come"
    finished(results, grid(here)[0], trunk="somewhere")
    found = trunks_here(here, results=results)
    assert len(found) == 1 and to_count(found, results=results) == {}
    record = results / "trunks/5M/uniref50/seed0/trunk.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert to_count(found, results=results) == found


def test_trunks_start_first_and_have_resources_of_their_own(tmp_path):
    found = grid_resources(study(tmp_path), {})
    assert found["trunks/5M/uniref50/seed0"]["priority"] == len(found) - 1 == 4


def test_one_trunk_for_each_size_set_and_seed(tmp_path):
    here = study(tmp_path, schedules="constant,wsd,cosine", seeds=[0, 1])
    found = trunks(here)
    assert list(found) == ["5M/uniref50/seed0", "5M/uniref50/seed1"]
    first = found["5M/uniref50/seed0"]
    assert {cell.subset for cell in first.branches} == {"uniref50", *LADDER}
    assert first.points == [0.8 * value for value in sorted([1.0, *LADDER.values()])]
    assert first.until == 0.8
    assert trunks(study(tmp_path, epochs={})) == {}, "a single budget has nobody to share a trunk with"


def test_what_is_predicted_is_not_half_trained_before(tmp_path):
    (found,) = trunks(study(tmp_path, forecast={"sets": ["uniref50"]})).values()
    assert {cell.subset for cell in found.branches} == set(LADDER)
    assert found.until == 0.8 * max(LADDER.values())


def test_a_trunk_is_the_constant_cell_whatever_the_decay(tmp_path):
    here = study(tmp_path, schedules="constant,wsd")
    cells = {cell.path: cell for cell in grid(here)}
    constant = cells["5M/uniref50/constant/seed0"].frozen()
    for name in ("uniref50", "p20"):
        cell = cells[f"5M/{name}/wsd/seed0"]
        other = replace(cell, training=Training(wsd=Wsd(decay_share=0.5, shape="linear", floor=0.1)))
        assert trunk_cell(cell).frozen() == trunk_cell(other).frozen() == constant


def finished(results: Path, cell, *, trunk: str | None, name: str = "run.json") -> None:
    folder = results / "runs" / cell.path
    folder.mkdir(parents=True, exist_ok=True)
    record = {"cell": cell.frozen(), "trunk": trunk}
    (folder / name).write_text(json.dumps(record if name == "run.json" else {"record": record}))


@pytest.mark.parametrize("name", ["run.json", "finished.json"])
def test_finished_cells_keep_what_they_were_trained_with(tmp_path, name):
    here = study(tmp_path)
    cells = {cell.subset: cell for cell in grid(here)}
    results = tmp_path / "results"
    finished(results, cells["uniref50"], trunk=None, name=name)
    (trunk,) = trunks_here(here, results=results).values()
    assert {cell.subset for cell in trunk.branches} == set(LADDER)
    finished(results, cells["p30"], trunk="somewhere", name=name)
    (trunk,) = trunks_here(study(tmp_path, execution={"branch": False}), results=results).values()
    assert [cell.subset for cell in trunk.branches] == ["p30"]
    assert trunk.finished == {cells["p30"].path}


def test_what_was_trained_at_another_rate_is_not_finished(tmp_path):
    results = tmp_path / "results"
    for cell in grid(study(tmp_path)):
        finished(results, cell, trunk=None)
    here = study(tmp_path)
    assert trunks_here(here, results=results) == {}
    changed = replace(here, models=tuple(m.model_copy(update={"learning_rate": 1e-3}) for m in here.models))
    (trunk,) = trunks_here(changed, results=results).values()
    assert len(trunk.branches) == 4


def test_a_trunk_never_shrinks_and_is_asked_again_where_it_fell_short(tmp_path):
    (trunk,) = trunks(study(tmp_path)).values()
    results = tmp_path / "results"
    folder = results / "trunks" / trunk.path
    folder.mkdir(parents=True)
    (folder / "until_passes.txt").write_text("0.8\n")
    assert until_passes(trunk, results=results) == 0.8
    assert ask_again({trunk.path: trunk}, results=results) == []
    record = {"cell": trunk.cell.frozen(), "until_passes": 1.6}
    (folder / "trunk.json").write_text(json.dumps(record))
    assert until_passes(trunk, results=results) == 1.6
    assert ask_again({trunk.path: trunk}, results=results) == []
    for short in (record | {"until_passes": 0.4}, record | {"cell": record["cell"] | {"seed": 1}}):
        (folder / "trunk.json").write_text(json.dumps(short))
        before = (folder / "until_passes.txt").read_text()
        assert until_passes(trunk, results=results) == 0.8
        assert ask_again({trunk.path: trunk}, results=results) == [folder / "until_passes.txt"]
        assert (folder / "until_passes.txt").read_text() == before + "\n"


def test_the_progress_line_counts_trunks_and_of_branches_what_they_train(tmp_path):
    """A set and half of it: of 1.1 parts of FLOPs 0.8 are in the trunk, 0.2 and 0.1 in the branches."""
    here, results = study(tmp_path, epochs={"half": 0.5}), tmp_path / "results"
    whole, half = grid(here)
    work, found = workloads(here, {}), trunks(here)
    (trunk,) = found.values()

    def trained(folder: Path, n_tokens: float) -> StudyProgress:
        folder.mkdir(parents=True, exist_ok=True)
        row = {"step": 1, "n_tokens": n_tokens, "loss": 3.0}
        (folder / "metrics.jsonl").write_text(json.dumps(row) + "\n")
        lock = CellLock(folder)
        assert lock.take() is None
        now = state(work, results=results, trunks=found)
        lock.release()
        return now

    tokens, folder = 64e6 * 325, results / "trunks" / trunk.path
    now = trained(folder, 0.6 * tokens)
    assert (now.cells, now.trunks) == ((0, 0, 2), (0, 1, 0))
    assert now.share == pytest.approx(0.6 / 1.1)
    assert "trunks: 0 of 1 done, 1 running" in line(now, before=None, seconds=1)
    (folder / "metrics.jsonl").unlink()
    record = {"cell": trunk.cell.frozen(), "until_passes": 0.4}
    (folder / "trunk.json").write_text(json.dumps(record))
    assert state(work, results=results, trunks=found).share == pytest.approx(0.4 / 1.1), "to be extended"
    (folder / "trunk.json").write_text(json.dumps(record | {"until_passes": 0.8}))
    now = trained(results / "runs" / half.path, 0.45 * tokens)
    assert (now.cells.running, now.trunks.done) == (1, 1)
    assert now.share == pytest.approx((0.8 + 0.05) / 1.1), "the branch has half of its own tokens"
    for cell in (whole, half):
        finished(results, cell, trunk="somewhere")
    (folder / "trunk.json").unlink()
    now = state(work, results=results, trunks=found)
    assert (now.cells.done, now.trunks.done, now.share) == (2, 1, 1.0), "nobody waits for the trunk"


def test_tokens_of_a_trunk_are_not_those_of_its_branch():
    assert branch_tokens({"branched_from": {"step": 3, "n_tokens": 70, "squared_lengths": 9}}) == 70
    assert branch_tokens({"branched_from": None}) == branch_tokens({}) == 0


def test_runs_of_one_trajectory_name_one_trunk(tmp_path):
    """Whether it was trained once or again: until the rate depends on the budget they are the same steps."""
    here = study(tmp_path, schedules="wsd,constant,token_decay,cosine", seeds=[0, 1], execution={"branch": False})
    named = {(cell.schedule, cell.seed): set() for cell in grid(here)}
    for cell in grid(here):
        named[cell.schedule, cell.seed].add(common_trunk(cell))
    for seed in (0, 1):
        assert named["cosine", seed] == {""}
        for schedule in ("wsd", "constant", "token_decay"):
            assert named[schedule, seed] == {f"5M/uniref50/seed{seed}"}
