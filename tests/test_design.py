"""`plmscale design`: ladder, expectation, budget, files; against published sizes, simulated fits and the plan."""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree

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
from plmscale.design.remedy import remedy
from plmscale.design.search import Means, best_designs, grid_of
from plmscale.design.simulation import limits, simulated, simulated_fit
from plmscale.design.study import source_in
from plmscale.errors import InputError
from plmscale.laws.proteins.table import protein_law
from plmscale.plan.identifiability import knowledge
from plmscale.plan.study import plan_study
from plmscale.study.configuration import read_configuration
from plmscale.study.flops import train_flops_per_token
from plmscale.study.grid import grid
from plmscale.study.study import load_study

EXAMPLE = ROOT / "resources/example/swissprot_20k.fasta.gz"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The study of 2e13 FLOPs on the example proteins."""
    out = tmp_path_factory.mktemp("design") / "my_study"
    return design(EXAMPLE, out, root=ROOT, flops="2e13")


@pytest.fixture
def few(monkeypatch):
    """Promises of three simulated studies: quick, and as good where the promise is not what is tested."""
    monkeypatch.setattr("plmscale.design.design.simulated", partial(simulated, n=3))


@pytest.fixture
def many(monkeypatch):
    """Proteins of which one pass is longer than any run."""
    monkeypatch.setattr(Proteins, "tokens", lambda self, max_length: 10**12)


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


def test_the_promise_is_the_linear_expectation_where_the_fit_is_linear():
    # Two derivations: Fisher information, and profile intervals of the fit itself on simulated runs.
    prior = replace(small_prior(), noise=0.001)
    cells = Grid.of(np.geomspace(2e3, 1e5, 7).round(), np.geomspace(1e5, 8e6, 4).round(), seeds=6)
    told = expected(prior, cells, target_flops=1e13)
    promised = simulated(prior, cells, target_flops=1e13, n=6)
    assert width(promised) == pytest.approx(width(told), rel=0.25)
    assert promised.status == "identified" and promised.n_identified >= 5
    reach = [np.diff(np.log(np.array([one.size.value, one.size.high], dtype=float))) for one in (promised, told)]
    assert reach[0] == pytest.approx(reach[1], rel=0.7)


def width(told) -> float:
    """Of the interval of a."""
    return told.interval.high - told.interval.low


def test_departures_are_of_the_size_named_and_not_what_the_law_could_follow():
    prior, rng = small_prior(), np.random.default_rng(0)
    cells = Grid.of(np.geomspace(2e3, 1e5, 6), np.geomspace(1e5, 8e6, 5), seeds=2)
    exact, departing = (
        rms_residual(simulated_fit(replace(prior, noise=1e-7), cells, rng, lack_of_fit=lack)) for lack in (0.0, 0.0005)
    )
    assert exact < 1e-6
    # The Huber fit of 60 runs moves its five parameters towards the departures, by little.
    assert departing == pytest.approx(0.0005, rel=0.1)


def rms_residual(fitted) -> float:
    """Root mean square of the log losses less those of the fitted law."""
    law, runs = fitted.details["optimum"], pd.DataFrame(fitted.points)
    terms = law["A"] * runs["n_params"] ** -law["alpha"] + law["B"] * runs["n_tokens"] ** -law["beta"]
    return float(np.sqrt(np.mean(np.log(runs["loss"] / (law["E"] + terms)) ** 2)))


def test_a_law_that_departs_costs_the_verdict_and_not_the_interval():
    prior = replace(small_prior(), noise=0.001)
    cells = Grid.of(np.geomspace(2e3, 1e5, 7).round(), np.geomspace(1e5, 8e6, 4).round(), seeds=6)
    promised = simulated(prior, cells, target_flops=1e13, n=4)
    assert promised.n_identified == 4 and promised.n_departing == 0
    worse = simulated_fit(prior, cells, np.random.default_rng([20, 0]), lack_of_fit=0.0005)
    assert worse.status == "weakly_identified" and worse.why.code == "misfit"
    assert width(promised) == pytest.approx(np.diff(limits(worse))[0], rel=0.3)


def test_an_interval_that_is_open_is_promised_as_open():
    prior = replace(small_prior(), noise=0.2)
    promised = simulated(prior, Grid.of(np.geomspace(2e3, 1e5, 5), np.geomspace(1e5, 1e6, 4)), target_flops=1e13, n=3)
    assert promised.status == "not identified" and promised.n_identified == 0 and promised.n_departing is None
    assert (promised.interval.low, promised.interval.high, promised.width) == (0, 1, 1)


def test_the_remedy_is_the_least_budget_of_a_design_that_is_narrow_enough():
    prior, means = replace(small_prior(), noise=0.012), Means(2e13, 0.0, 128, 2.3e6, 200)
    one = best_designs(prior, means, target_flops=1e13)[0]
    found = remedy(prior, means, one.expected, width=width(one.expected), target_flops=1e13)
    assert width(one.expected) > 0.5 and found.budget is not None

    def narrowest(factor: float) -> float:
        more = replace(means, flops=factor * means.flops, most_jobs=factor * means.most_jobs, most_tokens=1e18)
        return width(best_designs(prior, more, target_flops=1e13)[0].expected)

    assert narrowest(found.budget) <= 0.5 < narrowest(0.9 * found.budget)
    less = expected(replace(prior, noise=prior.noise * found.noise), one.grid, target_flops=1e13)
    assert width(less) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_design_is_expected_to_tell_more_than_doubling_at_equal_cost(seeds):
    prior = small_prior()
    best = best_designs(prior, Means(2e13, 0.0, 128, 2.327e6, 200), target_flops=2e13)[0]
    places = spaced(ladder_params()[best.places[0]], ratio=2.0, n=8)
    assert places is not None
    growth = 2.0 ** np.arange(6)
    per_token = sum(train_flops_per_token(ladder()[i], 128) for i in places)
    shortest = 2e13 / (seeds * per_token * (0.8 * growth[-1] + 0.2 * growth.sum()))
    doubled = expected(prior, grid_of(places, shortest * growth, seeds), target_flops=2e13)
    assert width(best.expected) < width(doubled)


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


def test_a_study_can_be_moved(small, tmp_path, monkeypatch):
    monkeypatch.chdir(copytree(small.folder, tmp_path / "elsewhere"))
    config = load_study(read_configuration([Path("study.yaml")], root=ROOT), base=ROOT).config
    assert not Path(config.source).is_absolute()
    assert Path(config.source).read_bytes() == EXAMPLE.read_bytes()


def test_large_proteins_are_named_from_the_study_where_they_can_move_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr("plmscale.design.study.COPIED", 0)
    beside = tmp_path / "data/x.fasta"
    beside.parent.mkdir()
    beside.write_text(">a\nMKV\n")
    assert source_in(beside, tmp_path / "s").path == "../data/x.fasta"
    far = source_in(beside, tmp_path / "studies/s")
    assert far.path == str(beside) and "`source`" in far.words


def test_the_first_line_is_the_expectation_and_the_study_is_one(small, monkeypatch):
    assert small.text.startswith("Expected: a = ") or small.text.startswith(("No law", "The law will be only"))
    monkeypatch.chdir(small.folder)
    study = load_study(read_configuration([Path("study.yaml")], root=ROOT), base=ROOT)
    cells = grid(study)
    assert {cell.schedule for cell in cells} == {"wsd"} and all(cell.of == "proteins" for cell in cells)
    assert study.config.training.initial_weights == "fan_in", "sizes are narrow"
    assert [size.learning_rate for size in study.models] == [learning_rate(size) for size in study.models]
    assert study.subsets[0].n_sequences == 19_000 and study.subsets[0].n_tokens == count_proteins(EXAMPLE).tokens(128)


@pytest.mark.usefixtures("many", "few")
def test_hours_of_a_gpu_use_bf16_and_tell_of_fp32(tmp_path):
    made = design(EXAMPLE, tmp_path / "s", root=ROOT, gpu_hours=500, device="h100")
    share = made.promise.cost.share(made.promise.draft)
    assert 0.9 <= share <= 1 and made.promise.draft.budget.precision == "bf16"
    (other,) = made.promise.alternatives
    assert other.precision == "fp32" and other.cost.device_hours > 5 * made.promise.cost.device_hours
    assert other.n_cells < made.promise.draft.design.n_cells
    assert f"fp32: {other.n_cells} cells; bf16: {made.promise.draft.design.n_cells}" in made.text
    assert yaml.safe_load((tmp_path / "s/study.yaml").read_text())["training"]["precision"] == "bf16"


@pytest.mark.usefixtures("few")
def test_a_law_that_will_not_be_identified_is_said_first(tmp_path, monkeypatch):
    monkeypatch.setattr("plmscale.design.remedy.FACTORS", (2,))
    made = design(EXAMPLE, tmp_path / "s", root=ROOT, flops="2e13", noise=0.05)
    assert made.text.startswith("No law will be identified") and "times the budget" in made.text.replace("\n  ", " ")
    assert "(0 of 3 simulated studies identify it)" in made.text.replace("\n  ", " ")
    assert made.promise.expected.status == "not identified"


@pytest.mark.usefixtures("many", "few")
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
        ({"flops": 1e13, "precision": "bf16"}, "not available on cpu. Choose fp32"),
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


@pytest.mark.parametrize(
    ("tokens", "given", "said"),
    [
        (10**17, {"flops": 1e13}, "the set of all proteins:\n  n_tokens: .* 10000000000000000; found 1" + 17 * "0"),
        (
            10**15,
            {"flops": 1e13},
            "make no study: a run of .* tokens on proteins of 1.00×10¹⁵ a pass, .* passes: epochs: .* 0.000000001; "
            "found .* Give a budget and proteins that are nearer to each other",
        ),
        (
            10**8,
            {"deadline": 1e12, "devices": 8, "device": "H100"},
            "hardware.*:\n  deadline_hours: .* 1000000000; found",
        ),
        (
            10**8,
            {"gpu_hours": 1e3, "devices": 1e9, "device": "H100"},
            "hardware.*:\n(.*\n)*  max_devices: .* found 1000",
        ),
        (10**8, {"money": 1e3, "price": 1e11, "device": "H100"}, "hardware.*:\n  price_per_device_hour: "),
    ],
)
def test_what_no_study_can_have_is_one_clear_error(tmp_path, monkeypatch, tokens, given, said):
    """Not the error of the model that checks settings, which names neither setting nor remedy of this command."""
    monkeypatch.setattr(Proteins, "tokens", lambda self, max_length: tokens)
    with pytest.raises(InputError, match=said):
        design(EXAMPLE, tmp_path / "s", root=ROOT, **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("few")
def test_the_command_prints_the_first_lines_and_plan_finds_the_study(tmp_path, capsys):
    out = str(tmp_path / "s")
    assert main(["design", "--flops", "2e13", "--proteins", str(EXAMPLE), "--out", out]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Expected: a = ") and f"Next: plmscale plan --directory {out}" in said
    assert main(["plan", "--directory", out]) == 0
    assert "150 cells" in capsys.readouterr().out


def test_known_tokens_of_a_set_of_passes_are_refused(tmp_path, small, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = re.sub(r"(budget1.*)\t\tyes", r"\1\t5\tyes", (small.folder / "subsets.tsv").read_text())
    (tmp_path / "subsets.tsv").write_text(text)
    (tmp_path / "models.tsv").write_text((small.folder / "models.tsv").read_text())
    with pytest.raises(InputError, match="n_tokens is 5 for kind 'passes'"):
        load_study(read_configuration([small.folder / "study.yaml"], root=ROOT), base=ROOT)
