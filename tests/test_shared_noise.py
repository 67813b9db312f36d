"""Runs that share noise: intervals against classical theory and known truth, and as before where none is shared."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from plmscale.laws.confidence.design_effects import design_effects, law_noise, psi_correlation
from plmscale.laws.confidence.run_noise import run_noise
from plmscale.laws.confidence.shared_noise import shared_noise, trunks_of
from plmscale.laws.fit import FitSettings
from plmscale.laws.methods import FITS, fit_all
from plmscale.laws.points import Points
from plmscale.runs.curve_files import from_frame, to_frame
from plmscale.runs.curves import smooth
from scaling_data import SIZES, TOKENS, chinchilla, make_runs

SETTINGS = FitSettings(n_bootstrap=20, n_envelope=300)
NOISE = 0.003


def final_losses(rng: np.random.Generator, *, shared: float, sizes=SIZES, tokens=TOKENS, seeds: int = 1):
    """Final losses by the law, off by noise of which the runs of a size and seed share a part of the variance."""
    rows = []
    for size in sizes:
        for seed in range(seeds):
            common = rng.normal(0, NOISE * np.sqrt(shared))
            for last in tokens:
                loss = chinchilla(size, last) * np.exp(common + rng.normal(0, NOISE * np.sqrt(1 - shared)))
                row = {"run": f"{size:g}/{last:g}/{seed}", "model": f"{size:g}", "subset": f"{last:g}", "seed": seed}
                row |= {"n_params": int(size), "n_tokens": last, "flops": 6 * size * last, "loss": loss, "step": 1}
                rows.append(row | {"trunk": f"{size:g}/{seed}", "unique_tokens": int(last), "lr_fraction": 1.0})
    return pd.DataFrame(rows).assign(schedule="constant", status="done", batch_tokens=2000)


def fit(name: str, runs: pd.DataFrame, *, settings: FitSettings = SETTINGS):
    return FITS[name](smooth(runs), rng=np.random.default_rng(0), settings=settings)


@pytest.mark.parametrize("name", list(FITS))
def test_trunks_of_one_run_each_change_nothing(name):
    runs = make_runs(chinchilla, noise=0.004, n_rows=30)
    runs["n_tokens"] *= 4 if name == "repeated" else 1
    alone = runs.assign(trunk=runs["run"])
    before, after = (fit_all(one, name=name, seed=0, settings=SETTINGS)["constant"] for one in (runs, alone))
    for point in after.points:
        point.pop("trunk", None)
    assert before == after


def test_runs_of_a_trunk_are_found():
    runs = final_losses(np.random.default_rng(0), shared=0.5, sizes=SIZES[:2])
    curves = from_frame(to_frame(smooth(runs)))
    assert trunks_of(curves).tolist() == [0] * 4 + [1] * 4
    assert trunks_of(smooth(runs.drop(columns="trunk"))) is None


def balanced(rng: np.random.Generator, *, n_trunks: int = 7, n_each: int = 5):
    """Values 1 + 2 x, x the same within every trunk, with strongly shared noise."""
    trunks, x = np.repeat(np.arange(n_trunks), n_each), np.tile(np.linspace(-1, 1, n_each), n_trunks)
    values = 1 + 2 * x + rng.normal(0, 1.0, n_trunks)[trunks] + rng.normal(0, 0.1, x.size)
    return values, np.stack([np.ones_like(x), x]), trunks


def test_balanced_trunks_give_students_interval_of_their_means():
    """What trunks tell, by a t-test of their means; what branches tell, by least squares with a constant per trunk."""
    values, jacobian, trunks = balanced(np.random.default_rng(1))
    means = np.array([values[trunks == one].mean() for one in range(7)])
    low, high = scipy.stats.ttest_1samp(means, 0.0).confidence_interval(0.95)
    inner = values - means[trunks]
    slope = scipy.stats.linregress(jacobian[1], inner)
    error = slope.stderr * np.sqrt((values.size - 2) / (values.size - 8))
    expected = (high - low) / 2, error * scipy.stats.t.ppf(0.975, values.size - 8)

    residual = values - jacobian.T @ np.linalg.lstsq(jacobian.T, values, rcond=None)[0]
    rows = [{"flops": 1.0}] * values.size
    points = Points(np.ones(35), np.ones(35), values, np.arange(35), rows, trunks)
    noise = law_noise(points, residual, jacobian)
    effects = design_effects(noise, points, residual, jacobian, contrasts=np.eye(2), delta=100.0)
    # Without trunks: the standard deviation as the mean absolute residual gives it, and 33 degrees of freedom.
    sd = np.mean(np.abs(residual)) * np.sqrt(np.pi / 2 * 35 / 33)
    usual = sd * np.sqrt(np.diag(np.linalg.inv(jacobian @ jacobian.T))) * scipy.stats.t.ppf(0.975, 33)
    assert usual * np.sqrt(effects) == pytest.approx(expected, rel=0.03)
    drawn = noise.draw(np.random.default_rng(0), 20_000)
    estimates = drawn @ jacobian.T @ np.linalg.inv(jacobian @ jacobian.T)
    assert np.quantile(np.abs(estimates), 0.95, axis=0) == pytest.approx(expected, rel=0.05)


def test_correlation_of_psi():
    """Of signs it is 2 / pi arcsin (Sheppard 1899), without a cut the correlation itself; between, by simulation."""
    share = np.array([0.0, 0.3, 0.6, 0.95])
    assert psi_correlation(share, reach=np.full(4, 1e-4)) == pytest.approx(2 / np.pi * np.arcsin(share), abs=2e-3)
    assert psi_correlation(share, reach=np.full(4, 9.0)) == pytest.approx(share, abs=1e-6)
    pair = np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 400_000).clip(-0.5, 0.5)
    found = psi_correlation(np.array([0.7]), reach=np.array([0.5]))[0]
    assert found == pytest.approx(np.corrcoef(pair.T)[0, 1], abs=5e-3)


def test_intervals_of_shared_noise_have_the_width_of_the_true_scatter():
    """alpha of 40 studies, nine tenths of the variance common: half the interval is Student's quantile of five trunks
    beyond the law's three constants times how alpha scatters. Runs that do not tell are far too narrow."""
    values, widths = [], {True: [], False: []}
    for k in range(40):
        runs = final_losses(np.random.default_rng([7, k]), shared=0.9)
        for told in (True, False) if k < 12 else (True,):
            one = fit("chinchilla", runs if told else runs.drop(columns="trunk")).estimates["alpha"]
            widths[told].append((one.high - one.low) / 2)
        values.append(one.value)
    expected = scipy.stats.t.ppf(0.975, 5) * np.std(values, ddof=1)
    assert np.sqrt(np.mean(np.square(widths[True]))) == pytest.approx(expected, rel=0.3)
    assert np.sqrt(np.mean(np.square(widths[False]))) < 0.5 * expected


@pytest.mark.parametrize("name", ["chinchilla", "kaplan"])
def test_replicates_say_what_the_profile_says(name):
    runs = final_losses(np.random.default_rng(4), shared=0.7)
    found = fit(name, runs, settings=FitSettings(n_bootstrap=1000))
    key = "alpha" if name == "chinchilla" else "alpha_N"
    if name == "chinchilla":
        low, high = found.details["bootstrap"][key]
    else:
        low, high = (10**end for end in found.details["bootstrap_log10"][key])
    one = found.estimates[key]
    assert high - low == pytest.approx(one.high - one.low, rel=0.2)


@pytest.mark.parametrize("name", ["envelope", "isoflop", "plateau"])
def test_fits_to_curves_widen_where_sizes_share_their_noise(name):
    rng = np.random.default_rng(2)
    flat = {"sizes": np.geomspace(3e4, 1e6, 6).round(), "tokens": (2.5e6, 4e6)} if name == "plateau" else {}
    runs = make_runs(chinchilla if name != "plateau" else _to_a_plateau, n_rows=40, **flat)
    shift = {model: rng.normal(0, NOISE) for model in runs["model"].unique()}
    runs["loss"] *= np.exp(runs["model"].map(shift) + rng.normal(0, NOISE / 5, len(runs)))
    key = "exponent_95" if name == "plateau" else "a"
    told, untold = (fit(name, one).estimates[key] for one in (runs.assign(trunk=runs["model"]), runs))
    assert told.high - told.low > 1.15 * (untold.high - untold.low)


def _to_a_plateau(n_params, n_tokens):
    return 2.455 + 0.9 * np.exp(-((n_tokens / (3e4 * (n_params / 3e4) ** 0.2)) ** 0.8))


def test_seeds_tell_what_trunks_have_in_common():
    runs = final_losses(np.random.default_rng(0), shared=0.75, seeds=4)
    noise = run_noise(smooth(runs))
    assert noise.source == "seeds" and noise.shared is not None and noise.n_free == 24
    assert noise.sd == pytest.approx(NOISE, rel=0.25)
    assert noise.shared.share == pytest.approx(0.75, abs=0.12)


def test_what_the_runs_do_not_tell_is_assumed_and_said():
    """The law's constants take up whatever three sizes have in common."""
    found = fit("chinchilla", final_losses(np.random.default_rng(3), shared=0.5, sizes=SIZES[::3]))
    untold = fit(
        "chinchilla", final_losses(np.random.default_rng(3), shared=0.5, sizes=SIZES[::3]).drop(columns="trunk")
    )
    assert untold.status == "identified"
    assert found.status != "identified"
    assert not found.details["common_noise"]["known"]
    assert any("do not tell how much" in one for one in found.details["warnings"])


def test_shared_noise_is_no_structure_and_structure_is():
    settings = FitSettings(n_bootstrap=20)
    verdicts = {True: [], False: []}
    for k in range(20):
        runs = final_losses(np.random.default_rng([5, k]), shared=0.9)
        for told in (True, False):
            reason = fit("chinchilla", runs if told else runs.drop(columns="trunk"), settings=settings).reason
            verdicts[told].append("does not fit" in reason)
    assert sum(verdicts[True]) <= 2 < sum(verdicts[False])
    x, y = (np.log(runs[name]) for name in ("n_params", "n_tokens"))
    runs["loss"] *= np.exp(0.002 * (x - x.mean()) * (y - y.mean()) ** 2)
    assert "does not fit" in fit("chinchilla", runs, settings=settings).reason


def test_a_single_contrast_between_trunks_is_not_enough():
    values, _, trunks = balanced(np.random.default_rng(0), n_trunks=2)
    noise = shared_noise(values, np.ones((values.size, 1)), trunks=trunks)
    assert (noise.n_between, noise.known, noise.share) == (1, False, pytest.approx(0.9))
