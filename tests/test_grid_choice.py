"""The part of a grid that a budget pays for, and what it is expected to tell, against scipy's covariance."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit

from plmscale.errors import InputError
from plmscale.plan import identifiability as known
from plmscale.plan.grid_choice import GridChoice, choice_rows, planned_hours, within_budget
from plmscale.plan.grid_costs import NOTHING, Costs
from plmscale.plan.information import slope
from plmscale.plan.plan import plan, whole_plan
from plmscale.plan.words import budget_words
from plmscale.study.config import Config, Hardware, Subset
from plmscale.study.grid import grid
from plmscale.study.jobs import planned_tokens
from plmscale.study.recipes.model_row import ModelRow
from plmscale.study.study import Study


def with_budget(study, hours):
    return replace(study, config=study.config.model_copy(update={"budget_gpu_hours": hours}))


def test_errors_are_those_of_scipys_covariance():
    """curve_fit on losses of the law itself, whose E is zero, returns the same standard errors."""
    n = np.repeat(np.geomspace(5e6, 6.5e8, 8), 6)
    d = np.tile(np.geomspace(2e8, 2e10, 6), 8)

    def log_loss(points, e, a, b, alpha, beta):
        sizes, tokens = points
        return np.log(e + np.exp(a) * (sizes / 1e8) ** -alpha + np.exp(b) * (tokens / 1e10) ** -beta)

    size, tokens = known.A * 1e8**-known.ALPHA, known.B * 1e10**-known.BETA
    truth = [known.E, *np.log([size, tokens]).tolist(), known.ALPHA, known.BETA]
    loss = log_loss((n, d), *truth)
    sigma = np.full(n.size, known.NOISE)
    _, covariance = curve_fit(log_loss, (n, d), loss, p0=truth, sigma=sigma, absolute_sigma=True)
    alpha, beta = covariance[3:, 3:].diagonal() ** 0.5 / (known.ALPHA, known.BETA)
    slope = np.array([-known.BETA, known.ALPHA]) / (known.ALPHA + known.BETA) ** 2
    a = (slope @ covariance[3:, 3:] @ slope) ** 0.5 / (known.BETA / (known.ALPHA + known.BETA))
    found = known.knowledge(n, d).relative_error
    assert list(found.values()) == pytest.approx([a, alpha, beta], rel=1e-3)


def test_a_grid_of_one_length_identifies_nothing():
    for tokens in (1e10, 7e9):
        found = known.knowledge(np.geomspace(5e6, 6.5e8, 8), np.full(8, tokens))
        assert set(found.relative_error.values()) == {np.inf}
        assert found.condition > known.SINGULAR


def test_the_best_size_is_inside_the_grid_only_where_there_is_one_on_both_sides():
    n = np.geomspace(3e7, 3e8, 5)
    assert known.interior_decades(n, np.full(5, 3e11)) > 0.5
    assert known.interior_decades(n, np.full(5, 3e14)) == 0  # so many tokens that the largest is always best
    assert known.interior_decades(n[:2], np.full(2, 3e11)) == 0


def test_budgets_are_kept_and_larger_ones_keep_what_smaller_ones_keep(paper_study):
    kept: set[str] = set()
    for budget in (800, 1500, 4000, 10_000, 15_000, 25_000):
        study = within_budget(with_budget(paper_study, budget))
        table = plan(study)
        paths = {cell.path for cell in grid(study)}
        assert table["device_hours"].sum() <= budget
        assert kept <= paths
        assert len(paths) == len(table) == 56 - len(study.left_out)
        kept = paths
    assert len(kept) == 56


def test_each_schedule_keeps_what_its_law_needs(paper_study):
    study = within_budget(with_budget(paper_study, 800))
    for row in choice_rows(study):
        assert row["runs"] >= 6 and row["sizes"] >= 3 and row["lengths"] >= 3
        assert np.isfinite(row["relative SE of a"])


def test_leaving_out_the_dearest_cells_would_lose_more(paper_study):
    """At the same budget: dropping by cost alone narrows the span of sizes and errs more in alpha."""
    budget = 5000.0
    study = within_budget(with_budget(paper_study, budget))
    choice = GridChoice(paper_study)
    hours = plan(paper_study)["device_hours"].to_numpy()
    dearest, total = [], hours.sum()
    for i in np.argsort(-hours):
        if total <= budget:
            break
        dearest.append(choice.cells[i].path)
        total -= hours[i]
    ours = choice.known("token_decay", without=study.left_out)
    theirs = choice.known("token_decay", without=dearest)
    assert ours.span_params > theirs.span_params
    assert ours.relative_error["alpha"] < theirs.relative_error["alpha"]


def test_a_budget_for_no_grid_at_all_is_refused(paper_study):
    with pytest.raises(InputError, match=r"budget_gpu_hours is 100, but the least grid .* costs .* device-hours"):
        within_budget(with_budget(paper_study, 100.0))


def test_the_choice_travels_with_the_study_and_is_told(paper_study):
    study = within_budget(with_budget(paper_study, 10_000.0))
    again = Study.from_json(study.to_json())
    assert again.left_out == study.left_out and [c.path for c in grid(again)] == [c.path for c in grid(study)]
    words, rows = budget_words(study, plan(study))
    assert f"pays for {len(grid(study))} of 56 cells" in words
    assert all(path in words for path in study.left_out)
    assert rows is not None and len(rows) == 4
    counted = {"uniref50": 10**12}
    assert "more than the budget" in budget_words(study, plan(study, counted))[0]


def shared_study(**hardware) -> Study:
    """Five sizes at eight budgets of one set, at `wsd` from common trunks and at a constant rate."""
    shape = {"d_ffn": 1280, "n_heads": 20, "learning_rate": 1e-4, "schedules": ["wsd", "constant"]}
    models = tuple(
        ModelRow.model_validate(shape | {"name": f"m{i}", "n_layers": 4 * (i + 1), "d_model": 320 * (i + 1)})
        for i in range(5)
    )
    sets = [Subset(name="all", kind="all", n_sequences=10**7, train=True)]
    for epochs in (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 2.0):
        part = Subset(name=f"p{epochs:g}", kind="passes", of="all", epochs=epochs, n_sequences=10**7, train=True)
        sets.append(part)
    return Study(Config(hardware=Hardware(**hardware)), models, tuple(sets))


def with_branches(study: Study, branch: bool) -> Study:
    execution = study.config.execution.model_copy(update={"branch": branch})
    return replace(study, config=study.config.model_copy(update={"execution": execution}))


HARDWARE = (
    {"name": "H100"},
    {"name": "H100", "target_hours": 2.0, "max_nodes": 8},
    {"name": "H100", "deadline_hours": 200.0, "max_devices": 64},
)


@pytest.mark.parametrize("hardware", HARDWARE[:2])
def test_what_a_cell_frees_is_the_difference_of_two_plans(hardware):
    study = shared_study(**hardware)
    cells, rng = grid(study), np.random.default_rng(0)
    costs, left_out = Costs(study, planned_tokens(study)), []
    for i in rng.permutation(len(cells))[:-10].tolist():
        before = planned_hours(replace(study, left_out=tuple(left_out)))
        after = planned_hours(replace(study, left_out=(*left_out, cells[i].path)))
        assert costs.freed[i] == pytest.approx(max(NOTHING, before - after), rel=1e-6)
        costs.leave_out(i)
        left_out.append(cells[i].path)


@pytest.mark.parametrize("hardware", HARDWARE)
def test_what_trunks_save_is_spent_on_more_cells(hardware):
    """Before, cells were chosen at what each costs from its start."""
    study, kept = shared_study(**hardware), set()
    scratch = with_branches(study, branch=False)
    whole = planned_hours(scratch)
    for share in (0.1, 0.25, 0.5):
        chosen, before = (within_budget(with_budget(s, share * whole)) for s in (study, scratch))
        assert len(grid(chosen)) > len(grid(before))
        assert whole_plan(chosen, {}, {})["device_hours"].sum() <= share * whole
        paths = {cell.path for cell in grid(chosen)}
        assert kept <= paths, "a larger budget keeps what a smaller one keeps"
        kept = paths
    words, _ = budget_words(chosen, whole_plan(chosen, {}, {}))
    assert f"pays for {len(kept)} of 80 cells" in words and "more than the budget" not in words


def test_a_thousand_cells_are_planned_and_chosen_from():
    """25 sizes × 20 sets × 2 schedules, at a quarter of what they cost."""
    shape = {"d_ffn": 1280, "n_heads": 20, "learning_rate": 1e-4, "schedules": ["constant", "cosine"]}
    models = tuple(
        ModelRow.model_validate(shape | {"name": f"m{i}", "n_layers": 4 + i, "d_model": 320 + 40 * (i % 20)})
        for i in range(25)
    )
    sets = tuple(Subset(name=f"s{i}", kind="sample", n_sequences=10**6 * (i + 1), train=True) for i in range(20))
    study = Study(Config(), models, sets)
    table = plan(study)
    assert len(table) == 1000
    budget = table["device_hours"].sum() / 4
    kept = within_budget(with_budget(study, budget))
    assert plan(kept)["device_hours"].sum() <= budget
    assert len(grid(kept)) > 250  # what is left out is dearer than the mean


def test_a_law_without_a_floor_is_not_known_to_have_none():
    """The derivative of the log loss by an E of zero is that by E itself, 1 / L."""
    n, d = [1e7, 1e9], [1e9, 1e11]
    loss = known.A * np.power(n, -known.ALPHA) + known.B * np.power(d, -known.BETA)
    assert known.E == 0
    assert known.gradients(n, d)[:, 0] == pytest.approx(1 / loss, rel=1e-6)
    at = (np.log(n[0]) - known.CENTRE[0], np.log(d[0]) - known.CENTRE[1])

    def log_loss(theta):
        terms = [theta[:, 0], theta[:, 1] - theta[:, 3] * at[0], theta[:, 2] - theta[:, 4] * at[1]]
        return np.logaddexp.reduce(terms, axis=0)

    found = slope(log_loss, known.THETA[None])[0]
    assert found == pytest.approx(known.gradients(n, d)[0], rel=1e-4)
