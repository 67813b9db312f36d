"""Damped Gauss-Newton with Huber weights, from many starts at once: the optimiser of the parametric laws.

Laws of four or five parameters are solved hundreds of times per fit (starts, resamples, profiles) on tens to hundreds
of points; batching the starts makes that one sequence of small array operations.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .laws import huber, huber_weights

Array = NDArray[np.float64]

# Parameters (k, p) -> residuals (k, n) and the Jacobian of the prediction (k, n, p).
Model = Callable[[Array], tuple[Array, Array]]

MAX_STEPS = 400
# Smaller gains than this share of the objective are rounding.
SMALLEST_GAIN = 1e-14
MAX_DAMPING = 1e6


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
        Lowest and highest values, imposed by clipping. Equal ones hold a parameter.
    smallest_gain : float
        A start is done when a step gains less than this share of its objective.

    Returns
    -------
    theta, objective : arrays of shape (k, p) and (k,)
    """
    theta = np.clip(theta, *bounds)
    damping = np.full(len(theta), 1e-3)
    residual, jacobian = model(theta)
    objective = _objective(residual, weights, delta)
    active = np.arange(len(theta))
    for _ in range(MAX_STEPS):
        pull = weights[active] * huber_weights(residual[active], delta=delta)
        trial = np.clip(theta[active] + _step(jacobian[active], residual[active], pull, damping[active]), *bounds)
        at_trial = model(trial)
        gain = objective[active] - _objective(at_trial[0], weights[active], delta)
        better = gain > 0
        moved = active[better]
        theta[moved], residual[moved], jacobian[moved] = trial[better], at_trial[0][better], at_trial[1][better]
        objective[moved] -= gain[better]
        damping[active] = np.where(better, np.maximum(damping[active] / 5, 1e-12), damping[active] * 4)
        active = active[np.where(better, gain > smallest_gain * objective[active], damping[active] <= MAX_DAMPING)]
        if active.size == 0:
            break
    return theta, _objective(residual, weights, delta)


def _objective(residual: Array, weights: Array, delta: float) -> Array:
    return np.sum(weights * huber(residual, delta=delta), axis=1)


def _step(jacobian: Array, residual: Array, weights: Array, damping: Array) -> Array:
    weighted = jacobian * weights[..., None]
    normal = np.einsum("kni,knj->kij", weighted, jacobian)
    gradient = np.einsum("kni,kn->ki", weighted, residual)
    diagonal = np.einsum("kii->ki", normal)
    ridge = damping[:, None] * diagonal + 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300
    step = np.linalg.solve(normal + np.eye(jacobian.shape[2]) * ridge[:, None, :], gradient[..., None])[..., 0]
    # Parameters are logarithms and exponents: beyond a change of 1 the linear model means little.
    return step / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1.0)
