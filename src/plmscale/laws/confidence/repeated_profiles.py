"""Profile likelihood of the law of repeated data: r_d, r_n and the penalty."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..points import Points
from ..solvers.chinchilla import LOG_ZERO
from ..solvers.conditions import Conditions, constrained
from ..solvers.repeated import (
    PENALTY,
    R_BOUNDS,
    R_D,
    R_N,
    RepeatedLaw,
    RepeatedProblem,
    bounds,
    predict,
)
from .design_effects import design_effects
from .profiles import intervals
from .shared_noise import SharedNoise
from .uncertainty import likelihood_drop

Array = NDArray[np.float64]
Ends = tuple[float | None, float | None]

FIRST_STEP = 0.1


def profile_intervals(
    problem: RepeatedProblem,
    law: RepeatedLaw,
    *,
    scale: float,
    limit: float,
    which: Sequence[int] = (R_D, R_N),
    within: tuple[Array, Array] | None = None,
    effects: Array | None = None,
) -> dict[int, Ends]:
    """Ends of the 95 % intervals, by column of theta; None for an end that the data do not give.

    Parameters
    ----------
    law : RepeatedLaw
        The optimum.
    scale : float
        `plmscale.laws.confidence.uncertainty.huber_scale` of its residuals.
    limit : float
        Drop of the log likelihood (twice) at the ends.
    which : sequence of int
        `R_D`, `R_N`, `PENALTY`.
    within : pair of arrays, shape (8,), optional
        Lowest and highest theta; equal ones hold a parameter. By default all are free, the penalty where it is not 0.
    effects : array, shape (8,), optional
        Design effects of theta, by which the limits grow.
    """
    within = bounds(penalty=law.penalty > 0) if within is None else within
    optimum, columns = problem.theta(law), np.array(which)
    reach = np.array([(LOG_ZERO, -LOG_ZERO) if one == PENALTY else R_BOUNDS for one in which])
    warm = np.repeat(optimum[None], 2 * len(columns), axis=0)
    grown = np.ones(len(columns)) if effects is None else effects[columns]

    def drop(index: NDArray[np.intp], values: Array) -> Array:
        rows = 2 * index + (values > optimum[columns[index]])
        starts = np.stack([warm[rows], np.tile(optimum, (len(rows), 1))])
        objective, warm[rows] = held(problem, columns[index], values, starts, within=within)
        return np.array([likelihood_drop(one, law.objective, scale=scale) for one in objective]) / grown[index]

    first = np.full(len(columns), FIRST_STEP)
    found = np.exp(intervals(drop, optimum[columns], first=first, reach=reach, limit=limit))
    found[columns == PENALTY] /= problem.scale
    return {one: (_end(found[i, 0]), _end(found[i, 1])) for i, one in enumerate(which)}


def effects_of(
    shared: SharedNoise | None, points: Points, problem: RepeatedProblem, law: RepeatedLaw, *, free: Sequence[int]
) -> Array | None:
    """Design effects of theta, shape (8,), 1 where it is not among those that were `free`; None without trunks."""
    if shared is None:
        return None
    rest, jacobian = predict(problem, problem.theta(law)[None])
    columns, found = np.array(free), np.ones(jacobian.shape[1])
    found[columns] = design_effects(
        shared, points, rest[0], jacobian[0, columns], contrasts=np.eye(len(columns)), delta=problem.base.delta
    )
    return found


def _end(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def held(
    problem: RepeatedProblem, columns: NDArray[np.intp], values: Array, starts: Array, *, within: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Best objective (k,) and theta (k, 8) with theta[columns[i]] held at values[i]; starts (s, k, 8)."""
    return constrained(
        lambda theta: predict(problem, theta),
        Conditions.held(columns, values),
        starts,
        n_points=problem.u.size,
        delta=problem.base.delta,
        bounds=within,
    )
