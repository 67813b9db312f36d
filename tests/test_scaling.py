"""Every fit against laws that are known, and against runs that determine nothing."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from scipy.stats import t as student

from plmscale.errors import InputError
from plmscale.estimates import Estimate
from plmscale.laws.confidence.chinchilla_profiles import profile_intervals
from plmscale.laws.confidence.misfit import misfit_tests
from plmscale.laws.confidence.run_noise import RunNoise, run_noise
from plmscale.laws.confidence.uncertainty import huber_scale
from plmscale.laws.fit import Fit, FitSettings, fits_json
from plmscale.laws.methods import FITS, fit_all, fit_curves
from plmscale.laws.plateau_levels import Plateau, find_plateau, last_doubling_share, levels_of
from plmscale.laws.points import Points
from plmscale.laws.solvers.chinchilla import ChinchillaProblem, chinchilla_law, predict
from plmscale.runs.curves import smooth
from scaling_data import chinchilla, make_runs

TRUE_A = 0.35 / (0.30 + 0.35)
SETTINGS = FitSettings(n_bootstrap=100, budgets=(1e12, 1e13, 1e20))
ONE_PASS_FITS = [name for name in FITS if name != "repeated"]
KEPT_WITHOUT_LAW = {"a_all_points", "b_all_points", "a_plus_b_all_points", "plateau_loss", "initial_loss"}


def run_fit(name: str, runs, *, settings: FitSettings = SETTINGS, seed: int = 0) -> Fit:
    return fit_all(runs, name=name, seed=seed, settings=settings)["constant"]


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
    fit = fit_curves(known_curves, name=name, settings=SETTINGS)["constant"]
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
    sizes = fit_curves(known_curves, name=name, settings=SETTINGS)["constant"].details["optimal_sizes"]
    assert sizes[-1] == {"flops": 1e20, "status": "outside the data"} | dict.fromkeys(list(sizes[0])[2:])
    wider = replace(SETTINGS, extrapolation_factor=1e9)
    asked = fit_curves(known_curves, name=name, settings=wider)["constant"].details["optimal_sizes"]
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
    fit = fit_curves(known_curves, name="plateau")["constant"]
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


@pytest.mark.parametrize("name", ONE_PASS_FITS)
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
    fit = fit_curves(known_curves, name="envelope", settings=SETTINGS)["constant"]
    by_run = {curve.run: curve for curve in known_curves}
    sizes = sorted({curve.n_params for curve in known_curves})
    assert len(fit.points) + len(fit.excluded) == SETTINGS.n_envelope
    for point in fit.points:
        run = by_run[point["run"]]
        assert run.flops[0] <= point["flops"] <= run.flops[-1]
        assert sizes[0] < point["n_params"] < sizes[-1]
        assert point["loss"] <= min(np.nan_to_num(c.loss_at(point["flops"]), nan=np.inf) for c in known_curves) + 1e-12
    assert {"a_all_points", "b_all_points"} <= set(fit.estimates)
    assert fit.estimates["a_plus_b"].value == pytest.approx(1.0, abs=1e-9), "FLOPs are 6ND in these runs"


@pytest.mark.parametrize("name", FITS)
def test_json_round_trip_and_determinism(name, known_curves, tmp_path):
    one, again = (fit_curves(known_curves, name=name, seed=3, settings=SETTINGS) for _ in range(2))
    text = json.dumps(fits_json(name, one), allow_nan=False)
    assert text == json.dumps(fits_json(name, again), allow_nan=False)
    written = json.loads(text)
    assert written["fit"] == name
    assert Fit.from_json(written["schedules"]["constant"]) == one["constant"], "a fit is what its file holds"
    assert isinstance(one["constant"].details["warnings"], list)


def test_other_schedules_do_not_change_the_numbers(known_curves):
    other = [replace(curve, run=curve.run + "x", schedule="cosine") for curve in known_curves[:9]]
    alone = fit_curves(known_curves, name="envelope", settings=SETTINGS)
    both = fit_curves([*other, *known_curves], name="envelope", settings=SETTINGS)
    assert list(both) == ["cosine", "constant"] and both["constant"] == alone["constant"]


def test_seeds_differ(known_curves):
    fits = [fit_curves(known_curves, name="chinchilla", seed=seed, settings=SETTINGS)["constant"] for seed in (0, 1)]
    assert fits[0].estimates == fits[1].estimates, "profile likelihood draws nothing"
    assert fits[0].details["bootstrap"]["a"] != fits[1].details["bootstrap"]["a"]


def test_mixed_batches_and_uneven_learning_rates_are_warned_of(known_curves):
    mixed = [replace(c, batch_tokens=1000 if c.n_params > 1e6 else 2000) for c in known_curves]
    mixed = [replace(c, lr_fraction_end=0.2 if c.unique_tokens > 5e7 else 1.0) for c in mixed]
    warnings = fit_curves(mixed, name="chinchilla", settings=SETTINGS)["constant"].details["warnings"]
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
    # Two runs say nothing of what differs between runs: the noise of evaluations is all there is.
    assert few.scatter == pytest.approx(few.noise, rel=0.01)


def token_decay_runs():
    """The paper's kind of study: the rate decays as 0.999^(tokens / 1e6), tokens far beyond its 1e9 effective ones.

    What is learned follows the integral of the learning rate, so that every curve flattens at 2.455 by itself.
    """
    sizes, tokens = np.geomspace(5e6, 1.5e8, 6).round(), (6.5e9, 7.475e9, 9.75e9, 20.8e9)

    def law(n_params, n_tokens):
        effective = 1e9 * (1 - np.exp(-n_tokens / 1e9))
        return 2.455 + 0.45 * (((n_params / 3e7) ** -0.05) * (2e6 / effective) ** 0.5 - 0.0447) * (effective < 0.98e9)

    runs = make_runs(law, sizes=sizes, tokens=tokens, noise=0.004, n_rows=80)
    return runs.assign(schedule="constant", lr_fraction=np.exp(-runs["n_tokens"] / 1e9))


@pytest.mark.parametrize("name", ONE_PASS_FITS)
def test_a_plateau_that_the_schedule_made_is_said_to_be_one(name):
    fit = run_fit(name, token_decay_runs())
    assert fit.status == "not_identified"
    # Noise makes an end or two look as if it were still falling.
    assert re.search(r"learning-rate schedule explains the plateau: 2[2-4] of 24 runs end flat", fit.reason)
    assert {key for key, one in fit.estimates.items() if one.value is not None} <= KEPT_WITHOUT_LAW
    assert all(row["n_params"] is None for row in fit.details.get("optimal_sizes", []))
    assert fit.details["without_schedule"]["status"] in ("identified", "weakly_identified", "not_identified")
    if name == "plateau":
        assert fit.estimates["plateau_loss"].value == pytest.approx(2.455, abs=0.005)
        constant_rate = run_fit(name, token_decay_runs().assign(lr_fraction=1.0))
        assert "schedule" not in constant_rate.reason


def test_a_power_law_is_not_flat_however_long_it_is_trained():
    """Its last doubling brings less than 2 % of the drop, and still more than half of what the one before brought."""
    long = smooth(make_runs(chinchilla, tokens=[3e9], noise=0.0, n_rows=60), level=0.0)
    plateau = find_plateau(long, settings=SETTINGS)
    assert max(last_doubling_share(curve, initial=plateau.initial) for curve in long) < 0.02
    assert not plateau.flat


@pytest.mark.parametrize("name", FITS)
def test_held_out_errors_are_beside_every_fit(name, known_curves):
    errors = fit_curves(known_curves, name=name, settings=SETTINGS)["constant"].details["held_out"]
    assert set(errors) == {"largest_budget", "largest_size"}
    for one in errors.values():
        assert (one["rms_log_error"] is None) == bool(one["reason"])


def test_held_out_error_tells_the_right_law_from_the_wrong_one(known_curves):
    """Both laws have their interval; on the largest size the wrong one is off by ten times as much."""
    errors = {
        name: fit_curves(known_curves, name=name, settings=SETTINGS)["constant"].details["held_out"]
        for name in ("chinchilla", "kaplan")
    }
    right, wrong = (errors[name]["largest_size"]["rms_log_error"] for name in ("chinchilla", "kaplan"))
    assert right < 0.003 and wrong > 10 * right


def test_held_out_error_is_that_of_the_law_fitted_without_it():
    runs = make_runs(chinchilla, noise=0.004, n_rows=1)
    largest = runs["n_params"] == runs["n_params"].max()
    law = run_fit("chinchilla", runs[~largest]).details["optimum"]
    last = runs[largest & (runs["flops"] > 0)]
    predicted = law["E"] + law["A"] * last["n_params"] ** -law["alpha"] + law["B"] * last["n_tokens"] ** -law["beta"]
    want = np.sqrt(np.mean(np.log(predicted / last["loss"]) ** 2))
    error = run_fit("chinchilla", runs).details["held_out"]["largest_size"]
    assert error["rms_log_error"] == pytest.approx(want, rel=1e-6)
    assert error["n_left_out"] == 4 and error["n_fitted"] == 28


def test_envelope_without_noise_returns_the_exponent_itself():
    """Sizes are whole numbers here, so that their ratio is constant to 1e-5 only."""
    fine = smooth(make_runs(chinchilla, sizes=np.geomspace(3e6, 2e8, 8), tokens=[3e9], n_rows=400), level=0.0)
    fit = fit_curves(fine, name="envelope", settings=SETTINGS)["constant"]
    assert fit.estimates["a"].value == pytest.approx(TRUE_A, abs=1e-6)
    assert fit.estimates["b"].value == pytest.approx(1 - TRUE_A, abs=1e-6)
    assert abs(fit.estimates["a_all_points"].value - TRUE_A) > 0.01, "the staircase is biased"


def test_laws_without_noise_are_returned_to_a_millionth():
    chinchilla_fit = run_fit("chinchilla", make_runs(chinchilla, n_rows=1)).details["optimum"]
    want = {"E": 2.0, "A": 20.0, "B": 60.0, "alpha": 0.30, "beta": 0.35, "a": TRUE_A}
    assert {key: chinchilla_fit[key] for key in want} == pytest.approx(want, rel=1e-6)
    kaplan_fit = run_fit("kaplan", make_runs(kaplan_law, n_rows=1)).details["optimum"]
    want = {"alpha_N": 0.2, "alpha_D": 0.25, "log10_N_c": 7.0, "log10_D_c": np.log10(5e6)}
    assert kaplan_fit == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize(("true", "other"), [("chinchilla", "kaplan"), ("kaplan", "chinchilla")])
def test_a_wrong_law_is_said_not_to_fit_and_the_right_one_is_not(true, other):
    runs = make_runs({"chinchilla": chinchilla, "kaplan": kaplan_law}[true], noise=0.006, n_rows=1, seed=5)
    right, wrong = (run_fit(name, runs) for name in (true, other))
    assert right.status == "identified", right.reason
    assert wrong.status == "weakly_identified" and "the law does not fit" in wrong.reason, wrong.reason
    number = re.search(r"F = ([\d.]+), p = ", wrong.reason)
    assert number and float(number[1]) == pytest.approx(
        max(one["statistic"] for one in wrong.details["misfit"]), rel=0.1
    )


def test_misfit_is_the_f_of_nested_models():
    """A law linear in its parameters and residuals that hide a product: F by two least-squares fits of the whole."""
    rng = np.random.default_rng(3)
    x, y = (one.ravel() for one in np.meshgrid(np.linspace(-1, 1, 8), np.linspace(-1, 1, 6)))
    law = np.stack([np.ones_like(x), x, y])
    target = 2 + x - y + 0.01 * x * y + rng.uniform(-0.02, 0.02, x.size)
    residual = target - law.T @ np.linalg.lstsq(law.T, target, rcond=None)[0]
    rows = [{"flops": f} for f in np.exp(x + y)]
    points = Points(np.exp(x), np.exp(y), target, np.arange(x.size), rows)
    found = misfit_tests(points, residual, law, noise=RunNoise(0.01, 9, "residuals"))[0]
    cubic = np.stack([x**i * y**j for i in range(4) for j in range(4 - i)], axis=1)
    squares = [np.linalg.lstsq(design, target, rcond=None)[1][0] for design in (law.T, cubic)]
    degrees = (cubic.shape[1] - 3, x.size - cubic.shape[1])
    statistic = (squares[0] - squares[1]) / degrees[0] / (squares[1] / degrees[1])
    assert found.test == "structure" and found.degrees == degrees
    assert found.statistic == pytest.approx(statistic, rel=1e-9)
    assert found.p == pytest.approx(scipy.stats.f.sf(statistic, *degrees), rel=1e-9)


def test_plateau_without_noise_returns_its_law_to_a_millionth():
    curves = smooth(make_runs(to_a_plateau, sizes=PLATEAU_RUNS["sizes"], tokens=[5e6], n_rows=400), level=0.0)
    settings = FitSettings(n_bootstrap=20, initial_loss=3.355)
    fit = FITS["plateau"](curves, rng=np.random.default_rng(0), settings=settings)
    assert fit.estimates["plateau_loss"].value == pytest.approx(2.455, rel=1e-9)
    for share in (0.90, 0.95):
        # 1 - share of the drop is left: exp(-(D / D0)^0.8) = 1 - share.
        prefactor = 6 * 3e4**0.8 * (-np.log(1 - share)) ** (1 / 0.8)
        assert fit.estimates[f"exponent_{100 * share:g}"].value == pytest.approx(1.2, rel=1e-6)
        assert fit.estimates[f"prefactor_{100 * share:g}"].value == pytest.approx(prefactor, rel=1e-6)


def test_seeds_give_the_noise_between_runs():
    """Four seeds a cell whose losses are drawn with a standard deviation of 1 %: 96 degrees of freedom."""
    rng = np.random.default_rng(0)
    frames = []
    for seed in range(4):
        runs = make_runs(chinchilla, n_rows=1)
        factor = np.exp(rng.normal(0, 0.01, len(runs)))
        frames.append(runs.assign(run=runs["run"] + f"/{seed}", seed=seed, loss=runs["loss"] * factor))
    noise = run_noise(smooth(pd.concat(frames, ignore_index=True)))
    assert (noise.source, noise.n_free) == ("seeds", 96)
    assert noise.sd == pytest.approx(0.01, rel=0.25)
    single = run_noise(smooth(frames[0]))
    assert single.source == "residuals" and single.sd == pytest.approx(0.01, rel=0.5)


def test_runs_of_one_size_and_many_lengths_are_no_reruns():
    """A table that names neither sets nor sizes: what separates its rows is the law, not the noise."""
    runs = make_runs(chinchilla, n_rows=1).assign(model="", subset="", unique_tokens=0)
    rng = np.random.default_rng(0)
    factor = np.exp(rng.normal(0, 0.002, len(runs)))
    noise = run_noise(smooth(runs.assign(loss=runs["loss"] * factor)))
    assert noise.source == "residuals" and noise.sd < 0.01


def test_profile_likelihood_agrees_with_least_squares_theory():
    """With a Huber threshold far above the noise and small noise, the interval is Student's of linear theory."""
    rng = np.random.default_rng(2)
    n_params, n_tokens = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e5, 1e7, 12), np.geomspace(1e6, 1e8, 12)))
    loss = chinchilla(n_params, n_tokens) * np.exp(rng.normal(0, 2e-4, n_params.size))
    problem = ChinchillaProblem.of(n_params, n_tokens, loss, delta=1.0)
    law = chinchilla_law(n_params, n_tokens, loss, delta=1.0)
    rest, jacobian = predict(problem, problem.theta(law)[None])
    scale = huber_scale(rest[0], delta=1.0, n_runs=n_params.size, n_free=5)
    ends = profile_intervals(problem, law, scale=scale, n_runs=n_params.size)
    left = n_params.size - 5
    covariance = np.linalg.inv(jacobian[0] @ jacobian[0].T) * float(rest[0] @ rest[0]) / left
    for key, i in (("alpha", 3), ("beta", 4)):
        width = 2 * float(student.ppf(0.975, left)) * np.sqrt(covariance[i, i])
        # The scale is taken from the mean absolute residual, theirs from the mean square: 3 % apart for 139.
        assert ends[key][1] - ends[key][0] == pytest.approx(width, rel=0.06), key
