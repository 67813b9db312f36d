"""Exponents by every combination of choices."""

import numpy as np
import pandas as pd
import pytest

from plmscale.laws.confidence import sensitivity as varied
from plmscale.laws.confidence.sensitivity import CONVENTIONS, OUTLIER_RULES, of_curves
from plmscale.laws.fit import FitSettings
from plmscale.laws.isoflop_minima import akima_minimum, raw_minimum
from plmscale.laws.methods import fit_curves
from plmscale.laws.solvers.chinchilla import chinchilla_law
from plmscale.presentation.reasons import words
from plmscale.runs.curves import smooth
from scaling_data import chinchilla, make_runs

TRUE_A = 0.35 / 0.65


@pytest.fixture(scope="module")
def table():
    return of_curves(smooth(make_runs(chinchilla, noise=0.001, n_rows=40)))


def test_every_combination_is_there_once(table):
    keys = ["estimator", "space", "flops", "outliers"]
    assert not table.duplicated(keys).any()
    n_estimators = len(table[["estimator", "space"]].drop_duplicates())
    assert len(table) == n_estimators * len(CONVENTIONS) * len(OUTLIER_RULES)
    assert (table["a"].notna() == table["why"].isna()).all()
    assert set(table["law"]) == {"envelope", "isoflop", "chinchilla"}


def test_estimators_of_the_law_find_it_and_the_published_one_does_not(table):
    """All points of the envelope count optima at the smallest and largest size: a is 0.37 instead of 0.54."""
    median = table.groupby(["estimator", "space"])["a"].median()
    for name in ("envelope, hand-overs", "IsoFLOP, parabola", "IsoFLOP, Akima"):
        assert median[name, "log-log"] == pytest.approx(TRUE_A, abs=0.03), name
    for space in ("Huber, log loss", "least squares, log loss", "least squares, loss"):
        assert median["parametric law", space] == pytest.approx(TRUE_A, abs=0.03), space
    assert median["envelope, all points", "log-log"] < 0.45
    assert table["a"].min() < TRUE_A < table["a"].max()


def test_flops_of_6nd_give_the_same_where_they_were_recorded_so(table):
    recorded, counted = (table[table["flops"] == name]["a"].to_numpy() for name in CONVENTIONS)
    np.testing.assert_allclose(recorded, counted, rtol=1e-6)


def test_an_outlier_is_dropped_by_the_rule_for_it_only():
    runs = make_runs(chinchilla, noise=0.001, n_rows=1)
    runs.loc[runs["run"] == "m0/s3/constant/seed0", "loss"] *= 1.3
    found = of_curves(smooth(runs))
    own = found[(found["estimator"] == "parametric law") & (found["space"] == "least squares, log loss")]
    a = own[own["flops"] == "6ND"].set_index("outliers")["a"]
    assert abs(a["beyond 3 sigma dropped"] - TRUE_A) < 0.5 * abs(a["all runs"] - TRUE_A)


def test_runs_that_determine_nothing_have_reasons_instead_of_numbers():
    found = of_curves(smooth(make_runs(chinchilla, sizes=[2e5], n_rows=40)))
    assert found["a"].isna().all()
    assert all(words(why) for why in found["why"])


@pytest.mark.parametrize("points", ["final", "all"])
def test_a_law_is_solved_once_and_not_at_all_where_it_was_fitted(monkeypatch, points):
    """A FLOP count moves no point at the end of a run, and an outlier is one from the law of all runs."""
    curves = smooth(make_runs(chinchilla, noise=0.001, n_rows=40))
    settings = FitSettings(n_bootstrap=20, points=points)
    fits = {"chinchilla": fit_curves(curves, name="chinchilla", settings=settings)}
    solved = []

    def counted(n_params, n_tokens, loss, *, delta):
        solved.append((n_params.tobytes(), n_tokens.tobytes(), loss.tobytes(), delta))
        return chinchilla_law(n_params, n_tokens, loss, delta=delta)

    monkeypatch.setattr(varied, "chinchilla_law", counted)
    alone = of_curves(curves, settings=settings)
    n_alone = len(solved)
    assert n_alone == len(set(solved))
    pd.testing.assert_frame_equal(of_curves(curves, settings=settings, fits=fits), alone, check_exact=True)
    assert len(solved) == 2 * n_alone - 1


def test_minima_of_a_valley():
    sizes = np.geomspace(1e6, 1e8, 9)
    loss = 2 + 0.1 * np.log(sizes / 1.3e7) ** 2
    assert raw_minimum(sizes, loss) == sizes[np.argmin(loss)]
    assert akima_minimum(sizes, loss) == pytest.approx(1.3e7, rel=0.03)
    assert np.isnan(akima_minimum(sizes, np.log(sizes)))
