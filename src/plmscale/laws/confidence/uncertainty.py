"""How sure: bootstrap over runs, percentile intervals, and the rules that turn them into a verdict.

Points along one curve share its noise, its seed and its learning rate; the run is the unit that is repeated, so the
run is what is resampled.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...estimates import Estimate
from ...presentation.formats import per_cent
from ...runs.curves import Curve
from ..solvers.distributions import f_quantile, normal_cdf, normal_density, normal_tail, student_quantile
from .run_noise import RunNoise
from .shared_noise import ASSUMED_SHARE, SharedNoise

Array = NDArray[np.float64]

INTERVAL = 0.95
# Smoothed losses of two runs are told apart only when they differ by more than this many standard deviations of one
# evaluation. The mean of a smooth curve is known better than that, but reruns of one configuration differ by about two
# such deviations (0.010 to 0.016 nats against 0.0055 to 0.0069 on published protein curves).
NOISE_SIGMAS = 2.0
FAILED_SHARE_VOID = 0.5
# Runs that end with more different shares of their learning rate than this have not had comparable schedules.
LR_SPREAD = 0.1


def resamples(n_runs: int, *, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of `n` resamples of the runs, drawn with replacement: shape (n, n_runs)."""
    return rng.integers(0, n_runs, size=(n, n_runs))


def multiplicities(draws: NDArray[np.intp]) -> Array:
    """How often each run occurs in each resample: shape (n, n_runs)."""
    n, n_runs = draws.shape
    flat = draws + n_runs * np.arange(n)[:, None]
    return np.bincount(flat.ravel(), minlength=n * n_runs).reshape(n, n_runs).astype(float)


def interval(draws: Array, *, n_free: int | None = None) -> tuple[float | None, float | None]:
    """Percentile interval of the finite draws; (None, None) if more than half are not finite.

    With `n_free` degrees of freedom behind the standard deviation of the draws, the percentiles are those that lie as
    many standard deviations out as the quantile of Student's t: 2.0 and 98.0 instead of 2.5 and 97.5 for 27.
    """
    finite = draws[np.isfinite(draws)]
    if finite.size <= draws.size * (1 - FAILED_SHARE_VOID):
        return None, None
    tail = (1 - INTERVAL) / 2
    if n_free is not None:
        tail = normal_tail(student_quantile(1 - tail, n_free))
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def estimate(value: float | None, draws: Array, *, n_free: int | None = None, stretch: float = 1.0) -> Estimate:
    """A value with its percentile interval, stretched about the value."""
    if value is None or not np.isfinite(value):
        return Estimate(None)
    low, high = interval(draws, n_free=n_free)
    if low is not None and high is not None:
        low, high = value + stretch * (low - value), value + stretch * (high - value)
    return Estimate(float(value), low, high)


def about(table: Array, values: Array, *, positive: tuple[int, ...] = ()) -> Array:
    """Draws (n, keys) moved so that their medians are `values` (keys,); those of `positive` keys by a factor."""
    if not np.isfinite(table).any():
        return table
    known = np.isfinite(table).any(axis=0)
    medians = np.full(table.shape[1], np.nan)
    medians[known] = np.nanmedian(table[:, known], axis=0)
    moved = table + (values - medians)
    for i in positive:
        moved[:, i] = table[:, i] * (values[i] / medians[i])
    return moved


def lack_of_fit(residual: Array, drawn: Array, *, n_fitted: int, n_free: int) -> float:
    """Factor by which intervals grow where points scatter about their law by more than the noise between runs explains.

    Parameters
    ----------
    residual : array, shape (n,)
        Points about their law.
    drawn : array, shape (k, n)
        The residuals of replicates less `residual`: what noise alone does to them.
    n_fitted, n_free : int
        Parameters of the law; degrees of freedom behind the noise.

    Returns
    -------
    float
        1 where the scatter is that of the noise (by Fisher's F at 95 %), else the ratio of the standard deviations
        (Birge 1932).
    """
    expected = float(np.nansum(drawn**2)) / max(len(drawn), 1)
    left = residual.size - n_fitted
    if left < 1 or not expected > 0:
        return 1.0
    ratio = float(np.sum(residual**2)) / expected
    return float(np.sqrt(ratio)) if ratio > f_quantile(INTERVAL, left, n_free) else 1.0


def failed_share(draws: Array) -> float:
    """Share of resamples without a finite answer."""
    return float(np.mean(~np.isfinite(draws)))


def huber_scale(residuals: Array, *, delta: float, n_runs: int, n_free: int) -> float:
    """Scale that makes twice a difference of Huber objectives a chi-square: E[psi^2] / E[psi'].

    The likelihood-ratio-type test of robust regression (Hampel et al. 1986, section 7.2; Heritier and Ronchetti 1994).
    Both means are taken under normal residuals with the standard deviation that the mean absolute residual gives,
    corrected for the `n_free` parameters. Counting the residuals within `delta` instead, as the definition says, fails
    with few points: the fit passes through about `n_free` of them, which count as exact, and with 32 runs an interval
    of 95 % held the truth in 90 % of simulated studies (`benchmarks/interval_coverage.py`).

    Parameters
    ----------
    residuals : array, shape (n,)
        Of log loss. Points of one run are one observation: with n above `n_runs` the scale grows by n / n_runs.
    delta : float
        Huber threshold.
    """
    squares, within = huber_moments(normal_sd(residuals, n_runs=n_runs, n_free=n_free), delta=delta)
    return squares / within * residuals.size / n_runs


def huber_sd(residuals: Array, *, delta: float, n_runs: int, n_free: int) -> float:
    """Standard deviation of log loss by which least squares would know the parameters as well as the Huber fit does.

    The covariance of an M-estimate is E[psi^2] / E[psi']^2 times the inverse of J'J (Huber 1964): this is the root of
    that factor, both means as in `huber_scale`. The residuals hold the noise between runs and what the law misses.
    """
    squares, within = huber_moments(normal_sd(residuals, n_runs=n_runs, n_free=n_free), delta=delta)
    return float(np.sqrt(squares * residuals.size / n_runs) / within)


def normal_sd(residuals: Array, *, n_runs: int, n_free: int) -> float:
    """Standard deviation of normal residuals with this mean absolute value, `n_free` parameters fitted to `n_runs`."""
    n_left = max(n_runs - n_free, 1)
    return max(float(np.mean(np.abs(residuals))) * np.sqrt(np.pi / 2 * n_runs / n_left), 1e-12)


def huber_moments(sigma: float, *, delta: float) -> tuple[float, float]:
    """E[psi^2] and E[psi'] under normal residuals of standard deviation `sigma`; see `huber_scale`."""
    reach = delta / sigma
    within = 2 * normal_cdf(reach) - 1
    squares = sigma**2 * (within - 2 * reach * normal_density(reach)) + 2 * delta**2 * normal_tail(reach)
    return float(squares), float(within)


def condition_number(jacobian: Array) -> float:
    """Condition number of a Jacobian of log loss, shape (p, n), with the row of each parameter scaled to unit length.

    A number of c lets errors of the data grow by up to c in the worst combination of parameters.
    """
    return float(np.linalg.cond(jacobian / np.maximum(np.linalg.norm(jacobian, axis=1, keepdims=True), 1e-300)))


def likelihood_drop(objective: float, best: float, *, scale: float) -> float:
    """Twice the loss of log likelihood of a constrained fit, in units of chi-square."""
    return 2.0 * max(objective - best, 0.0) / scale


def drop_limit(n_constraints: int, *, n_left: int, level: float = INTERVAL) -> float:
    """Drop of the log likelihood (twice) that a true constraint exceeds with probability 1 - level.

    Chi-square where points abound; with `n_left` points beyond the parameters the scale itself is uncertain, and
    n_constraints * F(n_constraints, n_left) takes its place.
    """
    return n_constraints * f_quantile(level, n_constraints, max(n_left, 1))


def noise_warnings(noise: RunNoise) -> list[str]:
    """What a reader must know of the noise behind the intervals."""
    if noise.source != "evaluations":
        return shared_warnings(noise.shared)
    return [
        "too few runs to know the noise between them: intervals hold that of single evaluations only and may be too "
        "narrow. Train some cells with a second seed."
    ]


def shared_warnings(shared: SharedNoise | None) -> list[str]:
    """What a reader must know of noise that runs have in common."""
    if shared is None or shared.known:
        return []
    return [
        "runs of one trunk share noise, and these runs do not tell how much of it: intervals assume "
        f"{per_cent(ASSUMED_SHARE)} of its variance. Train more sizes, or a second seed of some."
    ]


def shared_details(shared: SharedNoise | None, *, warnings: list[str]) -> dict[str, Any]:
    """What the details of a fit say of noise that runs have in common; its warnings are added to `warnings`."""
    warnings += shared_warnings(shared)
    return {} if shared is None else {"common_noise": shared.to_json()}


def curve_warnings(curves: Sequence[Curve]) -> list[str]:
    """Warnings of a fit that mixes runs which differ in more than size and data."""
    warnings = []
    sizes = sorted({curve.batch_tokens for curve in curves})
    if len(sizes) > 1:
        warnings.append(f"runs with different batch_tokens are mixed: {sizes}; size and batch are confounded.")
    shares = [curve.lr_fraction_end for curve in curves if np.isfinite(curve.lr_fraction_end)]
    if shares and max(shares) - min(shares) > LR_SPREAD:
        warnings.append(
            f"the learning rate left at the end of the runs goes from {min(shares):.2f} to {max(shares):.2f} of its "
            "start: shorter runs are not shorter versions of the same schedule."
        )
    return warnings
