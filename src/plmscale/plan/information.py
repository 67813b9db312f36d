"""Fisher information of runs about Chinchilla's law, and how one run more or less changes it.

A run of size N and D tokens adds j jᵀ to the information, j being the gradient of its log loss by the parameters over
the noise between runs. To first order the variance of anything computed from the law with gradient g is g' M⁻¹ g, and
with one run more it falls by (g' M⁻¹ j)² / (1 + j' M⁻¹ j) (Sherman and Morrison 1950): c-optimal design (Elfving 1952;
Pronzato and Pázman 2013, chapter 5).

Parameters are those of the solver: log E, log A, log B, alpha, beta, with A and B at a centre of log N and log D
(`plmscale.laws.solvers.chinchilla.ChinchillaProblem`). Another centre is another parametrisation of the same law and
changes no variance. An E of zero has no logarithm: there the parameter is E itself, in nats.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..laws.solvers.chinchilla import LOG_ZERO, ChinchillaProblem, predict

Array = NDArray[np.float64]
Quantity = Callable[[Array], Array]
"""Parameters of laws, shape (k, 5), to one number for each, shape (k,)."""

PRIOR_SD = np.array([1.0, 3.0, 3.0, 1.0, 1.0])
"""Standard deviations of log E (of E in nats, where it is zero), log A, log B, alpha and beta without any run: a weak
prior, so that grids can be compared that do not identify the law."""

STEP = 1e-5
"""Step of central differences, and of forward ones for an E of zero."""


def gradients(theta: Array, n_params: ArrayLike, n_tokens: ArrayLike, *, centre: Array) -> Array:
    """Gradient of the log loss of runs under laws.

    Parameters
    ----------
    theta : array, shape (k, 5)
        Laws.
    n_params, n_tokens : array_like, shape (m,)
        Runs.
    centre : array, shape (2,)
        Log N and log D at which A and B of the laws are meant.

    Returns
    -------
    array, shape (k, m, 5)
    """
    x, y = (np.log(np.asarray(v, dtype=float)) - c for v, c in zip((n_params, n_tokens), centre, strict=True))
    runs = ChinchillaProblem(x, y, np.zeros_like(x), centre, 1.0)
    residuals, jacobian = predict(runs, theta)
    bare = without_floor(theta)
    jacobian[bare, 0] = np.exp(residuals[bare])  # d log L / dE = 1 / L; at log loss 0 the residual is -log L
    return jacobian.swapaxes(-1, -2)


def without_floor(theta: Array) -> NDArray[np.bool_]:
    """Which of the laws, shape (k, 5), have an E of zero."""
    return theta[:, 0] <= LOG_ZERO + 1


def covariance(rows: Array) -> Array:
    """Covariance of the parameters, shape (..., 5, 5), from the prior and runs: `rows` (..., m, 5) are their gradients
    over their noise."""
    return inverse(rows.swapaxes(-1, -2) @ rows + np.diag(PRIOR_SD**-2.0))


def inverse(matrices: Array) -> Array:
    """Inverses of matrices, shape (..., p, p)."""
    return np.asarray(np.linalg.inv(matrices), dtype=np.float64)


def variances(covariances: Array, aims: Array) -> Array:
    """Variances, shape (..., q), of quantities with gradients `aims` (..., q, 5)."""
    return np.einsum("...qi,...ij,...qj->...q", aims, covariances, aims)


def variances_with(covariances: Array, rows: Array, aims: Array) -> Array:
    """Variances, shape (..., q, m), of `aims` (..., q, 5) with one more run, for each of `rows` (..., m, 5)."""
    return _changed(covariances, rows, aims, sign=1)


def variances_without(covariances: Array, rows: Array, aims: Array) -> Array:
    """The same with one run less, each of `rows` being among the runs behind the covariance."""
    return _changed(covariances, rows, aims, sign=-1)


def _changed(covariances: Array, rows: Array, aims: Array, *, sign: int) -> Array:
    spread = rows @ covariances
    own = np.maximum(1 + sign * np.einsum("...mi,...mi->...m", spread, rows), 1e-12)
    shared = aims @ spread.swapaxes(-1, -2)
    return variances(covariances, aims)[..., None] - sign * shared**2 / own[..., None, :]


def added(covariances: Array, row: Array) -> Array:
    """Covariances (..., 5, 5) after one more run, `row` (..., 5)."""
    spread = np.einsum("...ij,...j->...i", covariances, row)
    norm = 1 + np.sum(row * spread, axis=-1)
    return covariances - spread[..., :, None] * spread[..., None, :] / norm[..., None, None]


def slope(quantity: Quantity, theta: Array) -> Array:
    """Gradient of `quantity` by the parameters at each law, shape (k, 5), by central differences."""
    steps = STEP * np.eye(theta.shape[1])
    found = np.stack([(quantity(theta + one) - quantity(theta - one)) / (2 * STEP) for one in steps], axis=1)
    bare = without_floor(theta)
    if bare.any():
        raised = theta.copy()
        raised[:, 0] = np.log(STEP)
        found[bare, 0] = (quantity(raised) - quantity(theta))[bare] / STEP
    return found
