"""lr = k N^-c D^-d through the optima of sweeps: weighted least squares of logarithms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...estimates import Estimate
from ...reasons import Reason
from ..confidence.uncertainty import INTERVAL
from ..confidence.verdicts import MIN_SIZES
from ..solvers.distributions import f_quantile, student_quantile

Array = NDArray[np.float64]

MIN_LENGTHS = 3


@dataclass(frozen=True)
class RateRule:
    """The fitted rule.

    Attributes
    ----------
    k : float
        Rate at one parameter (and one token): only meaningful with the exponents.
    c, d : Estimate
        Exponents of size and of tokens; `d` is 0 where no dependence on tokens was fitted.
    sizes : tuple of float
        Smallest and largest size with an optimum.
    tokens : tuple of float
        Fewest and most tokens.
    n_sweeps : int
    covariance : array, shape (p, p)
        Of (log k, -c) or (log k, -c, -d) about the mean of the logarithms.
    centre : array, shape (p - 1,)
        Means of log N (and log D).
    n_free : int
        Degrees of freedom behind the covariance.
    """

    k: float
    c: Estimate
    d: Estimate
    sizes: tuple[float, float]
    tokens: tuple[float, float]
    n_sweeps: int
    covariance: Array
    centre: Array
    n_free: int

    def at(self, n_params: float, n_tokens: float) -> Estimate:
        """Best rate of a size and length, with the interval of the rule."""
        logs = np.log([n_params, n_tokens])[: len(self.centre)]
        exponents = np.array([-(self.c.value or 0.0), -(self.d.value or 0.0)])[: len(self.centre)]
        value = float(np.log(self.k) + exponents @ logs)
        gradient = np.array([1.0, *(logs - self.centre)])
        reach = float(
            np.sqrt(gradient @ self.covariance @ gradient) * student_quantile((1 + INTERVAL) / 2, self.n_free)
        )
        return Estimate(*(float(np.exp(value + shift)) for shift in (0.0, -reach, reach)))


def rate_rule(
    n_params: Sequence[float],
    n_tokens: Sequence[float],
    rates: Sequence[float],
    *,
    errors: Sequence[float],
    n_free: int,
) -> tuple[RateRule | None, Reason | None]:
    """The rule through the optima, and why there is none.

    Parameters
    ----------
    n_params, n_tokens, rates : sequences of n floats
        Sizes, tokens seen, best rates.
    errors : sequence of n floats
        Standard errors of log rates: the weights. Where the optima scatter by more (Fisher's F at 95 %), intervals grow
        with the scatter (Birge 1932).
    n_free : int
        Degrees of freedom behind the errors.

    Returns
    -------
    RateRule or None, Reason or None
        Tokens enter where there are three lengths, and an F test at 95 % wants them.
    """
    x, y, z = (np.log(np.asarray(values, dtype=float)) for values in (n_params, n_tokens, rates))
    sigma = np.asarray(errors, dtype=float)
    if (n_sizes := len(np.unique(x))) < MIN_SIZES:
        return None, Reason.of("few_optima", n_sizes=n_sizes, needed=MIN_SIZES)
    weights: Array = 1.0 / np.maximum(sigma, 0.1 * float(np.median(sigma)))
    design = np.column_stack([np.ones_like(x), x - x.mean()])
    solved, squares = _solve(design, z, weights)
    lengths = len(np.unique(np.round(y, 1)))
    wide = np.column_stack([design, y - y.mean()])
    left = z.size - wide.shape[1]
    if lengths >= MIN_LENGTHS and left >= 1 and np.linalg.matrix_rank(wide, tol=1e-6) == wide.shape[1]:
        other, rest = _solve(wide, z, weights)
        if (squares - rest) > f_quantile(INTERVAL, 1, left) * rest / left:
            design, solved, squares = wide, other, rest
    left = z.size - design.shape[1]
    ratio, known = squares / max(left, 1), n_free
    if left >= 1 and ratio > f_quantile(INTERVAL, left, n_free):
        known = left
    else:
        ratio = 1.0
    covariance = np.asarray(np.linalg.inv((design * weights[:, None] ** 2).T @ design) * ratio, dtype=np.float64)
    centre = np.array([x.mean(), y.mean()])[: design.shape[1] - 1]
    quantile = student_quantile((1 + INTERVAL) / 2, known)
    ends = [
        Estimate(-value, -value - quantile * error, -value + quantile * error)
        for value, error in zip(solved[1:], np.sqrt(np.diag(covariance))[1:], strict=True)
    ]
    log_k = float(solved[0] - solved[1:] @ centre)
    spans = [(float(np.exp(v.min())), float(np.exp(v.max()))) for v in (x, y)]
    d = ends[1] if len(ends) > 1 else Estimate(0.0)
    return RateRule(float(np.exp(log_k)), ends[0], d, spans[0], spans[1], z.size, covariance, centre, known), None


def _solve(design: Array, values: Array, weights: Array) -> tuple[Array, float]:
    found = np.linalg.lstsq(design * weights[:, None], values * weights, rcond=None)[0]
    solved = np.asarray(found, dtype=np.float64)
    return solved, float(np.sum(((values - design @ solved) * weights) ** 2))
