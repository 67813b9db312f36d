"""Fits of a law under conditions: what profile likelihoods are made of."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .gauss_newton import minimise

Array = NDArray[np.float64]
Predict = Callable[[Array], tuple[Array, Array]]
"""Parameters (m, p) -> residuals (m, n) and their derivatives (m, p, n)."""

GAIN = 1e-8


@dataclass(frozen=True)
class Conditions:
    """One condition a row, each for a fit of its own: parameter `target` = `constant` + `factor` · parameter `source`.

    Attributes
    ----------
    target, source : array of int, shape (k,)
        The same where a parameter is held at a constant.
    constant, factor : array, shape (k,)
    """

    target: NDArray[np.intp]
    source: NDArray[np.intp]
    constant: Array
    factor: Array

    @classmethod
    def held(cls, which: NDArray[np.intp], values: Array) -> "Conditions":
        """Parameter `which[i]` held at `values[i]`."""
        return cls(which, which, values, np.zeros(len(which)))

    def rows(self, which: NDArray[np.intp]) -> "Conditions":
        """Some of them."""
        return Conditions(self.target[which], self.source[which], self.constant[which], self.factor[which])

    def complete(self, theta: Array) -> Array:
        """Parameters (m, p), m a multiple of k, that keep the conditions, which are gone through again and again."""
        i, one = np.arange(len(theta)), np.arange(len(theta)) % len(self.target)
        full = theta.copy()
        full[i, self.target[one]] = self.constant[one] + self.factor[one] * theta[i, self.source[one]]
        return full


def constrained(
    predict: Predict, conditions: Conditions, starts: Array, *, n_points: int, delta: float, bounds: tuple[Array, Array]
) -> tuple[Array, Array]:
    """The best fit under each condition, from several starts.

    Parameters
    ----------
    predict : callable
    conditions : Conditions
    starts : array, shape (s, k, p)
    n_points : int
        Residuals of the law.
    delta : float
        Huber threshold.
    bounds : pair of arrays, shape (p,)

    Returns
    -------
    objective, theta : arrays of shape (k,) and (k, p)
    """
    n_starts, k, p = starts.shape

    def model(theta: Array, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        i = np.arange(len(theta))
        here = conditions.rows(rows % k)
        residual, jacobian = predict(here.complete(theta))
        slope = jacobian[i, here.target].copy()
        jacobian[i, here.target] = 0.0
        bound = here.factor != 0
        jacobian[i[bound], here.source[bound]] += here.factor[bound, None] * slope[bound]
        return residual, jacobian

    flat = starts.reshape(n_starts * k, p)
    weights = np.ones((len(flat), n_points))
    theta, objective = minimise(model, flat, weights=weights, delta=delta, bounds=bounds, smallest_gain=GAIN)
    theta, objective = conditions.complete(theta).reshape(n_starts, k, p), objective.reshape(n_starts, k)
    best = np.argmin(objective, axis=0)
    return objective[best, np.arange(k)], theta[best, np.arange(k)]
