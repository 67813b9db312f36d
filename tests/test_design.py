"""`plmscale design`: ladder, expectation, budget, files; against published sizes, simulated fits and the plan."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import ROOT
from plmscale.cli.main import main
from plmscale.design.budget import budget_of
from plmscale.design.design import design
from plmscale.design.expectation import Grid, expected
from plmscale.design.ladder import heads_of, ladder, ladder_params, layers_of, spaced
from plmscale.design.prior import read_priors, small_prior
from plmscale.design.proteins import Proteins, count_proteins
from plmscale.design.recipe import learning_rate
from plmscale.design.search import Means, best_designs
from plmscale.errors import InputError
from plmscale.laws.chinchilla import fit
from plmscale.laws.fit import FitSettings
from plmscale.laws.proteins.table import protein_law
from plmscale.laws.solvers.chinchilla import ChinchillaLaw
from plmscale.plan.identifiability import knowledge
from plmscale.plan.study import plan_study
from plmscale.runs.curves import smooth
from plmscale.study.configuration import read_configuration
from plmscale.study.grid import grid
from plmscale.study.study import load_study

EXAMPLE = ROOT / "resources/example/swissprot_20k.fasta.gz"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The study of 2e13 FLOPs on the example proteins."""
    out = tmp_path_factory.mktemp("design") / "my_study"
    return design(EXAMPLE, out, root=ROOT, flops="2e13")


@pytest.fixture
def many(monkeypatch):
    """Proteins of which one pass is longer than any run."""
    monkeypatch.setattr(Proteins, "tokens", lambda self, max_length: 10**14)


@pytest.mark.parametrize(
    "width, layers, heads", [(320, 6, 20), (480, 12, 20), (640, 30, 20), (1280, 33, 20), (2560, 36, 40)]
)
def test_the_ladder_has_esm2s_sizes(width, layers, heads):
    # Lin et al. 2023, and the configurations of facebook/esm2_t6_8M_UR50D to esm2_t36_3B_UR50D.
    assert (layers_of(width), heads_of(width)) == (layers, heads)


def test_sizes_grow_along_the_ladder_and_pass_the_studys_own_checks():
    assert list(ladder_params()) == sorted(set(ladder_params()))
    assert all(size.d_model % (2 * size.n_heads) == 0 for size in ladder())
    assert spaced(1e3, ratio=4.0, n=30) is None, "a ladder ends"


def test_expected_errors_are_the_plans_where_runs_share_nothing():
    # With a wide Huber threshold against the noise the fit is least squares, whose error the plan gives as well.
    prior = replace(read_priors("cheng2024-mlm", flops=1e21)[0], noise=1e-6)
    cells = Grid.of(np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 4), shared=False)
    told = expected(prior, cells, target_flops=1e21)
    se = knowledge(cells.n_params, cells.n_tokens).relative_error["a"] * prior.a * 1e-6 / 0.005
    assert told.error_logit * prior.a * (1 - prior.a) == pytest.approx(se, rel=1e-3)


def test_the_optimum_is_hoffmanns():
    prior = read_priors("cheng2024-mlm", flops=1e21)[0]
    _, a, b, alpha, beta = protein_law().constants
    wanted = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (1e21 / 6) ** (beta / (alpha + beta))
    assert np.exp(prior.log_optimum(prior.theta[None], 1e21)[0]) == pytest.approx(wanted, rel=1e-9)


def test_common_noise_widens_the_expected_interval_and_seeds_narrow_it():
    prior = small_prior()
    sizes, tokens = np.geomspace(2e3, 1e5, 7), np.geomspace(1e5, 8e6, 7)
    one, alone = (expected(prior, Grid.of(sizes, tokens), target_flops=1e13, share=share) for share in (0.9, 0.0))
    two = expected(prior, Grid.of(sizes, tokens, seeds=2), target_flops=1e13)
    assert two.error_logit == pytest.approx(one.error_logit / np.sqrt(2), rel=1e-9)
    assert alone.error_logit < one.error_logit


def test_the_expected_interval_is_that_of_a_fit_to_simulated_runs():
    # The other side is the fit itself: its profile intervals on independent runs of the law.
    prior = small_prior()
    _, a, b, alpha, beta = _constants(prior)
    law = ChinchillaLaw(float(np.exp(prior.theta[0])), a, b, alpha, beta, 0.0)
    cells = Grid.of(np.geomspace(2e3, 1e5, 7).round(), np.geomspace(1e5, 8e6, 7).round(), shared=False)
    told = expected(prior, cells, target_flops=1e13)
    widths = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        loss = law.loss(cells.n_params, cells.n_tokens) * np.exp(rng.normal(0, prior.noise, cells.n_params.size))
        rows = {"n_params": cells.n_params.astype(int), "n_tokens": cells.n_tokens, "loss": loss}
        frame = pd.DataFrame(rows).assign(flops=6 * cells.n_params * cells.n_tokens, subset="s", schedule="all", seed=0)
        frame["run"] = [f"r{i}" for i in range(len(frame))]
        frame["model"] = frame["n_params"].map("{:d}".format)
        frame = frame.assign(status="done", unique_tokens=0, step=1, batch_tokens=0, lr_fraction=np.nan)
        found = fit(smooth(frame), rng=rng, settings=FitSettings(n_bootstrap=20)).estimates["a"]
        if found.low is not None and found.high is not None:
            widths.append(found.high - found.low)
    assert len(widths) >= 6
    low, high = told.interval.low, told.interval.high
    assert low is not None and high is not None
    assert np.median(widths) == pytest.approx(high - low, rel=0.35)


def _constants(prior):
    alpha, beta = prior.theta[3:]
    return (
        0.0,
        np.exp(prior.theta[1] + alpha * prior.centre[0]),
        np.exp(prior.theta[2] + beta * prior.centre[1]),
        alpha,
        beta,
    )


def test_a_larger_budget_is_never_expected_to_tell_less():
    prior = small_prior()
    errors = [
        min(one.expected.error_logit for one in best_designs(prior, Means(c, 0.0, 64, 1e9), target_flops=1e13))
        for c in (1e13, 1e14)
    ]
    assert errors[1] < errors[0]


def test_proteins_are_counted_as_the_store_and_its_sets_count_them(small):
    counted = count_proteins(EXAMPLE)
    assert (counted.n_sequences, counted.n_holdout) == (19_000, 1_000)
    long = counted.tokens(10**6)
    assert long == counted.n_residues + 2 * counted.n_sequences
    assert counted.tokens(64) == sum(min(n, 62) + 2 for n in counted.lengths.tolist())


def test_the_plan_counts_what_the_design_promised(small):
    raw = read_configuration([small.folder / "study.yaml"], root=ROOT)
    said = plan_study(raw, folder=small.folder, root=ROOT)
    sums = pd.read_csv(small.folder / "results/plan/summary.tsv", sep="\t").query("by == 'study'").iloc[0]
    promised = json.loads((small.folder / "design.json").read_text())
    assert sums["flops_appendix_e"] == pytest.approx(promised["flops"], rel=1e-9)
    assert sums["device_hours"] == pytest.approx(promised["device_hours"], rel=1e-9)
    assert sums["cells"] == promised["cells"] and f"{promised['cells']} cells" in said
    assert 0.9 <= sums["flops_appendix_e"] / 2e13 <= 1


def test_the_first_line_is_the_expectation_and_the_study_is_one(small, monkeypatch):
    assert small.text.startswith("Expected: a = ") or small.text.startswith(("No law", "The law will be only"))
    monkeypatch.chdir(small.folder)
    study = load_study(read_configuration([Path("study.yaml")], root=ROOT), base=ROOT)
    cells = grid(study)
    assert {cell.schedule for cell in cells} == {"wsd"} and all(cell.of == "proteins" for cell in cells)
    assert study.config.training.initial_weights == "fan_in", "sizes are narrow"
    assert [size.learning_rate for size in study.models] == [learning_rate(size) for size in study.models]
    assert study.subsets[0].n_sequences == 19_000 and study.subsets[0].n_tokens == count_proteins(EXAMPLE).tokens(128)


@pytest.mark.usefixtures("many")
def test_hours_of_a_gpu_use_bf16_and_tell_of_fp32(tmp_path):
    made = design(EXAMPLE, tmp_path / "s", root=ROOT, gpu_hours=500, device="h100")
    share = made.promise.cost.share(made.promise.draft)
    assert 0.9 <= share <= 1 and made.promise.draft.budget.precision == "bf16"
    (other,) = made.promise.alternatives
    assert other.precision == "fp32" and other.cost.device_hours > 5 * made.promise.cost.device_hours
    assert other.n_cells < made.promise.draft.design.n_cells
    assert f"fp32: {other.n_cells} cells; bf16: {made.promise.draft.design.n_cells}" in made.text
    assert yaml.safe_load((tmp_path / "s/study.yaml").read_text())["training"]["precision"] == "bf16"


def test_a_law_that_will_not_be_identified_is_said_first(tmp_path, monkeypatch):
    monkeypatch.setattr("plmscale.design.design.FACTORS", (1000,))
    made = design(EXAMPLE, tmp_path / "s", root=ROOT, flops="2e13", noise=0.05)
    assert made.text.startswith("No law will be identified") and "times the budget" in made.text.replace("\n  ", " ")
    assert made.promise.expected.status == "not identified"


@pytest.mark.usefixtures("many")
def test_a_deadline_is_met_by_the_plan(tmp_path):
    made = design(EXAMPLE, tmp_path / "s", root=ROOT, deadline=0.5, device="cpu", devices=2)
    assert 0.9 * 0.5 <= made.promise.cost.hours <= 0.5
    assert "h from start to end" in " ".join(made.text.split())


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    kept = tmp_path / "s"
    kept.mkdir()
    with pytest.raises(InputError, match="is there already"):
        design(EXAMPLE, kept, root=ROOT, flops=2e13)
    assert list(tmp_path.iterdir()) == [kept] and not list(kept.iterdir())


@pytest.mark.parametrize(
    "given, said",
    [
        ({}, "no budget"),
        ({"flops": 1e13, "money": 5}, "--flops and --money are 2 budgets"),
        ({"gpu_hours": 5}, "on which device"),
        ({"gpu_hours": 5, "device": "cpu"}, "--gpu-hours are of a GPU"),
        ({"gpu_hours": 5, "device": "H10"}, "Did you mean H100"),
        ({"gpu_hours": -5, "device": "H100"}, "--gpu-hours is -5"),
        ({"gpu_hours": "many", "device": "H100"}, "--gpu-hours is 'many'"),
        ({"money": 5, "device": "H100"}, "--price"),
        ({"deadline": 5, "device": "H100"}, "--devices"),
        ({"deadline": 5, "device": "H100", "devices": 1.5}, "whole number"),
        ({"flops": 1e13, "precision": "bf16"}, "none of cpu"),
        ({"flops": 1e20, "device": "V100-32GB", "precision": "bf16"}, "Choose fp32 or tf32"),
        ({"flops": 1e13, "max_length": 3}, "--max-length is 3"),
    ],
)
def test_what_is_open_or_ambiguous_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        budget_of(given)


def test_what_cannot_be_spent_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(
        InputError,
        match="one pass over the proteins has 6.92M at --max-length 1024. Runs that see proteins again are in no law",
    ):
        design(EXAMPLE, tmp_path / "s", root=ROOT, gpu_hours=500, device="H100")
    with pytest.raises(InputError, match="too little"):
        design(EXAMPLE, tmp_path / "s", root=ROOT, flops=1e8)
    assert not list(tmp_path.iterdir())


def test_the_command_prints_the_first_lines_and_plan_finds_the_study(tmp_path, capsys):
    out = str(tmp_path / "s")
    assert main(["design", "--flops", "2e13", "--proteins", str(EXAMPLE), "--out", out]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Expected: a = ") and f"Next: plmscale plan --directory {out}" in said
    assert main(["plan", "--directory", out]) == 0
    assert "72 cells" in capsys.readouterr().out


def test_known_tokens_of_a_set_of_passes_are_refused(tmp_path, small, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = re.sub(r"(budget1.*)\t\tyes", r"\1\t5\tyes", (small.folder / "subsets.tsv").read_text())
    (tmp_path / "subsets.tsv").write_text(text)
    (tmp_path / "models.tsv").write_text((small.folder / "models.tsv").read_text())
    with pytest.raises(InputError, match="n_tokens is 5 for kind 'passes'"):
        load_study(read_configuration([small.folder / "study.yaml"], root=ROOT), base=ROOT)
