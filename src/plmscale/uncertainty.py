"""How sure: bootstrap over runs, percentile intervals, and the rules that turn them into a verdict.

Points along one curve share its noise, its seed and its learning rate; the run is the unit that is repeated, so the
run is what is resampled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from .curves import Curve
from .fits import Estimate, Status

Array = NDArray[np.float64]

INTERVAL = 0.95
# A power law through fewer sizes has no residual that could speak against it.
MIN_SIZES = 3
# Smoothed losses of two runs are told apart only when they differ by more than this many standard deviations of one
# evaluation. The mean of a smooth curve is known better than that, but reruns of one configuration differ by about two
# such deviations (0.010 to 0.016 nats against 0.0055 to 0.0069 on published protein curves).
NOISE_SIGMAS = 2.0
# Exponents of a compute-optimal law lie between 0 and 1. An interval of this width leaves half of that open.
WIDE_EXPONENT = 0.5
# An interval this wide excludes next to nothing.
VOID_EXPONENT = 0.9
# Share of resamples in which the fit itself was not possible: above the first the interval describes a selection of
# resamples, above the second there are too few left to speak of an interval.
FAILED_SHARE_WEAK = 0.1
FAILED_SHARE_VOID = 0.5
# Runs that end with more different shares of their learning rate than this have not had comparable schedules.
LR_SPREAD = 0.1


@dataclass(frozen=True)
class Verdict:
    """A status with the sentence that explains it."""

    status: Status
    reason: str

    @property
    def has_numbers(self) -> bool:
        """Whether estimates may be shown."""
        return self.status in ("identified", "weakly_identified")


def resamples(n_runs: int, *, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of `n` resamples of the runs, drawn with replacement: shape (n, n_runs)."""
    return rng.integers(0, n_runs, size=(n, n_runs))


def multiplicities(draws: NDArray[np.intp]) -> Array:
    """How often each run occurs in each resample: shape (n, n_runs)."""
    n, n_runs = draws.shape
    flat = draws + n_runs * np.arange(n)[:, None]
    return np.bincount(flat.ravel(), minlength=n * n_runs).reshape(n, n_runs).astype(float)


def interval(draws: Array) -> tuple[float | None, float | None]:
    """Percentile interval of the finite draws; (None, None) if more than half are not finite."""
    finite = draws[np.isfinite(draws)]
    if finite.size <= draws.size * (1 - FAILED_SHARE_VOID):
        return None, None
    tail = (1 - INTERVAL) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)


def estimate(value: float | None, draws: Array) -> Estimate:
    """A value with its percentile interval."""
    if value is None or not np.isfinite(value):
        return Estimate(None)
    return Estimate(float(value), *interval(draws))


def failed_share(draws: Array) -> float:
    """Share of resamples without a finite answer."""
    return float(np.mean(~np.isfinite(draws)))


def exponent_verdict(name: str, estimates: Mapping[str, Estimate], *, failed: float) -> Verdict:
    """Verdict on a compute-optimal law from the interval of its exponent and the share of failed resamples."""
    exponent = estimates[name]
    if exponent.value is None or failed > FAILED_SHARE_VOID:
        return Verdict("not_identified", f"{failed:.0%} of the resamples of the runs do not allow the fit at all.")
    if exponent.low is None or exponent.high is None or exponent.high - exponent.low > VOID_EXPONENT:
        return Verdict("not_identified", f"the interval of {name}, {_span(exponent)}, excludes next to nothing.")
    if failed > FAILED_SHARE_WEAK:
        return Verdict("weakly_identified", f"{failed:.0%} of the resamples of the runs do not allow the fit.")
    if exponent.high - exponent.low > WIDE_EXPONENT:
        return Verdict("weakly_identified", f"the interval of {name}, {_span(exponent)}, is wide.")
    if exponent.low <= 0:
        return Verdict("weakly_identified", f"the interval of {name}, {_span(exponent)}, contains zero.")
    return Verdict("identified", f"the interval of {name} is {_span(exponent)}.")


def robust_scale(residuals: Array, *, delta: float, n_free: int) -> float:
    """Scale that makes twice a difference of Huber objectives a chi-square: mean(psi^2) / mean(psi').

    The likelihood-ratio-type test of robust regression (Hampel et al. 1986, section 7.2; Heritier and Ronchetti 1994).
    For residuals all within `delta` it is their mean square, the mean taken over the points less the `n_free`
    parameters fitted to them.
    """
    psi = np.clip(residuals, -delta, delta)
    slope = max(float(np.mean(np.abs(residuals) <= delta)), 1.0 / residuals.size)
    return max(float(np.sum(psi**2)) / max(residuals.size - n_free, 1) / slope, 1e-24)


def likelihood_drop(objective: float, best: float, *, scale: float) -> float:
    """Twice the loss of log likelihood of a constrained fit, in units of chi-square."""
    return 2.0 * max(objective - best, 0.0) / scale


def drop_limit(n_constraints: int, *, n_left: int, level: float = INTERVAL) -> float:
    """Drop of the log likelihood (twice) that a true constraint exceeds with probability 1 - level.

    Chi-square where points abound; with `n_left` points beyond the parameters the scale itself is uncertain, and
    n_constraints * F(n_constraints, n_left) takes its place.
    """
    return n_constraints * float(f_distribution.ppf(level, n_constraints, max(n_left, 1)))


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


def _span(value: Estimate) -> str:
    low, high = (("unbounded" if bound is None else f"{bound:.2f}") for bound in (value.low, value.high))
    return f"{low} to {high}"
