"""Solver of Chinchilla's parametric law, L = E + A / N^alpha + B / D^beta, on plain arrays.

Objective of Hoffmann et al. 2022 (appendix D.3): the sum of Huber losses, delta 1e-3, of log L minus
LSE(log E, log A - alpha log N, log B - beta log D). It has local minima, so one start is not enough. At fixed
(alpha, beta) the law is linear in E, A, B: variable projection over a grid of exponents gives the basin, and damped
Gauss-Newton steps with Huber weights the optimum.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..power_law import huber_weights
from .gauss_newton import SMALLEST_GAIN, minimise, minimise_moved
from .nonnegative import nonnegative

Array = NDArray[np.float64]

# Exponents beyond these do not occur in published laws (0.04 to 0.5 for language and proteins); a best fit at a bound
# is reported as such by the caller.
EXPONENT_RANGE = (1e-3, 3.0)
# A term whose logarithm is this far below the loss is zero.
LOG_ZERO = -30.0
LOG_HUGE = 600.0
"""A term beyond this logarithm is as far from any loss as floats can tell; three of them have a finite sum."""
BOUNDS = (
    np.array([LOG_ZERO] * 3 + [EXPONENT_RANGE[0]] * 2),
    np.array([-LOG_ZERO] * 3 + [EXPONENT_RANGE[1]] * 2),
)
GRID_SIZE = 41
GRID_RANGE = (0.01, 1.5)
N_STARTS = 8
# Resamples: a coarser grid, and steps that end where the promised gain is far below what a resample can matter.
RESAMPLE_GRID = 21
RESAMPLE_GAIN = 1e-9
RESAMPLE_BLOCK = 50


class ChinchillaLaw(NamedTuple):
    """Parameters and the Huber objective reached (a sum over points, not a mean)."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    objective: float

    def loss(self, n_params: ArrayLike, n_tokens: ArrayLike) -> Array:
        """Loss in nats."""
        n, d = np.asarray(n_params, dtype=float), np.asarray(n_tokens, dtype=float)
        return self.E + self.A * n**-self.alpha + self.B * d**-self.beta

    @property
    def size_exponent(self) -> float:
        """Exponent a of N_opt in C, beta / (alpha + beta)."""
        return self.beta / (self.alpha + self.beta)


class ChinchillaProblem(NamedTuple):
    """Points as centred logarithms: the solver's own coordinates, where the terms have the size of the loss."""

    x: Array
    y: Array
    log_loss: Array
    centre: Array
    delta: float

    @classmethod
    def of(cls, n_params: ArrayLike, n_tokens: ArrayLike, loss: ArrayLike, *, delta: float) -> "ChinchillaProblem":
        """From sizes, tokens and losses, each of shape (n,)."""
        x, y, z = (np.log(np.asarray(values, dtype=float)) for values in (n_params, n_tokens, loss))
        centre = np.array([x.mean(), y.mean()])
        return cls(x - centre[0], y - centre[1], z, centre, delta)

    def law(self, theta: Array, objective: float) -> ChinchillaLaw:
        """Parameters in the user's units. Terms that vanished are exactly zero."""
        alpha, beta = float(theta[3]), float(theta[4])
        logs = theta[:3] + np.array([0.0, alpha, beta]) * np.array([0.0, *self.centre])
        e, a, b = (
            float(np.exp(log)) if term > LOG_ZERO + 1 else 0.0 for log, term in zip(logs, theta[:3], strict=True)
        )
        return ChinchillaLaw(e, a, b, alpha, beta, float(objective))

    def theta(self, law: ChinchillaLaw) -> Array:
        """The inverse of `law`."""
        terms = np.array([law.E, law.A, law.B])
        logs = np.log(np.maximum(terms, 1e-300)) - np.array([0.0, law.alpha, law.beta]) * np.array([0.0, *self.centre])
        return np.array([*np.maximum(logs, LOG_ZERO), law.alpha, law.beta])


def chinchilla_law(n_params: ArrayLike, n_tokens: ArrayLike, loss: ArrayLike, *, delta: float = 1e-3) -> ChinchillaLaw:
    """Global optimum of the Huber objective.

    Parameters
    ----------
    n_params, n_tokens, loss : array_like, shape (n,)
        Sizes, tokens seen, and losses in nats; n >= 5.
    delta : float
        Huber threshold on log loss.

    Returns
    -------
    ChinchillaLaw
    """
    problem = ChinchillaProblem.of(n_params, n_tokens, loss, delta=delta)
    ones = np.ones((1, problem.x.size))
    best, objective = np.zeros(5), np.inf
    robust = ones
    # Least squares first, then with the Huber weights of its optimum, so that outliers do not choose the basin.
    for _ in range(2):
        starts = grid_starts(problem, robust, size=GRID_SIZE, n_starts=N_STARTS)[0]
        theta, reached = polish(problem, starts, np.repeat(ones, len(starts), axis=0))
        if reached.min() < objective:
            best, objective = theta[np.argmin(reached)], float(reached.min())
        robust = huber_weights(residuals(problem, best), delta=delta)[None]
    return problem.law(best, objective)


def resampled_laws(
    problem: ChinchillaProblem, law: ChinchillaLaw, weights: Array, *, smallest_gain: float = RESAMPLE_GAIN
) -> tuple[Array, Array]:
    """Global optimum of each resample: the basin is searched again, not only followed from the optimum of all points.

    Parameters
    ----------
    law : ChinchillaLaw
        Optimum of the points with equal weights.
    weights : array, shape (k, n)
        How often each point occurs in each resample.
    smallest_gain : float
        As in `plmscale.laws.solvers.gauss_newton.minimise`.

    Returns
    -------
    theta, objective : arrays of shape (k, 5) and (k,)
        In the coordinates of `ChinchillaProblem`.
    """
    warm = problem.theta(law)
    robust = weights * huber_weights(residuals(problem, warm), delta=problem.delta)
    blocks = [robust[i : i + RESAMPLE_BLOCK] for i in range(0, len(robust), RESAMPLE_BLOCK)]
    other = np.concatenate([grid_starts(problem, one, size=RESAMPLE_GRID, n_starts=1)[:, 0] for one in blocks])
    theta, objective = polish(
        problem, np.repeat(warm[None], len(weights), axis=0), weights, smallest_gain=smallest_gain
    )
    # The grid's best cell is a start of its own where it is not a neighbour of the cell that the warm start leads to.
    spacing = np.log(GRID_RANGE[1] / GRID_RANGE[0]) / (RESAMPLE_GRID - 1)
    away = np.abs(np.log(np.maximum(other[:, 3:], 1e-9) / np.maximum(theta[:, 3:], 1e-9))).max(axis=1) > 2 * spacing
    if away.any():
        again, reached = polish(problem, other[away], weights[away], smallest_gain=smallest_gain)
        better = reached < objective[away]
        rows = np.flatnonzero(away)[better]
        theta[rows], objective[rows] = again[better], reached[better]
    return theta, objective


def redrawn_laws(problem: ChinchillaProblem, law: ChinchillaLaw, shift: Array) -> tuple[Array, Array]:
    """Optimum of each replicate: the losses of the law itself, off by drawn noise.

    Parameters
    ----------
    law : ChinchillaLaw
        Its parameters are the truth of the replicates, and where they are started.
    shift : array, shape (k, n)
        Noise of log loss.

    Returns
    -------
    theta, objective : arrays of shape (k, 5) and (k,)
        In the coordinates of `ChinchillaProblem`.
    """
    truth = problem.theta(law)
    moved = shift - residuals(problem, truth)
    return minimise_moved(
        lambda theta: predict(problem, theta),
        truth,
        moved,
        delta=problem.delta,
        bounds=BOUNDS,
        smallest_gain=RESAMPLE_GAIN,
    )


def grid_starts(problem: ChinchillaProblem, weights: Array, *, size: int, n_starts: int) -> Array:
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
    return starts


def polish(
    problem: ChinchillaProblem, theta: Array, weights: Array, *, smallest_gain: float = SMALLEST_GAIN
) -> tuple[Array, Array]:
    """Local optima from many starts at once.

    Parameters
    ----------
    problem : ChinchillaProblem
        n points.
    theta : array, shape (k, 5)
        Starts: log E, log A, log B (centred), alpha, beta.
    weights : array, shape (k, n)
        Weight of each point for each start (multiplicities of a bootstrap).
    smallest_gain : float
        As in `plmscale.laws.solvers.gauss_newton.minimise`.

    Returns
    -------
    theta, objective : arrays of shape (k, 5) and (k,)
    """
    return minimise(
        lambda t, rows: predict(problem, t),
        theta,
        weights=weights,
        delta=problem.delta,
        bounds=BOUNDS,
        smallest_gain=smallest_gain,
    )


def residuals(problem: ChinchillaProblem, theta: Array) -> Array:
    """Log loss observed minus log loss of the law, shape (n,)."""
    return predict(problem, theta[None])[0][0]


def predict(problem: ChinchillaProblem, theta: Array) -> tuple[Array, Array]:
    """Residuals (k, n) and the Jacobian of the predicted log loss (k, 5, n)."""
    e, a, b, alpha, beta = (column[:, None] for column in theta.T)
    jacobian = np.empty((len(theta), 5, problem.x.size))
    size, tokens = jacobian[:, 1], jacobian[:, 2]
    # Steps of the optimiser may leave the range of floats: they end at a loss from which it turns back.
    np.exp(np.minimum(a - alpha * problem.x, LOG_HUGE), out=size)
    np.exp(np.minimum(b - beta * problem.y, LOG_HUGE), out=tokens)
    floor = np.exp(np.minimum(e, LOG_HUGE))
    total = size + tokens + floor
    jacobian[:, 0] = floor / total
    jacobian[:, 1:3] /= total[:, None]
    jacobian[:, 3] = -size * problem.x
    jacobian[:, 4] = -tokens * problem.y
    return problem.log_loss - np.log(total), jacobian


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
