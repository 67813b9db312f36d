"""Trunks and branches as the workflow runs them: what an added, removed or lost budget trains, and what it does not."""

import json
import shutil
from pathlib import Path

import pytest

from plmscale.training.checkpoints import Checkpoints
from plmscale.training.manifest import MANIFEST
from test_trunk_runs import same
from test_workflow import configure, planned, prepare, snakemake

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trunk")]

MODELS = """name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules
S\t1\t16\t64\t1\t4e-3\twsd
"""
HEADER = "name\tkind\tmin_identity\tsame_size_as\tof\tepochs\tn_sequences\ttrain\nall\tall\t\t\t\t\t600\tyes\n"
RUNS = Path("results/runs/S")


def budgets(folder: Path, *epochs: float, rate: str = "4e-3") -> None:
    """Let the study have these budgets besides the whole set."""
    rows = (f"p{epoch:g}\tpasses\t\t\tall\t{epoch:g}\t\tyes\n" for epoch in epochs)
    (folder / "subsets.tsv").write_text(HEADER + "".join(rows))
    (folder / "models.tsv").write_text(MODELS.replace("4e-3", rate))


def run_of(folder: Path, name: str) -> Path:
    return folder / RUNS / name / "wsd/seed0"


def record(folder: Path, name: str) -> dict:
    return json.loads((run_of(folder, name) / "run.json").read_text())


def trunk_record(folder: Path) -> dict:
    return json.loads((folder / "results/trunks/S/all/seed0/trunk.json").read_text())


def copy(study: Path, folder: Path) -> Path:
    """The study with the times of its files: another working directory of it."""
    shutil.copytree(study, folder, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    """Every budget trained from its start."""
    folder = prepare(tmp_path_factory.mktemp("scratch"), execution={"branch": False})
    budgets(folder, 0.5, 0.7, 1.5)
    snakemake(folder, "runs")
    assert not (folder / "results/trunks").exists()
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Half a pass and a whole one, from one trunk; tests look at it and work in copies."""
    folder = prepare(tmp_path_factory.mktemp("study"))
    budgets(folder, 0.5)
    jobs = planned(folder, "runs")
    assert (jobs["trunk"], jobs["freeze_trunk"], jobs["train"], jobs["freeze"]) == (1, 1, 2, 2)
    snakemake(folder, "runs")
    return folder


def test_branches_are_the_runs_from_their_start_and_a_second_run_does_nothing(study, scratch):
    for name in ("all", "p0.5"):
        same(run_of(study, name), run_of(scratch, name))
        left = record(study, name)["branched_from"]
        assert left["n_tokens"] > 0.7 * record(study, name)["n_tokens"]
    assert "Nothing to be done" in snakemake(study, "--dry-run", "runs")


def test_a_budget_between_runs_one_branch_and_no_trunk(study, scratch, tmp_path):
    folder = copy(study, tmp_path / "here")
    before = trunk_record(folder)
    budgets(folder, 0.5, 0.7)
    jobs = planned(folder, "runs")
    assert (jobs.get("trunk"), jobs["train"], jobs["freeze"]) == (None, 1, 1)
    snakemake(folder, "runs")
    same(run_of(folder, "p0.7"), run_of(scratch, "p0.7"))
    assert record(folder, "p0.7")["branched_from"] == record(folder, "p0.5")["branched_from"], (
        "the point before its own"
    )
    assert trunk_record(folder) == before
    assert "Nothing to be done" in snakemake(folder, "--dry-run", "runs")
    budgets(folder, 0.7)
    assert "Nothing to be done" in snakemake(folder, "--dry-run", "runs"), "a removed budget trains nothing"
    budgets(folder)
    assert "Nothing to be done" in snakemake(folder, "--dry-run", "runs"), "and neither does the last one"
    configure(folder, execution={"branch": False})
    budgets(folder, 0.5, 0.7)
    assert "Nothing to be done" in snakemake(folder, "--dry-run", "runs"), "nor another way to have the same result"


def test_a_larger_budget_extends_the_trunk_and_runs_its_branch(study, scratch, tmp_path):
    folder = copy(study, tmp_path / "here")
    end = trunk_record(folder)["n_steps"]
    budgets(folder, 0.5, 1.5)
    jobs = planned(folder, "runs")
    assert (jobs["trunk"], jobs["freeze_trunk"], jobs["train"], jobs["freeze"]) == (1, 1, 1, 1)
    # An extension that fails leaves the record of the trunk: without it the finished branches would be trained again.
    state = folder / f"results/trunks/S/all/seed0/checkpoints/step{end}/state.pt"
    for path in Checkpoints(state.parents[1]).steps():
        (state.parents[1] / f"step{path}" / MANIFEST).rename(state.parents[1] / f"step{path}" / "away")
    with pytest.raises(AssertionError, match="no checkpoint is whole"):
        snakemake(folder, "--show-failed-logs", "runs")
    for path in Checkpoints(state.parents[1]).steps():
        (state.parents[1] / f"step{path}" / "away").rename(state.parents[1] / f"step{path}" / MANIFEST)
    jobs = planned(folder, "runs")
    assert (jobs["trunk"], jobs["train"]) == (1, 1)
    snakemake(folder, "runs")
    assert trunk_record(folder)["attempts"][-1]["from_step"] == end > 0
    same(run_of(folder, "p1.5"), run_of(scratch, "p1.5"))
    assert "Nothing to be done" in snakemake(folder, "--dry-run", "runs")


def test_a_lost_branch_is_rebuilt_from_the_trunk(study, scratch, tmp_path):
    folder = copy(study, tmp_path / "here")
    (run_of(folder, "p0.5") / "run.json").unlink()
    shutil.rmtree(run_of(folder, "all"))
    jobs = planned(folder, "runs")
    assert (jobs.get("trunk"), jobs["train"], jobs["freeze"]) == (None, 2, 1)
    snakemake(folder, "runs")
    for name in ("all", "p0.5"):
        same(run_of(folder, name), run_of(scratch, name))
        assert record(folder, name)["branched_from"]["step"] > 0


def test_another_learning_rate_trains_trunk_and_branches(study, tmp_path):
    folder = copy(study, tmp_path / "here")
    budgets(folder, 0.5, rate="5e-3")
    jobs = planned(folder, "runs")
    assert (jobs["trunk"], jobs["freeze_trunk"], jobs["train"], jobs["freeze"]) == (1, 1, 2, 2)
    snakemake(folder, "runs")
    assert trunk_record(folder)["cell"]["model"]["learning_rate"] == 5e-3
    assert record(folder, "p0.5")["branched_from"]["step"] > 0


def test_the_decay_is_no_business_of_the_trunk(study, tmp_path):
    folder = copy(study, tmp_path / "here")
    configure(folder, training={"wsd": {"shape": "linear"}})
    jobs = planned(folder, "runs")
    assert (jobs.get("trunk"), jobs.get("freeze_trunk"), jobs["train"]) == (None, None, 2)


def test_what_was_trained_without_a_trunk_stands_when_budgets_come(scratch, tmp_path):
    folder = copy(scratch, tmp_path / "here")
    configure(folder)
    assert "Nothing to be done" in snakemake(folder, "--dry-run", "runs")
    budgets(folder, 0.3, 0.5, 0.7, 0.9, 1.5)
    jobs = planned(folder, "runs")
    assert (jobs["trunk"], jobs["train"], jobs["freeze"]) == (1, 2, 2)


def test_status_knows_trunks_and_removal_cells_alone(study, tmp_path):
    folder = copy(study, tmp_path / "here")
    assert "2 done; trunks: 1 done; " in snakemake(folder, "status")
    record_of_trunk = folder / "results/trunks/S/all/seed0/trunk.json"
    record_of_trunk.rename(tmp_path / "away")
    jobs = planned(folder, "tables")
    assert (jobs.get("trunk"), jobs.get("train"), jobs["tables"]) == (None, None, 1), "nothing is trained to be counted"
    (tmp_path / "away").rename(record_of_trunk)
    snakemake(folder, "remove", "--config", "cell=S/p0.5/wsd/seed0")
    assert not run_of(folder, "p0.5").exists()
    assert trunk_record(folder)["status"] == "done"
    assert planned(folder, "runs")["train"] == 1
