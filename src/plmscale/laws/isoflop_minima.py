"""Other ways than a parabola to read the optimal size off a valley of loss over size."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator

Array = NDArray[np.float64]

MIN_SIZES = 4
N_FINE = 2000


def raw_minimum(n_params: Array, loss: Array) -> float:
    """Size with the lowest loss; NaN if it is the smallest or largest, or with fewer than MIN_SIZES sizes.

    Examples
    --------
    >>> raw_minimum(np.array([1e6, 2e6, 4e6, 8e6]), np.array([2.4, 2.1, 2.0, 2.1]))
    4000000.0
    """
    sizes, lowest = _lowest(n_params, loss)
    best = int(np.argmin(lowest)) if sizes.size else 0
    return float(sizes[best]) if sizes.size >= MIN_SIZES and 0 < best < sizes.size - 1 else float("nan")


def akima_minimum(n_params: Array, loss: Array) -> float:
    """Minimum of Akima's spline (1970) of loss over log size; NaN as for `raw_minimum`."""
    sizes, lowest = _lowest(n_params, loss)
    if np.isnan(raw_minimum(n_params, loss)):
        return float("nan")
    fine = np.linspace(np.log(sizes[0]), np.log(sizes[-1]), N_FINE)
    return float(np.exp(fine[np.argmin(Akima1DInterpolator(np.log(sizes), lowest)(fine))]))


def _lowest(n_params: Array, loss: Array) -> tuple[Array, Array]:
    """Sizes seen, and the lowest loss of each."""
    seen = np.isfinite(loss)
    sizes = np.unique(n_params[seen])
    return sizes, np.array([loss[seen & (n_params == size)].min() for size in sizes])


VERTICES: dict[str, Callable[[Array, Array], float]] = {"Akima": akima_minimum, "raw minimum": raw_minimum}
"""Readers of a valley by name."""
