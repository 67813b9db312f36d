"""Many small non-negative least squares at once."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def nonnegative(normal: Array, target: Array) -> tuple[Array, Array]:
    """Least squares with coefficients >= 0 from its normal equations, and the sum of squares explained.

    The optimum is the unconstrained one of some subset of the three columns: the best feasible of all seven is it.
    Shapes (3, 3, ...) (upper triangle) and (3, ...); returns (3, ...) and (...).
    """
    best, gain = np.zeros_like(target), np.zeros(target.shape[1:])
    for subset in (s for k in (1, 2, 3) for s in combinations(range(3), k)):
        solution = np.zeros_like(target)
        solution[list(subset)] = _solve_small(normal, target, subset)
        explained = np.einsum("i...,i...->...", solution, target)
        take = np.all(solution >= 0, axis=0) & (explained > gain)
        gain = np.where(take, explained, gain)
        best = np.where(take, solution, best)
    return best, gain


def _solve_small(normal: Array, target: Array, subset: tuple[int, ...]) -> Array:
    """Solution of one, two or three normal equations by Cramer's rule, elementwise; -1 where they are singular."""
    a, t = [[normal[min(i, j), max(i, j)] for j in subset] for i in subset], [target[i] for i in subset]
    if len(subset) == 1:
        return np.array([t[0] / a[0][0]])
    if len(subset) == 2:
        scale = a[0][0] * a[1][1]
        determinant = scale - a[0][1] ** 2
        solution = np.array([t[0] * a[1][1] - t[1] * a[0][1], t[1] * a[0][0] - t[0] * a[0][1]])
    else:
        c00 = a[1][1] * a[2][2] - a[1][2] ** 2
        c01 = a[0][2] * a[1][2] - a[0][1] * a[2][2]
        c02 = a[0][1] * a[1][2] - a[0][2] * a[1][1]
        c11 = a[0][0] * a[2][2] - a[0][2] ** 2
        c12 = a[0][1] * a[0][2] - a[0][0] * a[1][2]
        c22 = a[0][0] * a[1][1] - a[0][1] ** 2
        scale = a[0][0] * a[1][1] * a[2][2]
        determinant = a[0][0] * c00 + a[0][1] * c01 + a[0][2] * c02
        rows = ((c00, c01, c02), (c01, c11, c12), (c02, c12, c22))
        solution = np.array([sum(c * one for c, one in zip(row, t, strict=True)) for row in rows])
    regular = determinant > 1e-12 * scale
    return np.where(regular, solution / np.where(regular, determinant, 1.0), -1.0)
