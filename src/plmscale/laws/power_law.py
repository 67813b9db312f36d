"""Power laws and the Huber loss: what several fits share. Plain arrays in, plain numbers out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]


class PowerLaw(NamedTuple):
    """y = prefactor * x ** exponent, the prefactor as its natural logarithm (it may lie beyond floats)."""

    log_prefactor: float
    exponent: float

    def at(self, x: ArrayLike) -> Array:
        """y at x."""
        return np.exp(self.log_prefactor + self.exponent * np.log(np.asarray(x, dtype=float)))

    def inverse(self, y: ArrayLike) -> Array:
        """x at which the law gives y."""
        return np.exp((np.log(np.asarray(y, dtype=float)) - self.log_prefactor) / self.exponent)

    @property
    def prefactor(self) -> float:
        """y at x = 1; infinite where it exceeds floats."""
        return float(np.exp(np.clip(self.log_prefactor, -745.0, 710.0)))


def power_law(x: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> PowerLaw:
    """Least squares of log y on log x.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Positive numbers.
    weights : array_like, shape (n,), optional
        Weights of the squared residuals.

    Returns
    -------
    PowerLaw
        NaN where x does not vary.

    Examples
    --------
    >>> power_law([1, 10, 100], [2, 20, 200]).exponent
    1.0
    """
    log_x, log_y = np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))
    w = np.ones_like(log_x) if weights is None else np.asarray(weights, dtype=float)
    mean_x, mean_y = np.average(log_x, weights=w), np.average(log_y, weights=w)
    spread = float(np.sum(w * (log_x - mean_x) ** 2))
    if spread <= 1e-12 * max(float(np.sum(w)), 1e-300):
        return PowerLaw(float("nan"), float("nan"))
    exponent = float(np.sum(w * (log_x - mean_x) * (log_y - mean_y)) / spread)
    return PowerLaw(float(mean_y - exponent * mean_x), exponent)


def constrained_exponent(size_exponent: Array, token_exponent: Array) -> Array:
    """Exponent of size when both laws are fitted together under a + b = 1, as C proportional to N D demands.

    Least squares of both log-log lines at once, on the same C: a = (1 + a_free - b_free) / 2.
    """
    return (1.0 + size_exponent - token_exponent) / 2.0


def huber(residuals: Array, *, delta: float) -> Array:
    """Huber loss: r^2 / 2 within `delta`, delta (|r| - delta / 2) beyond."""
    return special.huber(delta, residuals)


def huber_weights(residuals: Array, *, delta: float) -> Array:
    """Weights psi(r) / r with which least squares has the gradient of the Huber loss."""
    return delta / np.maximum(np.abs(residuals), delta)
