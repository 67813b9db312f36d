"""Newton steps for sums of Huber losses, from many starts at once: the optimiser of the parametric laws.

Laws of four or five parameters are solved thousands of times per fit (starts, resamples, profiles) on tens to hundreds
of points; batching the starts makes that one sequence of small array operations.

With a threshold far below the noise the Huber loss is close to the absolute loss. Reweighted least squares then
creeps; the second derivative of the Huber loss itself, 1 within the threshold and 0 beyond, ends in a few steps but can
be singular far from the optimum. Each start goes from the one to the other as its steps succeed.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..power_law import huber, huber_weights

Array = NDArray[np.float64]

# Parameters (k, p) and the indices (k,) of the starts that they belong to -> residuals (k, n) and the Jacobian of the
# prediction (k, p, n).
Model = Callable[[Array, NDArray[np.intp]], tuple[Array, Array]]

MAX_STEPS = 200
# A start is done when its next step promises less than this share of its objective: below it is rounding.
SMALLEST_GAIN = 1e-13
MAX_DAMPING = 1e6
# Floats per block of starts: the arrays of a block stay in the second-level cache.
BLOCK = 60_000
# Growth and decay of the share of reweighted least squares in the curvature.
SHARE_UP, SHARE_DOWN = 8.0, 5.0


def minimise(
    model: Model,
    theta: Array,
    *,
    weights: Array,
    delta: float,
    bounds: tuple[Array, Array],
    smallest_gain: float = SMALLEST_GAIN,
) -> tuple[Array, Array]:
    """Local minima of the weighted sum of Huber losses of a `Model`.

    Parameters
    ----------
    theta, weights : arrays, shapes (k, p) and (k, n)
        Starts, and the weight of each point for each (multiplicities of a bootstrap).
    delta : float
        Huber threshold.
    bounds : pair of arrays, shape (p,)
        Lowest and highest values. Equal ones hold a parameter.
    smallest_gain : float
        A start is done when a step promises less than this share of its objective.

    Returns
    -------
    theta, objective : arrays of shape (k, p) and (k,)
    """
    size = max(1, BLOCK // max(theta.shape[1] * weights.shape[1], 1))
    rows = np.arange(len(theta))
    blocks = [rows[i : i + size] for i in range(0, len(theta), size)]
    solved = [
        _minimise_block(
            lambda t, index, one=one: model(t, one[index]),
            theta[one],
            weights[one],
            delta=delta,
            bounds=bounds,
            smallest_gain=smallest_gain,
        )
        for one in blocks
    ]
    return np.concatenate([one[0] for one in solved]), np.concatenate([one[1] for one in solved])


def minimise_moved(
    predict: Callable[[Array], tuple[Array, Array]],
    start: Array,
    moved: Array,
    *,
    delta: float,
    bounds: tuple[Array, Array],
    smallest_gain: float,
) -> tuple[Array, Array]:
    """Minima with the residuals of each replicate moved by a row of `moved`, all from one start.

    Parameters
    ----------
    predict : callable
        Parameters (k, p) -> residuals (k, n) and their derivatives.
    start, moved : arrays, shapes (p,) and (k, n)
    delta, bounds, smallest_gain
        As in `minimise`.

    Returns
    -------
    theta, objective : arrays of shape (k, p) and (k,)
    """

    def model(theta: Array, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        residual, jacobian = predict(theta)
        return residual + moved[rows], jacobian

    starts, weights = np.repeat(start[None], len(moved), axis=0), np.ones_like(moved)
    return minimise(model, starts, weights=weights, delta=delta, bounds=bounds, smallest_gain=smallest_gain)


def _minimise_block(
    model: Model, theta: Array, weights: Array, *, delta: float, bounds: tuple[Array, Array], smallest_gain: float
) -> tuple[Array, Array]:
    theta = np.clip(theta, *bounds)
    best, objective = theta.copy(), np.zeros(len(theta))
    index = np.arange(len(theta))
    residual, jacobian = model(theta, index)
    at = _objective(residual, weights, delta)
    share, damping = np.ones(len(theta)), np.full(len(theta), 1e-3)
    for _ in range(MAX_STEPS):
        step, promised = _step(theta, residual, jacobian, weights, (share, damping), delta=delta, bounds=bounds)
        trial = np.clip(theta + step, *bounds)
        new_residual, new_jacobian = model(trial, index)
        new = _objective(new_residual, weights, delta)
        better = new < at  # never where the trial is not a number
        done = (promised <= smallest_gain * at) | (~better & (damping > MAX_DAMPING))
        theta, residual = np.where(better[:, None], trial, theta), np.where(better[:, None], new_residual, residual)
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)
        at = np.where(better, new, at)
        damping = np.where(better, np.maximum(damping / 5, 1e-12), np.where(share >= 1, damping * 6, damping))
        share = np.where(better, share / SHARE_DOWN, np.minimum(share * SHARE_UP, 1.0))
        best[index], objective[index] = theta, at
        left = ~done
        if not left.any():
            break
        if not left.all():
            theta, residual, jacobian, weights = theta[left], residual[left], jacobian[left], weights[left]
            at, share, damping, index = at[left], share[left], damping[left], index[left]
    return best, objective


def _objective(residual: Array, weights: Array, delta: float) -> Array:
    """Infinite where it is no number: such a start is worse than every other."""
    found = np.einsum("kn,kn->k", weights, huber(residual, delta=delta))
    return np.where(np.isnan(found), np.inf, found)


def _step(
    theta: Array,
    residual: Array,
    jacobian: Array,
    weights: Array,
    control: tuple[Array, Array],
    *,
    delta: float,
    bounds: tuple[Array, Array],
) -> tuple[Array, Array]:
    """Step of each start, and the fall of the objective that its quadratic model promises."""
    share, damping = control
    pull = huber_weights(residual, delta=delta)
    gradient = np.matmul(jacobian, (weights * pull * residual)[..., None])[..., 0]
    # psi(r) / r is 1 exactly where |r| <= delta, which is where the second derivative is 1.
    curvature = weights * np.where(pull >= 1, 1.0, share[:, None] * pull)
    normal = np.matmul(jacobian * curvature[:, None, :], jacobian.transpose(0, 2, 1))
    stuck = ((theta <= bounds[0]) & (gradient <= 0)) | ((theta >= bounds[1]) & (gradient >= 0))
    free = ~stuck
    gradient = gradient * free
    normal = normal * (free[:, :, None] & free[:, None, :])
    diagonal = np.einsum("kii->ki", normal)
    ridge = damping[:, None] * diagonal + 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300 + stuck
    step = np.linalg.solve(normal + np.eye(theta.shape[1]) * ridge[:, None, :], gradient[..., None])[..., 0]
    promised = 0.5 * np.einsum("ki,ki->k", gradient, step)
    # Parameters are logarithms and exponents: beyond a change of 1 the quadratic model means little.
    return step / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1.0), promised
