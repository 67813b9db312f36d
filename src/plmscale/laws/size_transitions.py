"""Where on the envelope one size takes over from the next smaller one.

Least squares through the envelope itself is a line through a staircase: N_opt takes the sizes trained and nothing
between. With m stairs of equal width its slope is too small by a factor 1 - 1 / m^2 (six sizes: 3 %), without any
noise. The FLOPs at which two neighbouring sizes have the same loss have no such error: on a law E + A / N^alpha +
B / D^beta with C = k N D they grow as N^((alpha + beta) / beta), whatever the ratio of the sizes, as long as it is
constant.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CODES = ("", "nowhere_together", "smaller_always_better", "larger_always_better", "pair_in_noise")
"""Why a hand-over does not count; empty: it does."""


class SizeTransitions(NamedTuple):
    """Between neighbouring sizes, arrays of shape (..., sizes - 1); NaN in `log_flops` where there is none."""

    log_flops: Array
    reason: NDArray[np.intp]


class TransitionLine(NamedTuple):
    """Laws through hand-overs, shape (...): log C = start + slope * log N, and log D likewise."""

    start: Array
    slope: Array
    token_start: Array
    token_slope: Array

    @property
    def exponents(self) -> tuple[Array, Array]:
        """a and b of N_opt and D_opt in C; NaN where C does not rise with N."""
        slope = np.where(self.slope > 0, self.slope, np.nan)
        return 1 / slope, self.token_slope / slope

    @property
    def log_prefactors(self) -> tuple[Array, Array]:
        """Logarithms of N_opt and D_opt at one FLOP."""
        a, b = self.exponents
        return -self.start * a, self.token_start - self.start * b


def find(log_losses: Array, log_flops: Array, *, noise: float) -> SizeTransitions:
    """Hand-overs between neighbouring sizes.

    Parameters
    ----------
    log_losses : array, shape (..., sizes, points)
        Log of the lowest loss of each size at each of the FLOPs; infinite or NaN where it was not evaluated.
    log_flops : array, shape (points,)
    noise : float
        The larger size must be worse by more than this somewhere before, and better by more than this after.

    Returns
    -------
    SizeTransitions
        A hand-over is where the sum of the larger size's excess loss is greatest: with one change of sign that is the
        change, with several the one that agrees best with the curves on both sides.
    """
    with np.errstate(invalid="ignore"):
        excess = log_losses[..., 1:, :] - log_losses[..., :-1, :]
    seen = np.isfinite(excess)
    excess = np.where(seen, excess, 0.0)
    total = np.where(seen, np.cumsum(excess, axis=-1), -np.inf)
    at = np.argmax(total, axis=-1)[..., None]
    last = seen.shape[-1] - 1 - np.argmax(seen[..., ::-1], axis=-1)[..., None]
    after = np.minimum(at + 1, last)
    before_value, after_value = (np.take_along_axis(excess, i, axis=-1)[..., 0] for i in (at, after))
    gap = before_value - after_value
    share = np.clip(np.where(gap > 0, before_value / np.where(gap > 0, gap, 1.0), 0.5), 0.0, 1.0)
    found = log_flops[at[..., 0]] + share * (log_flops[after[..., 0]] - log_flops[at[..., 0]])
    index = np.arange(log_flops.size)
    highest = np.max(np.where(seen & (index <= at), excess, -np.inf), axis=-1)
    lowest = np.min(np.where(seen & (index > at), excess, np.inf), axis=-1)
    conditions = (~seen.any(axis=-1), (at == last)[..., 0], before_value <= 0, (highest <= noise) | (lowest >= -noise))
    reason = np.select(conditions, range(1, len(CODES)), default=0)
    return SizeTransitions(np.where((reason == 0) | (reason == 4), found, np.nan), reason)


def line(found: Array, *, log_sizes: Array, log_costs: Array) -> TransitionLine:
    """Least squares of log C, and of log D, on log N through hand-overs; NaN where fewer than two are left.

    The size of a hand-over is the geometric mean of the two, and exact; its FLOPs carry the error: they are the
    response. Its tokens are those that the FLOPs buy at that size.

    Parameters
    ----------
    found : array, shape (..., sizes - 1)
        Log FLOPs, NaN where left out.
    log_sizes, log_costs : arrays, shape (sizes,)
        Log of the sizes and of their FLOPs per token.
    """
    x = (log_sizes[1:] + log_sizes[:-1]) / 2
    cost = (log_costs[1:] + log_costs[:-1]) / 2
    counted = np.isfinite(found)
    y = np.where(counted, found, 0.0)
    n = np.maximum(counted.sum(axis=-1), 1)[..., None]
    dx = np.where(counted, x - np.sum(counted * x, axis=-1, keepdims=True) / n, 0.0)
    spread = np.sum(dx**2, axis=-1)
    spread = np.where((counted.sum(axis=-1) > 1) & (spread > 0), spread, np.nan)
    laws = []
    for values in (y, np.where(counted, found - cost, 0.0)):
        slope = np.sum(dx * values, axis=-1) / spread
        mean_x, mean = np.sum(counted * x, axis=-1) / n[..., 0], np.sum(values, axis=-1) / n[..., 0]
        laws += [mean - slope * mean_x, slope]
    return TransitionLine(*laws)
