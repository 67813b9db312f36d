"""Every fit against laws that are known, and against runs that determine nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from plmscale.curves import smooth
from plmscale.errors import InputError
from plmscale.fits import Estimate, Fit, FitSettings
from plmscale.plateau import Plateau, find_plateau, levels_of
from plmscale.scaling import FITS, fit_all, fit_curves
from scaling_data import chinchilla, make_runs

TRUE_A = 0.35 / (0.30 + 0.35)
SETTINGS = FitSettings(n_bootstrap=100, budgets=(1e12, 1e13, 1e20))
KEPT_WITHOUT_LAW = {"a_all_points", "b_all_points", "a_plus_b_all_points", "plateau_loss", "initial_loss"}


def run_fit(name: str, runs, *, settings: FitSettings = SETTINGS, seed: int = 0) -> Fit:
    return Fit.from_json(fit_all(runs, name=name, seed=seed, settings=settings)["schedules"]["constant"])


def contains(one: Estimate, truth: float) -> bool:
    assert one.low is not None and one.high is not None
    return one.low <= truth <= one.high


def kaplan_law(n_params, n_tokens):
    return ((1e7 / n_params) ** (0.2 / 0.25) + 5e6 / n_tokens) ** 0.25


def to_a_plateau(n_params, n_tokens):
    """All sizes come to 2.455, after tokens that grow as N^0.2: FLOPs as N^1.2."""
    return 2.455 + 0.9 * np.exp(-((n_tokens / (3e4 * (n_params / 3e4) ** 0.2)) ** 0.8))


PLATEAU_RUNS = {"sizes": np.geomspace(3e4, 1e6, 6).round(), "tokens": (2.5e6, 4e6)}


@pytest.fixture(scope="module")
def known_curves():
    return smooth(make_runs(chinchilla, noise=0.002, n_rows=60))


@pytest.mark.parametrize("name", ["envelope", "isoflop", "chinchilla"])
def test_exponent_of_a_known_law_is_inside_its_interval(name, known_curves):
    fit = Fit.from_json(fit_curves(known_curves, name=name, settings=SETTINGS)["schedules"]["constant"])
    assert fit.status == "identified", fit.reason
    assert contains(fit.estimates["a"], TRUE_A), fit.estimates["a"]
    assert fit.estimates["a"].high - fit.estimates["a"].low < 0.15


def test_chinchilla_without_noise_returns_the_law_itself():
    fit = run_fit("chinchilla", make_runs(chinchilla, n_rows=1))
    truth = {"E": 2.0, "A": 20.0, "B": 60.0, "alpha": 0.30, "beta": 0.35, "a": TRUE_A, "b": 1 - TRUE_A}
    assert {key: one.value for key, one in fit.estimates.items()} == pytest.approx(truth, rel=1e-4)


def test_optimal_sizes_agree_with_the_closed_form():
    fit = run_fit("chinchilla", make_runs(chinchilla, n_rows=1))
    scale = (0.30 * 20 / (0.35 * 60)) ** (1 / 0.65)
    for row in fit.details["optimal_sizes"][:2]:
        size = scale * (row["flops"] / 6) ** TRUE_A
        assert row["status"] == "inside the data"
        assert row["n_params"] == pytest.approx(size, rel=1e-3)
        assert row["n_tokens"] == pytest.approx(row["flops"] / 6 / size, rel=1e-3)
        assert row["tokens_per_param"] == pytest.approx(row["n_tokens"] / row["n_params"])


@pytest.mark.parametrize("name", ["envelope", "isoflop", "chinchilla"])
def test_no_size_is_given_far_outside_the_data(name, known_curves):
    sizes = fit_curves(known_curves, name=name, settings=SETTINGS)["schedules"]["constant"]["details"]["optimal_sizes"]
    assert sizes[-1] == {"flops": 1e20, "status": "outside the data"} | dict.fromkeys(list(sizes[0])[2:])
    wider = replace(SETTINGS, extrapolation_factor=1e9)
    asked = fit_curves(known_curves, name=name, settings=wider)["schedules"]["constant"]["details"]["optimal_sizes"]
    assert asked[-1]["status"] == "extrapolated" and asked[-1]["n_params"] > 2e6 * 3


@pytest.mark.slow
def test_kaplan_intervals_contain_its_own_law_as_often_as_they_say():
    """20 studies with noise: an interval of 95 % misses in 5 or more of them with probability 0.003."""
    truth = {"alpha_N": 0.2, "alpha_D": 0.25, "N_c": 1e7, "D_c": 5e6}
    hits = dict.fromkeys(truth, 0)
    for seed in range(20):
        fit = run_fit("kaplan", make_runs(kaplan_law, noise=0.004, n_rows=1, seed=seed))
        assert fit.status == "identified", fit.reason
        for key, value in truth.items():
            hits[key] += contains(fit.estimates[key], value)
    assert min(hits.values()) >= 16, hits


@pytest.mark.parametrize("seed", range(3))
def test_kaplan_constants_that_span_decades_are_withheld(seed):
    """The paper's grid, 5M to 150M on 6.5B to 20.8B tokens, with the noise of published curves."""
    grid = {"sizes": np.geomspace(5e6, 1.5e8, 6).round(), "tokens": (6.5e9, 7.475e9, 9.75e9, 20.8e9)}
    fit = run_fit("kaplan", make_runs(chinchilla, noise=0.006, n_rows=1, seed=seed, **grid))
    assert fit.status == "not_identified" and "D_c" in fit.reason, fit.reason
    assert all(one == Estimate(None) for one in fit.estimates.values())


def test_unbounded_least_squares_shows_a_negative_constant():
    """Loss that rises with data, as an unbounded fit allows: D_c < 0; the bounded law cannot say that."""

    def rising(n_params, n_tokens):
        return ((1e8 / n_params) ** (0.1 / 0.2) - 2e5 / n_tokens) ** 0.2

    fit = run_fit("kaplan", make_runs(rising, noise=1e-4, n_rows=1))
    assert fit.status == "not_identified" and "tokens" in fit.reason
    found = fit.details["unbounded"]
    assert found["sign_D_c"] == -1
    assert found["log10_abs_D_c"] == pytest.approx(np.log10(2e5), abs=0.2)
    assert found["rms_residual"] < 1.5e-4


def test_plateau_and_its_cost_are_recovered():
    fit = run_fit("plateau", make_runs(to_a_plateau, noise=0.001, n_rows=120, **PLATEAU_RUNS))
    assert fit.status == "identified", fit.reason
    assert fit.estimates["plateau_loss"].value == pytest.approx(2.455, abs=0.001)
    for level in ("90", "95"):
        assert fit.estimates[f"exponent_{level}"].value == pytest.approx(1.2, abs=0.03)
    flops = {row["level"]: row["flops"] for row in fit.points if row["n_params"] == 30000}
    assert flops[0.9] < flops[0.95] < flops[1.0]


def test_level_definitions_differ_as_written():
    runs = make_runs(to_a_plateau, noise=0.001, n_rows=120, **PLATEAU_RUNS)
    given = replace(SETTINGS, plateau_loss=2.4, initial_loss=3.4)
    drop = run_fit("plateau", runs, settings=given).details["levels"]
    ratio = run_fit("plateau", runs, settings=replace(given, level_definition="ratio")).details["levels"]
    assert [level["target_loss"] for level in drop[:2]] == pytest.approx([3.4 - 0.9, 3.4 - 0.95])
    assert [level["target_loss"] for level in ratio[:2]] == pytest.approx([2.4 / 0.9, 2.4 / 0.95])


def test_lines_of_the_plateau_stay_inside_the_data():
    fit = run_fit("plateau", make_runs(to_a_plateau, noise=0.001, n_rows=120, **PLATEAU_RUNS))
    for level in fit.details["levels"]:
        for kind in ("linear", "polynomial", "loglog"):
            sizes = [point["n_params"] for point in level[kind]["line"]]
            assert min(sizes) >= 3e4 * (1 - 1e-9) and max(sizes) <= 1e6 * (1 + 1e-9)


def test_curves_that_do_not_flatten_have_no_plateau(known_curves):
    fit = Fit.from_json(fit_curves(known_curves, name="plateau")["schedules"]["constant"])
    assert fit.status == "not_identified" and "do not flatten" in fit.reason
    assert all(one == Estimate(None) for one in fit.estimates.values())


def flat(n_params, n_tokens):
    """The unigram entropy, whatever the size and the data."""
    return np.full_like(n_tokens, 2.9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["envelope", "isoflop", "chinchilla", "kaplan"])
def test_runs_that_differ_by_noise_alone_give_no_number(name, seed):
    fit = run_fit(name, make_runs(flat, noise=0.006, n_rows=60, seed=seed))
    assert fit.status == "not_identified"
    shown = {key for key, one in fit.estimates.items() if one != Estimate(None)}
    assert shown <= KEPT_WITHOUT_LAW
    assert all(row["n_params"] is None for row in fit.details.get("optimal_sizes", []))


@pytest.mark.parametrize("name", FITS)
def test_one_size_gives_no_number(name):
    fit = run_fit(name, make_runs(chinchilla, sizes=[2e5], noise=0.002, n_rows=60))
    assert fit.status == "not_identified" and fit.reason
    assert {key for key, one in fit.estimates.items() if one.value is not None} <= KEPT_WITHOUT_LAW


@pytest.mark.parametrize("name", FITS)
def test_without_a_usable_run_the_fit_failed_and_says_why(name):
    fit = run_fit(name, make_runs(chinchilla, n_rows=5).assign(status="diverged"))
    assert fit.status == "failed"
    assert len(fit.excluded) == 32 and all("diverged" in row["reason"] for row in fit.excluded)
    assert all(one == Estimate(None) for one in fit.estimates.values())


def test_a_diverged_run_does_not_move_the_fit():
    runs = make_runs(chinchilla, n_rows=1)
    spoiled = runs.copy()
    spoiled.loc[spoiled["model"] == "m3", "loss"] = 9.0
    spoiled.loc[spoiled["model"] == "m3", "status"] = "diverged"
    without = run_fit("chinchilla", runs[runs["model"] != "m3"])
    assert run_fit("chinchilla", spoiled).estimates == without.estimates


def test_envelope_counts_interior_optima_only(known_curves):
    fit = Fit.from_json(fit_curves(known_curves, name="envelope", settings=SETTINGS)["schedules"]["constant"])
    by_run = {curve.run: curve for curve in known_curves}
    sizes = sorted({curve.n_params for curve in known_curves})
    assert len(fit.points) + len(fit.excluded) == SETTINGS.n_envelope
    for point in fit.points:
        run = by_run[point["run"]]
        assert run.flops[0] <= point["flops"] <= run.flops[-1]
        assert sizes[0] < point["n_params"] < sizes[-1]
        assert point["loss"] <= min(np.nan_to_num(c.loss_at(point["flops"]), nan=np.inf) for c in known_curves) + 1e-12
    assert {"a_all_points", "b_all_points"} <= set(fit.estimates)
    assert fit.estimates["a_plus_b"].value == pytest.approx(1.0, abs=1e-9), "FLOPs are 6 N D in these runs"


@pytest.mark.parametrize("name", FITS)
def test_json_round_trip_and_determinism(name, known_curves, tmp_path):
    one = fit_curves(known_curves, name=name, seed=3, settings=SETTINGS)
    text = json.dumps(one, allow_nan=False)
    assert text == json.dumps(fit_curves(known_curves, name=name, seed=3, settings=SETTINGS), allow_nan=False)
    assert one["fit"] == name
    assert Fit.from_json(json.loads(text)["schedules"]["constant"]).to_json() == one["schedules"]["constant"]
    assert isinstance(one["schedules"]["constant"]["details"]["warnings"], list)


def test_other_schedules_do_not_change_the_numbers(known_curves):
    other = [replace(curve, run=curve.run + "x", schedule="cosine") for curve in known_curves[:9]]
    alone = fit_curves(known_curves, name="envelope", settings=SETTINGS)["schedules"]
    both = fit_curves([*other, *known_curves], name="envelope", settings=SETTINGS)["schedules"]
    assert list(both) == ["cosine", "constant"] and both["constant"] == alone["constant"]


def test_seeds_differ(known_curves):
    low = [
        fit_curves(known_curves, name="chinchilla", seed=seed, settings=SETTINGS)["schedules"]["constant"]["estimates"]
        for seed in (0, 1)
    ]
    assert low[0]["a"]["value"] == low[1]["a"]["value"] and low[0]["a"]["low"] != low[1]["a"]["low"]


def test_mixed_batches_and_uneven_learning_rates_are_warned_of(known_curves):
    mixed = [replace(c, batch_tokens=1000 if c.n_params > 1e6 else 2000) for c in known_curves]
    mixed = [replace(c, lr_fraction_end=0.2 if c.unique_tokens > 5e7 else 1.0) for c in mixed]
    warnings = fit_curves(mixed, name="chinchilla", settings=SETTINGS)["schedules"]["constant"]["details"]["warnings"]
    assert any("[1000, 2000]" in text for text in warnings) and any("0.20 to 1.00" in text for text in warnings)


def test_bad_settings_and_names_are_refused(known_curves):
    with pytest.raises(InputError, match="'kaplam'.*envelope"):
        fit_curves(known_curves, name="kaplam")
    with pytest.raises(InputError, match=r"levels is \(0.9, 95\)"):
        FitSettings(levels=(0.9, 95))
    with pytest.raises(InputError, match="n_bootstrap is 3; it must be at least 20"):
        FitSettings(n_bootstrap=3)
    with pytest.raises(InputError, match="status 'fine'"):
        Fit.from_json({"name": "kaplan", "status": "fine", "reason": "", "estimates": {}})


def test_a_higher_level_is_never_easier_to_reach_however_large_the_noise():
    noisy = Plateau(initial=3.4, loss=2.7, flat=[], noise=0.1, scatter=0.1)
    losses = [level.loss for level in levels_of(noisy, settings=FitSettings())]
    assert losses == sorted(losses, reverse=True)
    quiet = levels_of(noisy._replace(scatter=0.001), settings=FitSettings())
    assert quiet[-1].loss == pytest.approx(2.702)


def test_the_top_level_is_within_the_scatter_of_the_plateau_not_of_single_evaluations():
    noise = 0.02
    runs = make_runs(to_a_plateau, noise=noise, n_rows=120, **PLATEAU_RUNS)
    plateau = find_plateau(smooth(runs), settings=SETTINGS)
    assert len(plateau.flat) > 2
    assert plateau.noise == pytest.approx(noise, rel=0.2)
    assert plateau.scatter < plateau.noise
    errors = np.array([curve.loss[-1] for curve in plateau.flat]) - 2.455  # all runs of this law have this plateau
    assert plateau.scatter == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.15)
    top = levels_of(plateau, settings=SETTINGS)[-1]
    assert plateau.loss < top.loss <= plateau.loss + 2 * plateau.scatter
    few = find_plateau(plateau.flat[:2], settings=SETTINGS)
    assert len(few.flat) == 2
    assert few.scatter == few.noise
