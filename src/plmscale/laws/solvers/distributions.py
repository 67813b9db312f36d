"""Quantiles and tails of the normal, Student's t and F distributions.

They equal those of `scipy.stats` to the last digit, and come from the functions of `scipy.special` that it calls: the
import of `scipy.stats` takes longer than the fit of a law.
"""

import numpy as np
from scipy.special import fdtrc, fdtri, ndtr, stdtrit

_ROOT_2_PI = np.sqrt(2 * np.pi)


def normal_cdf(x: float) -> float:
    """Probability that a standard normal variable is at most `x`."""
    return float(ndtr(x))


def normal_density(x: float) -> float:
    """Density of the standard normal distribution at `x`."""
    return float(np.exp(-(x * x) / 2.0) / _ROOT_2_PI)


def normal_tail(x: float) -> float:
    """Probability that a standard normal variable is above `x`."""
    return float(ndtr(-x))


def student_quantile(p: float, n_free: float) -> float:
    """Value that Student's t with `n_free` degrees of freedom is below with probability `p`."""
    return float(stdtrit(float(n_free), p))


def f_quantile(p: float, above: float, below: float) -> float:
    """Value that F with `above` and `below` degrees of freedom is below with probability `p`."""
    return float(fdtri(float(above), float(below), p))


def f_tail(x: float, above: float, below: float) -> float:
    """Probability that F with `above` and `below` degrees of freedom is above `x`."""
    # A sum of squares that rounding makes negative is zero; `fdtrc` has no value there.
    return 1.0 if x <= 0 else float(fdtrc(float(above), float(below), x))
