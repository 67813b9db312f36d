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
from .exponent_grid import GRID_RANGE, LOG_ZERO, grid_starts
from .gauss_newton import SMALLEST_GAIN, minimise, minimise_moved

Array = NDArray[np.float64]

# Exponents beyond these do not occur in published laws (0.04 to 0.5 for language and proteins); a best fit at a bound
# is reported as such by the caller.
EXPONENT_RANGE = (1e-3, 3.0)
LOG_HUGE = 600.0
"""A term beyond this logarithm is as far from any loss as floats can tell; three of them have a finite sum."""
BOUNDS = (
    np.array([LOG_ZERO] * 3 + [EXPONENT_RANGE[0]] * 2),
    np.array([-LOG_ZERO] * 3 + [EXPONENT_RANGE[1]] * 2),
)
SMALL_FLOOR = 0.1
"""Share of the loss below which the floor itself is the coordinate, not its logarithm: steps towards a floor of zero
become ever smaller in the logarithm and stop before it."""
FLOOR_ZERO = 1e-9
"""Share of the loss up to which such a floor is none: rounding of the losses moves it by as much."""
GRID_SIZE = 41
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
    """Points as centred logarithms: the solver's own coordinates, where the terms have the size of the loss.

    The first coordinate is log E, or with a `unit` E in that unit, which may be zero.
    """

    x: Array
    y: Array
    log_loss: Array
    centre: Array
    delta: float
    unit: float | None = None

    @classmethod
    def of(cls, n_params: ArrayLike, n_tokens: ArrayLike, loss: ArrayLike, *, delta: float) -> "ChinchillaProblem":
        """From sizes, tokens and losses, each of shape (n,)."""
        x, y, z = (np.log(np.asarray(values, dtype=float)) for values in (n_params, n_tokens, loss))
        centre = np.array([x.mean(), y.mean()])
        return cls(x - centre[0], y - centre[1], z, centre, delta)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest theta."""
        if self.unit is None:
            return BOUNDS
        return np.array([0.0, *BOUNDS[0][1:]]), np.array([np.exp(-LOG_ZERO), *BOUNDS[1][1:]])

    def suited(self, law: ChinchillaLaw) -> "ChinchillaProblem":
        """The same points in the coordinates in which the neighbourhood of a law can be searched."""
        level = float(np.exp(self.log_loss.mean()))
        return self._replace(unit=level if SMALL_FLOOR * level > law.E else None)

    def law(self, theta: Array, objective: float) -> ChinchillaLaw:
        """Parameters in the user's units. Terms that vanished are exactly zero."""
        alpha, beta = float(theta[3]), float(theta[4])
        logs = theta[:3] + np.array([0.0, alpha, beta]) * np.array([0.0, *self.centre])
        e, a, b = (
            float(np.exp(log)) if term > LOG_ZERO + 1 else 0.0 for log, term in zip(logs, theta[:3], strict=True)
        )
        if self.unit is not None:
            e = float(theta[0]) * self.unit if theta[0] > FLOOR_ZERO else 0.0
        return ChinchillaLaw(e, a, b, alpha, beta, float(objective))

    def theta(self, law: ChinchillaLaw) -> Array:
        """The inverse of `law`."""
        terms = np.array([law.E, law.A, law.B])
        logs = np.log(np.maximum(terms, 1e-300)) - np.array([0.0, law.alpha, law.beta]) * np.array([0.0, *self.centre])
        first = max(logs[0], LOG_ZERO) if self.unit is None else law.E / self.unit
        return np.array([first, *np.maximum(logs[1:], LOG_ZERO), law.alpha, law.beta])


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
    law = problem.law(best, objective)
    found = with_small_floor(problem.suited(law), law)
    return found if found.objective < law.objective else law


def with_small_floor(problem: ChinchillaProblem, law: ChinchillaLaw) -> ChinchillaLaw:
    """Optimum from a law and from it without its floor, in coordinates with a unit; in others the law as it is."""
    if problem.unit is None:
        return law
    starts = np.array([problem.theta(one) for one in (law, law._replace(E=0.0))])
    theta, objective = polish(problem, starts, np.ones((len(starts), problem.x.size)))
    best = int(np.argmin(objective))
    return problem.law(theta[best], float(objective[best]))


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
    return _with_small_floors(problem, theta, objective, weights, smallest_gain=smallest_gain)


def _with_small_floors(
    problem: ChinchillaProblem, theta: Array, objective: Array, weights: Array, *, smallest_gain: float
) -> tuple[Array, Array]:
    """Resamples whose floor came to next to nothing in the logarithm, again in coordinates with a unit."""
    level = float(np.exp(problem.log_loss.mean()))
    small = np.flatnonzero(theta[:, 0] < np.log(SMALL_FLOOR * level))
    if problem.unit is not None or small.size == 0:
        return theta, objective
    start = theta[small]
    start[:, 0] = np.exp(start[:, 0]) / level
    again, reached = polish(problem._replace(unit=level), start, weights[small], smallest_gain=smallest_gain)
    again[:, 0] = np.log(np.maximum(again[:, 0] * level, np.exp(LOG_ZERO)))
    better = reached < objective[small]
    theta[small[better]], objective[small[better]] = again[better], reached[better]
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
        bounds=problem.bounds,
        smallest_gain=RESAMPLE_GAIN,
    )


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
        bounds=problem.bounds,
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
    floor = np.exp(np.minimum(e, LOG_HUGE)) if problem.unit is None else e * problem.unit
    total = size + tokens + floor
    jacobian[:, 0] = (floor if problem.unit is None else problem.unit) / total
    jacobian[:, 1:3] /= total[:, None]
    jacobian[:, 3] = -size * problem.x
    jacobian[:, 4] = -tokens * problem.y
    return problem.log_loss - np.log(total), jacobian
