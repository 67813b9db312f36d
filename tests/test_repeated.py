"""The law of repeated data: the published points, laws that are known, and runs that repeat nothing."""

import json

import numpy as np
import pandas as pd
import pytest

from plmscale.estimates import Estimate
from plmscale.laws.confidence.repeated_profiles import profile_intervals
from plmscale.laws.confidence.uncertainty import drop_limit, huber_scale
from plmscale.laws.fit import Fit, FitSettings
from plmscale.laws.methods import FITS, fit_curves
from plmscale.laws.power_law import huber
from plmscale.laws.repeated import EPOCHS, effective, worth
from plmscale.laws.solvers.repeated import (
    R_D,
    ChinchillaLaw,
    RepeatedLaw,
    RepeatedProblem,
    base_held,
    predict,
    repeated_law,
    staged_law,
)
from plmscale.presentation.figure_style import SizeScale
from plmscale.report.figures.repeated import repeated_figure
from plmscale.report.page.words import left_out
from plmscale.report.tables.laws import fits_of, law_parameters
from plmscale.report.tables.repeated import repeated_table
from plmscale.results.analysed import Analysed
from plmscale.runs.curves import smooth, usable
from plmscale.runs.importers import load
from scaling_data import chinchilla, make_runs, published

TRUE_R_D, TRUE_R_N = 12.0, 4.0
BASE = ChinchillaLaw(2.0, 20.0, 60.0, 0.30, 0.35, 0.0)
SETTINGS = FitSettings(n_bootstrap=40, budgets=(1e12,))


def repeated_runs(*, noise: float = 0.0, seed: int = 0, penalty: float = 0.0, r_d: float = TRUE_R_D) -> pd.DataFrame:
    """Ends of runs of six sizes on four sets, 1 to 64 passes, as a tidy frame; losses by the law of `BASE`."""
    rng = np.random.default_rng(seed)
    law = RepeatedLaw(BASE, r_d, TRUE_R_N, penalty, 0.0)
    rows = []
    for size in np.geomspace(3e4, 3e6, 6).round():
        for unique in np.geomspace(1e6, 6e7, 4).round():
            for passes in (1, 2, 4, 8, 16, 64):
                seen = passes * unique
                loss = float(law.loss(size, seen, unique)) * np.exp(rng.normal(0, noise))
                name = f"m{size:.0f}/s{unique:.0f}/e{passes}"
                row = {"run": name, "model": f"m{size:.0f}", "subset": f"s{unique:.0f}", "schedule": "constant"}
                row |= {"seed": 0, "status": "done", "n_params": int(size), "unique_tokens": int(unique)}
                row |= {"step": 1, "n_tokens": int(seen), "flops": 6 * size * seen, "loss": loss}
                rows.append(row | {"batch_tokens": 2000, "learning_rate": 1e-3, "lr_fraction": 1.0})
    return pd.DataFrame(rows)


def data_of(runs: pd.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(runs[name].to_numpy(dtype=float) for name in ("n_params", "n_tokens", "unique_tokens", "loss"))


def fitted(runs: pd.DataFrame, *, name: str = "repeated") -> Fit:
    return fit_curves(smooth(runs), name=name, settings=SETTINGS)["constant"]


@pytest.fixture(scope="module")
def c4():
    table = pd.read_csv(published("datablations", "c4_runs_182_used_in_fit.csv"))
    golden = json.loads(published("golden_targets.json").read_text())["muennighoff_c4"]
    return tuple(table[name].to_numpy(dtype=float) for name in ("N", "D_total", "D_unique", "loss")), golden


def base_of(golden: dict) -> ChinchillaLaw:
    e, a, b, alpha, beta = (golden["fixed"][key] for key in ("e", "a", "b", "alpha", "beta"))
    return ChinchillaLaw(*np.exp([e, a, b]), alpha, beta, 0.0)


def test_objective_at_the_published_point(c4):
    points, golden = c4
    problem = RepeatedProblem.of(points, delta=1e-3)
    law = RepeatedLaw(base_of(golden), golden["published"]["R_D"], golden["published"]["R_N"], 0.0, 0.0)
    rest = predict(problem, problem.theta(law)[None])[0][0]
    objective = float(np.sum(huber(rest, delta=1e-3)))
    assert objective == pytest.approx(golden["published"]["objective"], abs=golden["tol_obj"])
    assert objective == pytest.approx(golden["ours_objective_at_published"], abs=1e-12)
    assert rest == pytest.approx(np.log(points[3]) - np.log(law.loss(*points[:3])), abs=1e-12)


def test_with_the_published_base_the_worth_of_repeats_has_no_upper_end(c4):
    """The published 15.4 lies in a valley that never rises again: the honest answer is one-sided."""
    points, golden = c4
    lowest = staged_law(points, base_of(golden))
    best = golden["ours_global_min"]
    assert (lowest.r_d, lowest.r_n) == pytest.approx((best["R_D"], best["R_N"]), rel=1e-3)
    assert lowest.objective == pytest.approx(best["objective"], abs=golden["tol_obj"])
    problem = RepeatedProblem.of(points, delta=1e-3)
    theta = problem.theta(lowest)
    scale = huber_scale(predict(problem, theta[None])[0][0], delta=1e-3, n_runs=182, n_free=2)
    ends = profile_intervals(
        problem, lowest, scale=scale, limit=drop_limit(1, n_left=180), which=(R_D,), within=base_held(theta)
    )
    low, high = ends[R_D]
    assert low is not None and low < golden["published"]["R_D"]
    assert high is None


def test_the_fit_of_the_published_runs_says_what_is_wrong_with_the_law():
    imported = load(published("datablations", "c4_runs_182_used_in_fit.csv"))
    found = fit_curves(smooth(imported.frame), name="repeated", settings=SETTINGS)["all runs"]
    assert found.status == "weakly_identified"
    assert "does not fit" in found.reason
    assert found.details["objective"] < 0.0158046645, "more parameters are free than in the published fit"
    assert found.details["overfitting"]["wanted"]
    assert found.estimates["r_n"].high is None
    once = fit_curves(smooth(imported.frame), name="chinchilla", settings=SETTINGS)["all runs"]
    assert len(once.points) == 29 and len(once.excluded) == 153


def test_jacobian_is_that_of_finite_differences():
    points = data_of(repeated_runs(noise=0.01))
    problem = RepeatedProblem.of(points, delta=1e-3)
    theta = problem.theta(RepeatedLaw(BASE, 3.0, 2.0, 1e-3, 0.0))
    jacobian, step = predict(problem, theta[None])[1][0], 1e-6
    for i in range(theta.size):
        ends = [predict(problem, (theta + sign * step * (np.arange(theta.size) == i))[None])[0][0] for sign in (1, -1)]
        assert jacobian[i] == pytest.approx(-(ends[0] - ends[1]) / (2 * step), abs=1e-8)


def test_without_noise_the_law_itself_comes_back():
    law = repeated_law(data_of(repeated_runs()))
    truth = {"E": 2.0, "A": 20.0, "B": 60.0, "alpha": 0.30, "beta": 0.35, "r_d": TRUE_R_D, "r_n": TRUE_R_N}
    assert {key: law.values[key] for key in truth} == pytest.approx(truth, rel=1e-6)
    assert law.penalty == 0
    found = repeated_law(data_of(repeated_runs(penalty=0.05)), penalty=True)
    assert {key: found.values[key] for key in truth} == pytest.approx(truth, rel=1e-6)
    assert found.penalty == pytest.approx(0.05, rel=1e-6)


def test_a_known_law_is_inside_its_interval():
    """How often it is: benchmarks/results/repeated.md."""
    fit = fitted(repeated_runs(noise=0.003, seed=1))
    assert fit.status == "identified", fit.reason
    for key, truth in (("r_d", TRUE_R_D), ("r_n", TRUE_R_N)):
        one = fit.estimates[key]
        assert one.low < truth < one.high < 2 * one.low
    assert not fit.details["overfitting"]["wanted"]
    assert fit.estimates["penalty"] == Estimate(None)
    assert fit.details["bootstrap"]["r_d"][0] < TRUE_R_D < fit.details["bootstrap"]["r_d"][1]
    by_epochs = {row["epochs"]: row for row in fit.details["effective"]}
    four = by_epochs[4]
    assert four["worth_low"] < worth(4, TRUE_R_D) < four["worth_high"]
    results = Analysed(smooth(repeated_runs()), {"repeated": {"constant": fit}}, [], pd.DataFrame())
    table = repeated_table(results)
    assert len(table.data) == len(EPOCHS) and any("do not want a penalty" in note for note in table.notes)
    left, right = repeated_figure(results, SizeScale(results.sizes)).axes[:2]
    dots = [line for line in right.lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in dots) == len(fit.points)
    law = max(left.lines, key=lambda line: len(line.get_xdata()) * (line.get_linestyle() == "-"))
    at, value = law.get_data()
    assert value == pytest.approx([worth(float(one), fit.estimates["r_d"].value) for one in at])


def test_repeats_that_cost_are_told_from_repeats_that_are_worth_less():
    fit = fitted(repeated_runs(noise=0.003, penalty=0.3))
    assert fit.details["overfitting"]["wanted"]
    assert fit.estimates["penalty"].low < 0.3 < fit.estimates["penalty"].high
    assert fit.status == "weakly_identified" and "penalty" in fit.reason


def test_repeats_as_good_as_new_have_no_upper_end():
    fit = fitted(repeated_runs(noise=0.004, r_d=1e5))
    assert fit.status == "weakly_identified" and "without an upper end" in fit.reason
    assert fit.estimates["r_d"].high is None
    assert all(row["worth_high"] == row["epochs"] for row in fit.details["effective"])


def test_runs_that_repeat_are_in_no_law_of_single_passes():
    runs = repeated_runs(noise=0.003)
    once = runs.loc[runs["n_tokens"] == runs["unique_tokens"]]
    fit, alone = fitted(runs, name="chinchilla"), fitted(once, name="chinchilla")
    assert fit.estimates == alone.estimates
    assert len(fit.excluded) == len(runs) - len(once)
    assert {"its tokens were seen 4 times; the law takes every token for a new one"} < {
        row["reason"] for row in fit.excluded
    }
    assert len(usable(smooth(runs), repeated=True)[0]) == len(runs)
    unknown = fitted(runs.assign(unique_tokens=0), name="chinchilla")
    assert not unknown.excluded, "without the tokens of the set nobody can tell"


def test_without_repeats_nothing_is_said():
    curves = smooth(make_runs(chinchilla, n_rows=1))
    fits = {
        name: {"constant": fit_curves(curves, name=name, settings=SETTINGS)["constant"]}
        for name in ("chinchilla", "repeated")
    }
    fit = fits["repeated"]["constant"]
    assert fit.status == "failed" and fit.reason == "no run has seen its training set more than once."
    results = Analysed(curves, fits, [], pd.DataFrame())
    assert list(fits_of(results, "constant")) == ["chinchilla"]
    assert "epeated" not in law_parameters(results).data["fit"].str.cat()
    assert left_out({"repeated": {"constant": fit}}) == []


def test_too_few_runs_give_no_number():
    runs = repeated_runs(noise=0.003)
    fit = fitted(runs.loc[runs["n_params"] < 1e5])
    assert fit.status == "not_identified" and "2 sizes" in fit.reason
    assert all(one == Estimate(None) for one in fit.estimates.values())
    assert set(fit.estimates) == set(FITS["repeated"]([], rng=np.random.default_rng(0), settings=SETTINGS).estimates)


def test_published_worth_of_four_passes():
    """Muennighoff et al. 2023, section 6: up to four passes are almost as good as new data."""
    rows = {row["epochs"]: row for row in effective(Estimate(15.387756), most=4)}
    assert rows[4]["worth"] == pytest.approx(1 + 15.387756 * (1 - np.exp(-3 / 15.387756)))
    assert rows[4]["worth"] > 0.9 * 4
    assert rows[4]["inside"] and not rows[6]["inside"]
    assert [rows[n]["worth_low"] for n in EPOCHS] == [1.0] * len(EPOCHS)
