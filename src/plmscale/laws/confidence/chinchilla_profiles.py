"""Profile likelihood of Chinchilla's law: its parameters and the exponent a = beta / (alpha + beta)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..solvers.chinchilla import (
    EXPONENT_RANGE,
    LOG_ZERO,
    ChinchillaLaw,
    ChinchillaProblem,
    predict,
)
from ..solvers.conditions import Conditions, constrained
from .profiles import intervals
from .uncertainty import drop_limit, likelihood_drop

Array = NDArray[np.float64]

PROFILED = ("E", "A", "B", "alpha", "beta", "a")
N_FREE = 5
# Exponents are searched to where the solver ends, the prefactors so many natural logarithms about the optimum.
LOG_REACH = 25.0
FIRST_STEP = 0.02


def contrasts(problem: ChinchillaProblem, law: ChinchillaLaw) -> Array:
    """Derivatives, shape (6, 5), of what is profiled by the coordinates of the problem: `PROFILED` in rows."""
    found = np.vstack([np.eye(N_FREE), np.zeros(N_FREE)])
    found[1, 3], found[2, 4] = problem.centre
    found[5, 3:] = -1 / law.alpha, 1 / law.beta
    return found


def profile_intervals(
    problem: ChinchillaProblem, law: ChinchillaLaw, *, scale: float, n_runs: int, effects: ArrayLike = 1.0
) -> dict[str, Array]:
    """95 % intervals, shape (2,), of E, A, B, alpha, beta, a and b.

    Parameters
    ----------
    law : ChinchillaLaw
        The optimum.
    scale : float
        `plmscale.laws.confidence.uncertainty.huber_scale` of its residuals.
    n_runs : int
        Independent observations behind the points.
    effects : array_like, shape (6,)
        Design effects of `contrasts`, by which the limits grow.

    Returns
    -------
    dict of str to array
        NaN for an end that the data do not give; zero for the lower end of a term that may vanish.
    """
    optimum = problem.theta(law)
    alpha, beta = optimum[3:]
    log_ratio = np.log(beta / alpha)
    centre = np.array(
        [optimum[0], optimum[1] + alpha * problem.centre[0], optimum[2] + beta * problem.centre[1], alpha, beta]
    )
    centre = np.append(centre, log_ratio)
    reach = centre[:, None] + np.array([-1.0, 1.0]) * LOG_REACH
    reach[0] = (LOG_ZERO, reach[0, 1]) if problem.unit is None else (0.0, 1.0)
    reach[3:5] = EXPONENT_RANGE
    # a from 0.001 to 0.999.
    reach[5] = np.minimum(-7.0, log_ratio), np.maximum(7.0, log_ratio)
    first = np.array([FIRST_STEP, 5 * FIRST_STEP, 5 * FIRST_STEP, FIRST_STEP * alpha, FIRST_STEP * beta, FIRST_STEP])
    warm = np.repeat(optimum[None], 2 * len(centre), axis=0)
    grown = np.broadcast_to(np.asarray(effects, dtype=float), len(centre))

    def drop(which: NDArray[np.intp], values: Array) -> Array:
        rows = 2 * which + (values > centre[which])
        objective, warm[rows] = _held(problem, which, values, np.stack([warm[rows], np.tile(optimum, (len(rows), 1))]))
        return np.array([likelihood_drop(one, law.objective, scale=scale) for one in objective]) / grown[which]

    ends = intervals(drop, centre, first=first, reach=reach, limit=drop_limit(1, n_left=n_runs - N_FREE))
    return _in_units(ends, unit=problem.unit)


def _held(problem: ChinchillaProblem, which: NDArray[np.intp], values: Array, starts: Array) -> tuple[Array, Array]:
    """Best objective (k,) and parameters (k, 5) with parameter `which[i]` held at `values[i]`; starts (s, k, 5).

    Each condition gives one coordinate as constant + factor * another: log A, for one, is the centred coordinate and
    alpha times the centre.
    """
    is_ratio = which == 5
    factor = np.array([0.0, -problem.centre[0], -problem.centre[1], 0.0, 0.0, 0.0])[which]
    conditions = Conditions(
        target=np.array([0, 1, 2, 3, 4, 4])[which],
        source=np.array([0, 3, 4, 3, 4, 3])[which],
        constant=np.where(is_ratio, 0.0, values),
        factor=np.where(is_ratio, np.exp(np.where(is_ratio, values, 0.0)), factor),
    )
    return constrained(
        lambda theta: predict(problem, theta),
        conditions,
        starts,
        n_points=problem.x.size,
        delta=problem.delta,
        bounds=problem.bounds,
    )


def _in_units(ends: Array, *, unit: float | None) -> dict[str, Array]:
    """Ends of the coordinates as ends of the parameters."""
    found = {key: np.exp(ends[i]) for i, key in enumerate(PROFILED[:3])}
    if unit is not None:
        found["E"] = ends[0] * unit
    if np.isnan(found["E"][0]):
        # The floor can be taken away altogether without the data objecting.
        found["E"][0] = 0.0
    found |= {"alpha": ends[3], "beta": ends[4], "a": 1 / (1 + np.exp(-ends[5]))}
    return found | {"b": 1 - found["a"][::-1]}
