"""Solver of Chinchilla's parametric law, L = E + A / N^alpha + B / D^beta, on plain arrays.

Objective of Hoffmann et al. 2022 (appendix D.3): the sum of Huber losses, delta 1e-3, of log L minus
LSE(log E, log A - alpha log N, log B - beta log D). It has local minima, so one start is not enough. At fixed
(alpha, beta) the law is linear in E, A, B: variable projection over a grid of exponents gives the basin, and damped
Gauss-Newton steps with Huber weights the optimum.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .gauss_newton import minimise
from .laws import huber, huber_weights

Array = NDArray[np.float64]

# Exponents beyond these do not occur in published laws (0.04 to 0.5 for language and proteins); a best fit at a bound
# is reported as such by the caller.
EXPONENT_RANGE = (1e-3, 3.0)
# A term whose logarithm is this far below the loss is zero.
LOG_ZERO = -30.0
GRID_SIZE = 41
N_STARTS = 8


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


class Problem(NamedTuple):
    """Points as centred logarithms: the solver's own coordinates, where the terms have the size of the loss."""

    x: Array
    y: Array
    log_loss: Array
    centre: Array
    delta: float

    @classmethod
    def of(cls, n_params: ArrayLike, n_tokens: ArrayLike, loss: ArrayLike, *, delta: float) -> "Problem":
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
    problem = Problem.of(n_params, n_tokens, loss, delta=delta)
    weights = np.ones((1, problem.x.size))
    starts = grid_starts(problem, weights[0], size=GRID_SIZE, n_starts=N_STARTS)
    theta, objective = polish(problem, starts, np.repeat(weights, len(starts), axis=0))
    best = int(np.argmin(objective))
    return problem.law(theta[best], objective[best])


def grid_starts(problem: Problem, weights: Array, *, size: int, n_starts: int) -> Array:
    """Best E, A, B >= 0 at each (alpha, beta) of a grid, the best `n_starts` of these local minima: shape (k, 5)."""
    axis = np.geomspace(0.01, 1.5, size)
    alpha, beta = (grid.ravel() for grid in np.meshgrid(axis, axis, indexing="ij"))
    columns = np.stack(
        [
            np.ones((alpha.size, problem.x.size)),
            *(np.exp(-exponent[:, None] * log) for exponent, log in ((alpha, problem.x), (beta, problem.y))),
        ]
    )
    loss = np.exp(problem.log_loss)
    columns = columns / loss
    robust = np.broadcast_to(weights, columns.shape[1:])
    terms = np.zeros((3, alpha.size))
    objective = np.full(alpha.size, np.inf)
    # Least squares first, then three rounds of Huber weights, so that outliers do not choose the basin.
    for _ in range(4):
        terms = _nonnegative(columns, robust)
        residual = -np.log(np.maximum(np.einsum("kgn,kg->gn", columns, terms), 1e-12))
        objective = huber(residual, delta=problem.delta) @ weights
        robust = weights * huber_weights(residual, delta=problem.delta)
    order = _local_minima(objective.reshape(size, size))[:n_starts]
    logs = np.log(np.maximum(terms[:, order], np.exp(LOG_ZERO / 3)))
    return np.column_stack([*logs, alpha[order], beta[order]])


def polish(problem: Problem, theta: Array, weights: Array) -> tuple[Array, Array]:
    """Local optima from many starts at once.

    Parameters
    ----------
    problem : Problem
        n points.
    theta : array, shape (k, 5)
        Starts: log E, log A, log B (centred), alpha, beta.
    weights : array, shape (k, n)
        Weight of each point for each start (multiplicities of a bootstrap).

    Returns
    -------
    theta, objective : arrays of shape (k, 5) and (k,)
    """
    low = np.array([LOG_ZERO] * 3 + [EXPONENT_RANGE[0]] * 2)
    high = np.array([np.inf] * 3 + [EXPONENT_RANGE[1]] * 2)
    return minimise(lambda t: _model(problem, t), theta, weights=weights, delta=problem.delta, bounds=(low, high))


def jacobian_condition(problem: Problem, theta: Array) -> float:
    """Condition number of the Jacobian of log loss with its columns scaled to unit length."""
    _, jacobian = _model(problem, theta[None])
    columns = jacobian[0]
    return float(np.linalg.cond(columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-300)))


def residuals(problem: Problem, theta: Array) -> Array:
    """Log loss observed minus log loss of the law, shape (n,)."""
    return _model(problem, theta[None])[0][0]


def _model(problem: Problem, theta: Array) -> tuple[Array, Array]:
    """Residuals (k, n) and the Jacobian of the predicted log loss (k, n, 5)."""
    e, a, b, alpha, beta = (column[:, None] for column in theta.T)
    terms = np.exp(np.stack([e + 0 * problem.x, a - alpha * problem.x, b - beta * problem.y]))
    total = terms.sum(axis=0)
    shares = terms / total
    jacobian = np.stack([*shares, -shares[1] * problem.x, -shares[2] * problem.y], axis=-1)
    return problem.log_loss - np.log(total), jacobian


def _nonnegative(columns: Array, weights: Array) -> Array:
    """Weighted least squares of 1 on three columns with coefficients >= 0, per grid cell: shape (3, cells).

    The optimum is the unconstrained one of some subset of the columns: the best feasible of all seven is it.
    """
    weighted = columns * weights
    normal = np.einsum("ign,jgn->gij", weighted, columns)
    target = weighted.sum(axis=2).T
    best, gain = np.zeros_like(target), np.zeros(len(target))
    for subset in (s for k in (1, 2, 3) for s in combinations(range(3), k)):
        block = normal[:, subset][:, :, subset]
        ridge = 1e-12 * np.trace(block, axis1=1, axis2=2)[:, None, None] * np.eye(len(subset))
        solution = np.linalg.solve(block + ridge, target[:, subset, None])[..., 0]
        explained = np.sum(solution * target[:, subset], axis=1)
        take = np.all(solution >= 0, axis=1) & (explained > gain)
        gain = np.where(take, explained, gain)
        full = np.zeros_like(target)
        full[:, subset] = solution
        best = np.where(take[:, None], full, best)
    return best.T


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
