"""Starts of Chinchilla's law: the best floor and prefactors at every pair of exponents of a grid."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .nonnegative import nonnegative

if TYPE_CHECKING:
    from .chinchilla import ChinchillaProblem

Array = NDArray[np.float64]

GRID_RANGE = (0.01, 1.5)
# A term whose logarithm is this far below the loss is zero.
LOG_ZERO = -30.0


def grid_starts(problem: "ChinchillaProblem", weights: Array, *, size: int, n_starts: int) -> Array:
    """Best E, A, B >= 0 by least squares at each (alpha, beta) of a grid; the best `n_starts` of its local minima.

    Relative errors of the loss take the place of errors of its logarithm: then the law is linear in E, A and B, and the
    sums over points that its normal equations need are products of a function of alpha and one of beta.

    Parameters
    ----------
    weights : array, shape (k, n)
        Weight of each point in each of k problems.

    Returns
    -------
    array, shape (k, n_starts, 5)
        Coordinates of `ChinchillaProblem`, the best first; where a grid has fewer local minima, the best is repeated.
    """
    axis = np.geomspace(*GRID_RANGE, size)
    inverse = np.exp(-problem.log_loss)
    by_size, by_tokens = (np.exp(-axis[:, None] * log) * inverse for log in (problem.x, problem.y))
    cells = (len(weights), size, size)
    normal = np.empty((3, 3, *cells))
    target = np.empty((3, *cells))
    alpha_side, beta_side = (slice(None), slice(None), None), (slice(None), None, slice(None))
    normal[0, 0] = (weights @ inverse**2)[:, None, None]
    normal[0, 1] = (weights @ (by_size * inverse).T)[alpha_side]
    normal[0, 2] = (weights @ (by_tokens * inverse).T)[beta_side]
    normal[1, 1] = (weights @ (by_size**2).T)[alpha_side]
    normal[2, 2] = (weights @ (by_tokens**2).T)[beta_side]
    normal[1, 2] = np.matmul(by_size * weights[:, None], by_tokens.T)
    target[0] = (weights @ inverse)[:, None, None]
    target[1] = (weights @ by_size.T)[alpha_side]
    target[2] = (weights @ by_tokens.T)[beta_side]
    terms, gain = nonnegative(normal, target)
    starts = np.empty((len(weights), n_starts, 5))
    for k in range(len(weights)):
        order = _local_minima(-gain[k])[:n_starts] if n_starts > 1 else np.array([np.argmax(gain[k])])
        order = np.concatenate([order, np.repeat(order[:1], n_starts - len(order))])
        rows, columns = np.unravel_index(order, (size, size))
        logs = np.log(np.maximum(terms[:, k, rows, columns], np.exp(LOG_ZERO / 3)))
        starts[k] = np.column_stack([*logs, axis[rows], axis[columns]])
    if problem.unit is not None:
        starts[..., 0] = np.exp(starts[..., 0]) / problem.unit
    return starts


def _local_minima(values: Array) -> NDArray[np.intp]:
    """Flat indices of cells no higher than their neighbours, the lowest first."""
    padded = np.pad(values, 1, constant_values=np.inf)
    around = [
        padded[1 + i : padded.shape[0] - 1 + i, 1 + j : padded.shape[1] - 1 + j]
        for i in (-1, 0, 1)
        for j in (-1, 0, 1)
        if (i, j) != (0, 0)
    ]
    found = np.flatnonzero(np.all([values <= other for other in around], axis=0))
    return found[np.argsort(values.ravel()[found], kind="stable")]
