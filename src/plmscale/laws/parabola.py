"""The parabola through losses over the logarithm of something: its vertex, and how well the vertex is known."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .solvers.distributions import student_quantile

Array = NDArray[np.float64]


class Parabola(NamedTuple):
    """y = curvature z^2 + slope z + level with z = log x - centre.

    `unscaled`, shape (3, 3), times the variance of a y is the covariance of (curvature, slope, level). `residual` has
    the shape of the points.
    """

    curvature: float
    slope: float
    level: float
    centre: float
    unscaled: Array
    residual: Array

    @property
    def vertex(self) -> float:
        """Log x of the vertex; NaN where the parabola has no minimum."""
        return self.centre - self.slope / (2 * self.curvature) if self.curvature > 0 else float("nan")

    @property
    def floor(self) -> float:
        """y of the vertex."""
        return self.level - self.slope**2 / (4 * self.curvature) if self.curvature > 0 else float("nan")

    def at(self, log_x: ArrayLike) -> Array:
        """y at log x."""
        z = np.asarray(log_x, dtype=float) - self.centre
        return (self.curvature * z + self.slope) * z + self.level

    def vertex_interval(self, *, sd: float, n_free: int, level: float = 0.95) -> tuple[float, float]:
        """Log x at which a slope of zero is not excluded (Fieller 1954): the interval of the vertex.

        Parameters
        ----------
        sd : float
            Standard deviation of a y.
        n_free : int
            Degrees of freedom behind it.
        level : float

        Returns
        -------
        low, high : float
            Infinite where the curvature itself is not told from zero.
        """
        reach = (sd * student_quantile((1 + level) / 2, n_free)) ** 2
        aa, ab, bb = (reach * self.unscaled[i, j] for i, j in ((0, 0), (0, 1), (1, 1)))
        # (2 c z + s)^2 <= reach * variance of (2 c z + s): a quadratic inequality in z.
        square, linear = 4 * (self.curvature**2 - aa), 4 * (self.curvature * self.slope - ab)
        inside = linear**2 - 4 * square * (self.slope**2 - bb)
        if square <= 0 or inside < 0 or self.curvature <= 0:
            return -np.inf, np.inf
        ends = (-linear + np.array([-1.0, 1.0]) * np.sqrt(inside)) / (2 * square)
        return float(ends[0] + self.centre), float(ends[1] + self.centre)

    def vertex_error(self, *, sd: float) -> float:
        """Standard error of the vertex in log x to first order."""
        gradient = np.array([self.slope / (2 * self.curvature**2), -1 / (2 * self.curvature), 0.0])
        return float(sd * np.sqrt(gradient @ self.unscaled @ gradient))


def log_parabola(x: ArrayLike, y: ArrayLike) -> Parabola:
    """Least squares of y on a parabola in log x.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        At least three different x, positive.

    Examples
    --------
    >>> round(float(np.exp(log_parabola([1, 2, 4], [2.5, 2.4, 2.5]).vertex)), 6)
    2.0
    """
    log_x, values = np.log(np.asarray(x, dtype=float)), np.asarray(y, dtype=float)
    centre = float(log_x.mean())
    design = np.vander(log_x - centre, 3)
    solved = np.linalg.lstsq(design, values, rcond=None)[0]
    unscaled = np.asarray(np.linalg.pinv(design.T @ design), dtype=np.float64)
    curvature, slope, level = (float(one) for one in solved)
    return Parabola(curvature, slope, level, centre, unscaled, values - design @ solved)
