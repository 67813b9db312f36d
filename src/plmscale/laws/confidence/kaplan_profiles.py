"""Profile likelihood of Kaplan's combined law, and what it loses without one of its terms."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..solvers.gauss_newton import Model
from ..solvers.kaplan import LEVEL_RANGE, LN10, N_FREE, PROFILE_GAIN, START_EXPONENTS, KaplanProblem, solve
from .profiles import intervals
from .uncertainty import drop_limit, likelihood_drop

Array = NDArray[np.float64]

# Beyond this an interval of N_c or D_c says nothing about the constant.
MAX_DECADES = 10.0
# First step of a profile, in natural logarithms.
FIRST_STEP = 0.02


def profile_intervals(
    problem: KaplanProblem, phi: Array, best: float, *, scale: float, n_runs: int, effects: ArrayLike = 1.0
) -> Array:
    """95 % intervals of ln alpha_N, ln alpha_D, ln N_c, ln D_c, shape (4, 2); NaN for an end beyond MAX_DECADES.

    `effects`, of shape (4,), are the design effects of `contrasts`, by which the limits grow.
    """
    centre, grown = problem.constants(phi), np.broadcast_to(np.asarray(effects, dtype=float), 4)
    reach = centre[:, None] + np.array([-1.0, 1.0]) * MAX_DECADES * LN10
    warm = np.repeat(phi[None], 8, axis=0)

    def drop(which: NDArray[np.intp], values: Array) -> Array:
        rows = 2 * which + (values > centre[which])
        starts = np.concatenate([warm[rows], np.tile(phi, (len(rows), 1))])
        theta, objective = solve(problem, _held(problem, which, values), starts, smallest_gain=PROFILE_GAIN)
        k = len(which)
        first = objective[:k] <= objective[k:]
        warm[rows] = np.where(first[:, None], theta[:k], theta[k:])
        least = np.minimum(objective[:k], objective[k:])
        return np.array([likelihood_drop(one, best, scale=scale) for one in least]) / grown[which]

    limit = drop_limit(1, n_left=n_runs - N_FREE)
    return intervals(drop, centre, first=np.full(4, FIRST_STEP), reach=reach, limit=limit)


def _held(problem: KaplanProblem, which: NDArray[np.intp], values: Array) -> Model:
    """`KaplanProblem.model` with an exponent (index 0, 1) or a constant (2, 3) held; its level follows its exponent."""
    constant = which >= 2
    source = np.where(constant, which - 2, which)
    lever = values - problem.centre[source]

    def model(phi: Array, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        one, i = rows % len(which), np.arange(len(phi))
        phi = phi.copy()
        level = np.exp(phi[i, source[one]]) * lever[one]
        phi[i, which[one]] = np.where(constant[one], level, values[one])
        residual, jacobian = problem.model(phi)
        slope = jacobian[i, which[one]].copy()
        jacobian[i, which[one]] = 0.0
        jacobian[i, source[one]] += np.where(constant[one], level, 0.0)[:, None] * slope
        return residual, jacobian

    return model


def term_tests(
    problem: KaplanProblem, phi: Array, best: float, *, scale: float, n_runs: int, effects: ArrayLike = 1.0
) -> dict[str, float]:
    """What the law loses, in units of chi-square, without its size term and without its token term.

    The larger design effect of a term's two parameters is taken for the term.
    """
    grown = np.broadcast_to(np.asarray(effects, dtype=float), 4)
    drops = {"limit": drop_limit(2, n_left=n_runs - N_FREE)}
    for index, name in ((2, "without_size_term"), (3, "without_token_term")):
        starts = np.repeat(phi[None], len(START_EXPONENTS), axis=0)
        starts[:, 3 - index] = np.log(START_EXPONENTS)
        starts[:, 5 - index] = problem.centre[2]
        _, objective = solve(problem, problem.model, starts, hold=(index, LEVEL_RANGE[0]))
        drops[name] = likelihood_drop(float(objective.min()), best, scale=scale * max(grown[[index - 2, index]]))
    return drops
