"""Profile-likelihood intervals: how far a parameter can be moved, the others fitted again, before the data object."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Values (k,) of the parameters with these indices (k,) -> twice the loss of log likelihood (k,).
Drop = Callable[[NDArray[np.intp], Array], Array]

MAX_STEPS = 60
# An end is found when the square root of the drop is this close to that of the limit, as a share.
TOLERANCE = 0.01
LARGEST_GROWTH = 4.0


def intervals(drop: Drop, centre: Array, *, first: Array, reach: Array, limit: float) -> Array:
    """Ends of the intervals within which the drop stays below `limit`.

    The drop is close to a parabola in the parameter, its square root to a straight line: that is what is followed
    outward and then interpolated. All parameters and both directions are solved together.

    Parameters
    ----------
    drop : callable
        Solves the constrained fits.
    centre, first : arrays, shape (m,)
        Optimum of each parameter, and the first step away from it.
    reach : array, shape (m, 2)
        Lowest and highest value of each parameter.
    limit : float
        Drop at the ends.

    Returns
    -------
    array, shape (m, 2)
        NaN where the drop does not come to the limit within the reach.
    """
    m, target = len(centre), float(np.sqrt(limit))
    which, sign = np.repeat(np.arange(m), 2), np.tile([-1.0, 1.0], m)
    most = np.maximum(np.abs(reach - centre[:, None]).ravel(), 0.0)
    inner, inner_root = np.zeros(2 * m), np.zeros(2 * m)
    outer, outer_root = np.full(2 * m, np.inf), np.full(2 * m, np.nan)
    at, ends = np.minimum(np.repeat(first, 2), most), np.full(2 * m, np.nan)
    left = np.flatnonzero(most > 0)
    for _ in range(MAX_STEPS):
        if left.size == 0:
            break
        root = np.sqrt(np.maximum(drop(which[left], centre[which[left]] + sign[left] * at[left]), 0.0))
        beyond = root >= target
        outer[left[beyond]], outer_root[left[beyond]] = at[left[beyond]], root[beyond]
        inner[left[~beyond]], inner_root[left[~beyond]] = at[left[~beyond]], root[~beyond]
        narrow = outer[left] - inner[left] < 1e-6 * outer[left]
        found = (np.abs(root - target) < TOLERANCE * target) | narrow
        ends[left[found]] = at[left[found]]
        left = left[~found & ~(~beyond & (at[left] >= most[left]))]
        at[left] = _next(inner[left], inner_root[left], outer[left], outer_root[left], target)
        at[left] = np.minimum(np.where(at[left] > 0, at[left], first[which[left]]), most[left])
    return centre[:, None] + (sign * ends).reshape(m, 2)


def _next(inner: Array, inner_root: Array, outer: Array, outer_root: Array, target: float) -> Array:
    """Straight line between the last value inside and the first outside; outward in growing steps while none is."""
    closed = np.isfinite(outer)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((target - inner_root) / (outer_root - inner_root), 0.05, 0.95)
        between = inner + share * (outer - inner)
        beyond = inner * np.clip(1.05 * target / inner_root, 1.3, LARGEST_GROWTH)
    return np.where(closed, between, beyond)
