"""Smoothing: close to the truth, inside the run only, and storable."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from plmscale.errors import InputError
from plmscale.presentation.reasons import told
from plmscale.reasons import Reason
from plmscale.runs.curve_files import from_frame, read_curves, to_frame
from plmscale.runs.curves import MAX_BINS, Curve, smooth, usable
from plmscale.runs.smoothing import smooth_values, third_derivative
from plmscale.runs.tidy import tidy
from scaling_data import INITIAL_LOSS, chinchilla, make_runs, published


def one_run(*, n_rows: int, noise: float) -> pd.DataFrame:
    """A run of 200,000 parameters evaluated at even steps."""
    seen = np.linspace(0, 5e6, n_rows + 1)
    frame = make_runs(chinchilla, sizes=[2e5], tokens=[5e6], n_rows=3).iloc[:1]
    frame = frame.loc[frame.index.repeat(n_rows + 1)].reset_index(drop=True)
    loss = np.r_[INITIAL_LOSS, chinchilla(2e5, seen[1:])] + np.random.default_rng(1).normal(0, noise, n_rows + 1)
    return frame.assign(step=np.arange(n_rows + 1), n_tokens=seen, flops=6 * 2e5 * seen, loss=loss)


def same(one: Curve, other: Curve) -> bool:
    return all(same_value(value, getattr(other, name)) for name, value in vars(one).items())


def same_value(one: object, other: object) -> bool:
    if isinstance(one, str | int):
        return one == other and type(one) is type(other)
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)


@pytest.mark.parametrize("n_rows", [60, 600, 20_000])
def test_smoothing_is_closer_to_the_truth_than_one_evaluation(n_rows):
    noise = 0.006
    (curve,) = smooth(one_run(n_rows=n_rows, noise=noise))
    truth = chinchilla(2e5, curve.n_tokens)
    late = curve.flops > curve.flops[-1] / 10
    assert np.sqrt(np.mean((curve.loss - truth)[late] ** 2)) < noise / 3
    assert curve.noise == pytest.approx(noise, rel=0.25)
    assert curve.flops.size <= MAX_BINS + 2
    assert curve.flops[-1] == 6 * 2e5 * 5e6


def test_without_noise_the_curve_is_the_law():
    (curve,) = smooth(make_runs(chinchilla, sizes=[2e5], tokens=[5e6], n_rows=300))
    at = np.geomspace(curve.flops[0], curve.flops[-1], 999)[1:-1]
    assert curve.loss_at(at) == pytest.approx(chinchilla(2e5, at / (6 * 2e5)), rel=2e-4)
    assert curve.tokens_at(at) == pytest.approx(at / (6 * 2e5), rel=1e-9)


def test_nothing_is_read_off_outside_the_run():
    (curve,) = smooth(make_runs(chinchilla, sizes=[2e5], tokens=[5e6], noise=0.01))
    first, last = curve.flops[0], curve.flops[-1]
    outside = np.array([0.0, first * 0.999, last * 1.001, 1e30])
    assert np.isnan(curve.loss_at(outside)).all() and np.isnan(curve.tokens_at(outside)).all()
    assert np.isfinite(curve.loss_at([first, last])).all()


def test_initial_loss_is_the_evaluation_at_step_zero():
    (curve,) = smooth(make_runs(chinchilla, sizes=[2e5], tokens=[5e6]))
    assert curve.initial_loss == INITIAL_LOSS
    assert curve.flops[0] > 0


def test_flops_to_reach_inverts_the_curve():
    (curve,) = smooth(make_runs(chinchilla, sizes=[2e5], tokens=[5e6], n_rows=300))
    wanted = 1e12
    assert curve.flops_to_reach(float(curve.loss_at(wanted))) == pytest.approx(wanted, rel=1e-3)
    assert curve.flops_to_reach(1.0) is None, "a loss below the run's last is not reached"
    assert curve.flops_to_reach(99.0) is None, "a loss above the run's first was reached before it was seen"


def test_curves_survive_parquet(tmp_path):
    runs = make_runs(chinchilla, sizes=[2e5, 4e5], tokens=[5e6], noise=0.01)
    runs.loc[runs["model"] == "m1", ["status", "loss"]] = ["diverged", np.nan]
    curves = smooth(runs)
    to_frame(curves).to_parquet(tmp_path / "curves.parquet")
    again = read_curves(tmp_path / "curves.parquet")
    assert len(again) == 2 and all(same(one, other) for one, other in zip(curves, again, strict=True))


def test_short_and_broken_runs_are_curves_too():
    runs = make_runs(chinchilla, sizes=[2e5], tokens=[5e6], n_rows=3)
    (short,) = smooth(runs)
    assert short.loss == pytest.approx(short.raw_loss, rel=1e-14) and np.isnan(short.noise)
    (empty,) = smooth(runs.assign(loss=np.inf))
    assert empty.flops.size == 0 and np.isnan(empty.loss_at(1e10))


def test_runs_that_may_not_enter_a_fit_are_named_with_the_reason():
    runs = make_runs(chinchilla, sizes=[2e5, 4e5], tokens=[5e6])
    runs.loc[runs["model"] == "m1", "status"] = "diverged"
    kept, excluded = usable(smooth(runs))
    assert [curve.model for curve in kept] == ["m0"]
    assert excluded == [{"run": "m1/s0/constant/seed0"} | told(Reason.of("not_done", status="diverged"))]


def test_bad_frames_are_refused():
    runs = make_runs(chinchilla, sizes=[2e5], tokens=[5e6])
    with pytest.raises(InputError, match="lr_fraction"):
        smooth(runs.drop(columns="lr_fraction"))
    runs.loc[3, "n_params"] = 7
    with pytest.raises(InputError, match=r"m0/s0/constant/seed0.*n_params.*200000, 7"):
        smooth(runs)
    with pytest.raises(InputError, match="raw_loss"):
        from_frame(to_frame([]).drop(columns="raw_loss"))


# Size without embeddings -> FLOPs to a loss of 2.455 as printed beside these curves.
PRINTED = {
    6291456: 2.27e17,
    13192320: 2.98e17,
    33690624: 6.98e17,
    84934656: 1.12e18,
    154448300: 1.75e18,
    470e6: 4.90e18,
    1208881136: 2.05e19,
}


def cheng_runs() -> pd.DataFrame:
    """Masked-LM curves of Cheng et al. 2024 for the sizes of `PRINTED`."""
    curves = pd.read_csv(published("cheng_scaling_plm", "curves.csv.gz"))
    near = np.array([[abs(n / size - 1) < 0.01 for size in PRINTED] for n in curves["N_nonemb"]]).any(axis=1)
    rows = curves[(curves["objective"] == "MLM") & near & curves["used_by_authors"]]
    names = {"N_nonemb": "n_params", "D": "n_tokens", "C": "flops", "eval_index": "step", "size_label": "model"}
    rows = rows.rename(columns=names).assign(run=rows["size_label"] + "/" + rows["run"])
    rows["n_params"] = rows["n_params"].round().astype(int)
    constants = {"subset": "ur50", "schedule": "cosine", "seed": 0, "status": "done"}
    return rows.assign(**constants, unique_tokens=1, batch_tokens=1, lr_fraction=0.1)


def test_published_protein_curves_reach_2_455_where_printed():
    runs = cheng_runs()
    curves = smooth(runs)
    found = {}
    for size, printed in PRINTED.items():
        own = [curve for curve in curves if abs(curve.n_params / size - 1) < 0.01]
        reached = {curve.run: flops for curve in own if (flops := curve.flops_to_reach(2.455)) is not None}
        run = min(reached, key=lambda name: reached[name])
        found[size] = reached[run]
        # Printed values are evaluations of the curve, three digits: the crossing lies within the interval before one.
        interval = float(runs.loc[runs["run"] == run, "flops"].diff().median())
        assert printed - interval - 0.03 * printed < found[size] < 1.03 * printed, f"{size:g}: {found[size]:.3g}"
    assert list(found.values()) == sorted(found.values()), "FLOPs to 2.455 rise with size"


def test_published_protein_curves_are_read_off_inside_only():
    runs = cheng_runs()
    for curve in smooth(runs):
        rows = runs[runs["run"] == curve.run]
        assert curve.flops[0] == rows["flops"].min() and curve.flops[-1] == rows["flops"].max()
        assert rows["loss"].min() - 0.03 < curve.loss.min() and curve.loss.max() < rows["loss"].max() + 0.03
        assert 0.002 < curve.noise < 0.02


def test_smoothing_is_the_penalised_least_squares_and_its_level_the_most_likely():
    """The minimum by the normal equations; the likelihood of contrasts, free of any parabola, by scipy's own normal."""
    rng = np.random.default_rng(2)
    x = np.sort(rng.uniform(0, 1, 25))
    x[0], x[-1] = 0.0, 1.0
    y, weights = np.sin(4 * x) + rng.normal(0, 0.05, x.size), np.ones(x.size)
    rows = third_derivative(x)
    fixed = smooth_values(x, y, weights=weights, level=1e-5)
    direct = np.linalg.solve(np.eye(x.size) + 1e-5 * rows.T @ rows, y)
    np.testing.assert_allclose(fixed.values, direct, rtol=1e-8)
    contrasts = np.linalg.svd(np.vander(x, 3))[0][:, 3:].T
    rough = np.linalg.pinv(rows.T @ rows)

    def likelihood(level: float) -> float:
        shape = contrasts @ (np.eye(x.size) + rough / level) @ contrasts.T
        data = contrasts @ y
        variance = data @ np.linalg.solve(shape, data) / data.size
        return multivariate_normal(cov=variance * shape).logpdf(data)

    best = smooth_values(x, y, weights=weights).level
    assert likelihood(best) > max(likelihood(best * factor) for factor in (0.5, 0.8, 1.25, 2.0))
    assert smooth_values(x, y, weights=weights, level=0.0).values == pytest.approx(y, rel=1e-12)


def test_a_run_is_of_one_trunk(tmp_path):
    table = pd.DataFrame({"N": [1e6, 1e6, 2e6], "D": [1e8, 2e8, 1e8], "loss": [3.0, 2.9, 2.8], "trunk": ["a", "a", ""]})
    runs = tidy(table, source="runs.csv").frame
    curves = smooth(runs)
    assert [curve.trunk for curve in curves] == ["a", "a", ""]
    assert [curve.trunk for curve in from_frame(to_frame(curves))] == ["a", "a", ""]
    assert {curve.trunk for curve in smooth(runs.drop(columns="trunk"))} == {""}
    one = runs.assign(run="one", model="m", subset="s", n_params=1000, unique_tokens=0)
    with pytest.raises(InputError, match="several values of trunk"):
        smooth(one)
