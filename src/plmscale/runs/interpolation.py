"""Reading a curve between its points: straight lines in log-log, roots of a spline, a thinner set of points."""

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Newton's steps double the digits of the straight line between two of 400 points.
ROOT_STEPS = 5


def spline_root(spline: "scipy.interpolate.CubicSpline", wanted: Array, at: Array, *, low: Array, high: Array) -> Array:
    """Where a spline that is above `wanted` at `low` and not at `high` falls to it: Newton steps that stay between."""
    for _ in range(ROOT_STEPS):
        excess, slope = spline(at) - wanted, spline(at, 1)
        low, high = np.where(excess > 0, at, low), np.where(excess > 0, high, at)
        newton = at - excess / np.where(slope < 0, slope, -np.inf)
        at = np.where((newton >= low) & (newton <= high) & (slope < 0), newton, (low + high) / 2)
    return at


def log_spaced(flops: Array, *, n: int) -> NDArray[np.intp]:
    """Indices of at most `n` evaluations, evenly spaced in log FLOPs, first and last included."""
    if flops.size <= n:
        return np.arange(flops.size)
    wanted = np.geomspace(flops[0], flops[-1], n)
    found = np.searchsorted(flops, wanted * (1 - 1e-12)).clip(0, flops.size - 1)
    return np.unique(np.concatenate([[0], found, [flops.size - 1]]))


def interpolate(at: Array, flops: Array, values: Array) -> Array:
    """Straight lines in log-log between the points; NaN outside."""
    if flops.size == 0:
        return np.full(at.shape, np.nan)
    inside = (at >= flops[0]) & (at <= flops[-1])
    logs = np.interp(np.log(np.where(inside, at, flops[0])), np.log(flops), np.log(values))
    return np.where(inside, np.exp(logs), np.nan)
