"""A discrete smoothing spline whose level is chosen by restricted maximum likelihood.

Whittaker's (1923) smoother on uneven abscissae: weighted squares about the data plus `level` times the integral of the
squared third derivative, the derivative as a divided difference. The third and not the usual second derivative: a
natural cubic spline is straight at its ends, and loss in log-log is not. On simulated runs of 40 evaluations with 0.003
noise the end of a cubic spline with cross-validated level was off by up to -0.003, differently for each run and as much
as another seed would change it; the final losses of parametric laws are these ends
(`benchmarks/results/coverage.md`).

The level is chosen by restricted maximum likelihood, the curve being a Gaussian process (Wahba 1985; Wood 2011): unlike
generalised cross-validation it has no second minimum at no smoothing at all (Reiss and Ogden 2009), and with the
singular value decomposition at hand (Demmler and Reinsch 1975) every level costs a few sums.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]

ORDER = 3
"""Derivative that is penalised; polynomials below this order are not."""
# Levels searched, on abscissae in [0, 1]: from interpolation of 400 points to a parabola.
LOG_LEVELS = np.linspace(np.log(1e-22), np.log(1e4), 261)


class Smooth(NamedTuple):
    """Smoothed values, shape (n,), the level behind them, and the degrees of freedom that they took."""

    values: Array
    level: float
    n_free: float


def smooth_values(x: Array, y: Array, *, weights: Array, level: float | None = None) -> Smooth:
    """Smooth `y` over `x`.

    Parameters
    ----------
    x : array, shape (n,)
        Strictly increasing, n > 3.
    y, weights : arrays, shape (n,)
        Values, and how many observations each is the mean of.
    level : float, optional
        0 interpolates; by default restricted maximum likelihood chooses it.

    Returns
    -------
    Smooth
        The minimum over f of sum w (y - f)^2 + level * integral of f'''^2, x on [0, 1].
    """
    position = (x - x[0]) / (x[-1] - x[0])
    root = np.sqrt(weights / weights.mean())
    _, roughness, basis = scipy.linalg.svd(third_derivative(position) / root, full_matrices=True, check_finite=False)
    stiffness = np.zeros(x.size)
    stiffness[: roughness.size] = roughness**2
    coefficients = basis @ (root * y)
    if level is None:
        level = _most_likely(coefficients, stiffness)
    kept = 1 / (1 + level * stiffness)
    return Smooth(basis.T @ (kept * coefficients) / root, level, float(kept.sum()))


def third_derivative(x: Array) -> Array:
    """Matrix (n - 3, n) whose squared product with values at `x` is the integral of the squared third derivative."""
    rows = np.eye(x.size)
    for k in range(1, ORDER + 1):
        rows = np.diff(rows, axis=0) * (k / (x[k:] - x[:-k]))[:, None]
    return rows * np.sqrt((x[ORDER:] - x[:-ORDER]) / ORDER)[:, None]


def _most_likely(coefficients: Array, stiffness: Array) -> float:
    """Level of the highest restricted likelihood, the variance profiled out.

    Coefficients of the basis are independent, their variance sigma^2 (1 + 1 / (level * stiffness)).
    """
    d, squares = stiffness[:-ORDER], coefficients[:-ORDER] ** 2
    removed = 1 / (1 + np.exp(-LOG_LEVELS)[:, None] / np.maximum(d, 1e-300))
    deviance = d.size * np.log(np.maximum(removed @ squares, 1e-300)) - np.sum(np.log(removed), axis=1)
    return float(np.exp(LOG_LEVELS[np.argmin(deviance)]))
