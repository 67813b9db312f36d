"""Sweeps of the learning rate: optima that are known, edges, the rule over sizes, and what laws make of a sweep."""

import numpy as np
import pandas as pd
import pytest

from plmscale.laws.fit import FitSettings
from plmscale.laws.learning_rates import learning_rates
from plmscale.laws.methods import fit_curves
from plmscale.laws.parabola import log_parabola
from plmscale.laws.rates.fitted import rate_findings
from plmscale.laws.rates.found import EDGE, FEW, INSIDE, NO_SWEEP
from plmscale.laws.rates.rule import rate_rule
from plmscale.presentation.figure_style import SizeScale
from plmscale.presentation.reasons import words
from plmscale.report.figures.learning_rates import rates_figure
from plmscale.report.learning_rates import off_optimum, rates_table
from plmscale.results.analysed import Analysed
from plmscale.runs.curve_files import from_frame, to_frame
from plmscale.runs.curves import smooth, usable
from plmscale.runs.importers import load
from scaling_data import chinchilla

SIZES = np.geomspace(3e4, 3e6, 6).round()
TOKENS = (2e6, 2e7, 1e8)
RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
C, CURVATURE = 0.25, 0.02


def best_at(size: float) -> float:
    """lr = 2e-3 (N / 3e5)^-0.25: from 3.6e-3 down to 1.1e-3 over `SIZES`."""
    return 2e-3 * (size / 3e5) ** -C


def swept(*, rates=RATES, sizes=SIZES, seeds=(0,), noise: float = 0.0, tokens=TOKENS, seed: int = 0) -> pd.DataFrame:
    """Ends of runs whose loss is that of `chinchilla` and a parabola in log rate above it."""
    rng = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        for last in tokens:
            for rate in rates:
                for one in seeds:
                    loss = float(chinchilla(size, np.array(last))) + CURVATURE * np.log(rate / best_at(size)) ** 2
                    row = {"run": f"m{size:.0f}_lr{rate:g}/d{last:g}/seed{one}", "model": f"m{size:.0f}_lr{rate:g}"}
                    row |= {"subset": f"d{last:g}", "schedule": "constant", "seed": one, "status": "done", "step": 1}
                    row |= {"n_params": int(size), "unique_tokens": int(last), "n_tokens": int(last)}
                    row |= {"flops": 6 * size * last, "loss": loss + rng.normal(0, noise), "batch_tokens": 2000}
                    rows.append(row | {"learning_rate": rate, "lr_fraction": 1.0})
    return pd.DataFrame(rows)


def test_vertex_is_that_of_polyfit():
    rng = np.random.default_rng(0)
    rates = np.repeat(RATES, 2)
    loss = 2.5 + 0.03 * np.log(rates / 1.7e-3) ** 2 + rng.normal(0, 0.003, rates.size)
    found = log_parabola(rates, loss)
    (square, slope, _), covariance = np.polyfit(np.log(rates), loss, 2, cov=True)
    assert found.vertex == pytest.approx(-slope / (2 * square), rel=1e-9)
    assert found.at(found.vertex) == pytest.approx(found.floor, rel=1e-12)
    sd = float(np.sqrt(np.sum(found.residual**2) / (rates.size - 3)))
    gradient = np.array([slope / (2 * square**2), -1 / (2 * square), 0.0])
    assert found.vertex_error(sd=sd) == pytest.approx(np.sqrt(gradient @ covariance @ gradient), rel=1e-6)
    low, high = found.vertex_interval(sd=sd, n_free=rates.size - 3)
    at = np.array([2 * found.curvature * (end - found.centre) + found.slope for end in (low, high)])
    errors = [np.sqrt(4 * z**2 * covariance[0, 0] + 4 * z * covariance[0, 1] + covariance[1, 1]) for z in (low, high)]
    assert np.abs(at / errors) == pytest.approx([2.3646] * 2, rel=1e-3), "Student's t at 97.5 % with 7 degrees"


def test_interval_of_a_flat_parabola_is_open():
    loss = 2.5 + np.random.default_rng(1).normal(0, 0.01, len(RATES))
    assert log_parabola(RATES, loss).vertex_interval(sd=0.01, n_free=2) == (-np.inf, np.inf)


def test_intervals_of_the_vertex_hold_the_truth_as_often_as_they_say():
    rng, held = np.random.default_rng(3), 0
    for _ in range(400):
        loss = CURVATURE * np.log(np.array(RATES) / 1.5e-3) ** 2 + rng.normal(0, 0.004, len(RATES))
        low, high = log_parabola(RATES, loss).vertex_interval(sd=0.004, n_free=10**6)
        held += low <= np.log(1.5e-3) <= high
    assert 0.92 <= held / 400 <= 0.98


def test_optima_and_rule_of_a_known_law_come_back():
    (rates,) = learning_rates(smooth(swept()))
    assert len(rates.sweeps) == len(SIZES) * len(TOKENS)
    assert all(one.status == INSIDE for one in rates.sweeps)
    for one in rates.sweeps:
        assert one.optimum.value == pytest.approx(best_at(one.n_params), rel=1e-6)
        assert one.penalty(1e-3) == pytest.approx(CURVATURE * np.log(1e-3 / best_at(one.n_params)) ** 2, rel=1e-4)
    assert rates.rule.c.value == pytest.approx(C, rel=1e-6)
    assert rates.rule.at(1e6, 2e7).value == pytest.approx(best_at(1e6), rel=1e-6)
    assert rates.rule.d.value == 0, "no dependence on tokens that nobody asked for"


def test_with_noise_the_rule_holds_the_truth_in_its_interval():
    (rates,) = learning_rates(smooth(swept(noise=0.002, seeds=(0, 1))))
    assert rates.rule.c.low < C < rates.rule.c.high < rates.rule.c.low + 0.15
    one = rates.rule.at(1e6, 2e7)
    assert one.low < best_at(1e6) < one.high < 1.5 * one.low


def test_tokens_enter_the_rule_where_the_optima_move_with_them():
    sizes, tokens = (np.ravel(grid) for grid in np.meshgrid(SIZES, TOKENS))
    rates = 1e-1 * sizes**-0.2 * tokens**-0.1 * np.exp(np.random.default_rng(0).normal(0, 0.02, sizes.size))
    rule, reason = rate_rule(sizes, tokens, rates, errors=np.full(sizes.size, 0.02), n_free=30)
    assert reason is None and rule.c.low < 0.2 < rule.c.high and rule.d.low < 0.1 < rule.d.high
    logs = np.linalg.lstsq(
        np.column_stack([np.ones(sizes.size), np.log(sizes), np.log(tokens)]), np.log(rates), rcond=None
    )[0]
    assert (-rule.c.value, -rule.d.value) == pytest.approx(tuple(logs[1:]), rel=1e-9)
    scattered = rates * np.exp(np.random.default_rng(1).normal(0, 0.3, sizes.size))
    wide, _ = rate_rule(sizes, tokens, scattered, errors=np.full(sizes.size, 0.02), n_free=30)
    assert wide.c.high - wide.c.low > 5 * (rule.c.high - rule.c.low), "scatter beyond the errors widens the interval"
    none, reason = rate_rule(sizes[:2], tokens[:2], rates[:2], errors=[0.1, 0.1], n_free=30)
    assert none is None and "2 sizes" in words(reason)


def test_an_optimum_at_the_edge_is_never_extrapolated():
    (rates,) = learning_rates(smooth(swept(rates=(1e-4, 2e-4, 4e-4))))
    assert {one.status for one in rates.sweeps} == {EDGE}
    assert all(one.optimum.value is None and "highest rate tried, 4×10⁻⁴" in words(one.why) for one in rates.sweeps)
    assert rates.rule is None and "0 sizes" in words(rates.why)
    warnings = off_optimum(rate_findings(smooth(swept(rates=(1e-4, 2e-4, 4e-4)))))
    assert len(warnings) == len(SIZES) and "not known" in warnings[0]
    (two,) = learning_rates(smooth(swept(rates=(1e-3, 2e-3))))
    assert {one.status for one in two.sweeps} == {FEW}


def test_a_rate_that_did_not_finish_is_told():
    runs = swept(rates=(2.5e-4, 5e-4, 1e-3, 2e-3), sizes=SIZES[:3])
    runs.loc[runs["learning_rate"] == 2e-3, "status"] = "diverged"
    (rates,) = learning_rates(smooth(runs))
    assert all(one.failed == (2e-3,) for one in rates.sweeps)
    assert all(words(one.why).endswith("the next, 0.002, did not finish") for one in rates.sweeps)


def test_a_sweep_does_not_bias_the_laws():
    runs, settings = swept(), FitSettings(n_bootstrap=20, budgets=(1e12,))
    kept, excluded = usable(smooth(runs))
    assert len(kept) == len(SIZES) * len(TOKENS)
    assert len(excluded) == len(kept) * (len(RATES) - 1)
    assert all("another learning rate of this size did better (0.00" in row["reason"] for row in excluded)
    fit = fit_curves(smooth(runs), name="chinchilla", settings=settings)["constant"]
    lowest = runs.loc[runs.groupby(["n_params", "subset"])["loss"].idxmin()]
    alone = fit_curves(smooth(lowest), name="chinchilla", settings=settings)["constant"]
    assert fit.estimates == alone.estimates
    assert fit.estimates["a"].value == pytest.approx(0.538, abs=0.01)
    nobody = swept().drop(columns="learning_rate")
    assert len(usable(smooth(nobody))[0]) == len(nobody), "runs whose rate is not known are no sweep"


def test_seeds_of_one_rate_stay_together():
    runs = swept(seeds=(0, 1), noise=0.001)
    kept, _ = usable(smooth(runs))
    assert len(kept) == 2 * len(SIZES) * len(TOKENS)
    pairs = pd.DataFrame({"n": [c.n_params for c in kept], "d": [c.subset for c in kept]})
    pairs["rate"] = [c.learning_rate for c in kept]
    assert (pairs.groupby(["n", "d"])["rate"].nunique() == 1).all()


def analysed(curves) -> Analysed:
    """Curves with their learning rates, and no law."""
    return Analysed(curves, {}, rate_findings(curves), pd.DataFrame())


def test_a_size_trained_off_its_optimum_is_warned_of_with_the_cost():
    """Five sizes are swept; the sixth was trained at 2e-4 alone, where the rule says 1.1e-3."""
    swept_sizes = swept(sizes=SIZES[:5], noise=0.001)
    alone = swept(sizes=SIZES[5:], rates=(2e-4,))
    curves = smooth(pd.concat([swept_sizes, alone], ignore_index=True))
    (warning,) = [text for text in off_optimum(rate_findings(curves)) if "3M parameters" in text]
    assert "learning rate of 2×10⁻⁴" in warning and "the rule over sizes" in warning
    cost = CURVATURE * np.log(2e-4 / best_at(3e6)) ** 2
    said = float(warning.split("costs about ")[1].split()[0])
    assert said == pytest.approx(cost, rel=0.15)
    table = rates_table(analysed(curves)).data
    last = table.loc[table["n_params"] == 3_000_000]
    assert set(last["status"]) == {NO_SWEEP} and (last["fitted"] == 2e-4).all()
    assert last["rule_low"].lt(best_at(3e6)).all() and last["rule_high"].gt(best_at(3e6)).all()
    coarse = off_optimum(rate_findings(smooth(swept(rates=(1e-4, 6e-4, 4e-3, 2.5e-2), noise=0.0005))))
    assert any("by its own sweep" in text for text in coarse), "the best of four far apart is beside the vertex"


def test_without_a_sweep_nothing_is_said():
    curves = smooth(swept(rates=(1e-3,)))
    assert learning_rates(curves) == [] and off_optimum(rate_findings(curves)) == []
    assert rates_table(analysed(curves)).data.empty


def test_rates_of_imported_runs_and_of_curves_on_disk(tmp_path):
    swept(rates=(1e-3, 2e-3), sizes=SIZES[:1]).rename(columns={"learning_rate": "peak_lr"}).to_csv(
        tmp_path / "runs.csv", index=False
    )
    curves = smooth(load(tmp_path / "runs.csv").frame)
    assert {curve.learning_rate for curve in curves} == {1e-3, 2e-3}
    assert from_frame(to_frame(curves))[0].learning_rate == curves[0].learning_rate
    older = from_frame(to_frame(curves).drop(columns="learning_rate"))
    assert all(np.isnan(curve.learning_rate) for curve in older)


def test_rate_of_a_run_is_that_before_warm_up_and_decay():
    steps = pd.concat([swept(rates=(2e-3,), sizes=SIZES[:1], tokens=TOKENS[:1])] * 6, ignore_index=True)
    share = np.array([0.1, 0.5, 0.9, 0.7, 0.4, 0.2])
    n = np.arange(1, 7) * 10**5
    steps = steps.assign(step=n, n_tokens=n, flops=6.0 * 3e4 * n, lr_fraction=share, learning_rate=2e-3 * share)
    assert smooth(steps)[0].learning_rate == pytest.approx(2e-3)
    assert smooth(steps.assign(lr_fraction=np.nan))[0].learning_rate == pytest.approx(1.8e-3)


def test_the_figure_has_every_run_optimum_and_the_rule():
    curves = smooth(swept(noise=0.001, sizes=SIZES[:4], tokens=TOKENS[:1]))
    results = analysed(curves)
    left, right = rates_figure(results, SizeScale(results.sizes)).axes[:2]
    dots = [line for line in left.lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in dots) == len(curves)
    diamonds = [line for line in right.lines if line.get_marker() == "D"]
    (rates,) = learning_rates(curves)
    drawn = sorted(float(line.get_ydata()[0]) for line in diamonds)
    assert drawn == pytest.approx(sorted(one.optimum.value for one in rates.sweeps))
    flat = rates_figure(analysed(smooth(swept(rates=(1e-3,)))), SizeScale(results.sizes))
    assert "No size was trained" in "".join(text.get_text() for text in flat.axes[0].texts).replace("\n", " ")
