"""Profile likelihood of the optimal size at a budget by Chinchilla's law.

Where the floor may be zero, resamples pile up at that bound, and the percentiles of their optimal sizes held the truth
in 81 to 94 % of simulated studies (`benchmarks/size_coverage.py`); the profile has no such bound to stop at.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..budgets import TokenCost
from ..points import Points
from ..solvers.chinchilla import ChinchillaLaw, ChinchillaProblem, predict
from ..solvers.conditions import GAIN
from ..solvers.gauss_newton import Model, minimise
from .chinchilla_profiles import N_FREE
from .design_effects import design_effects
from .profiles import intervals
from .shared_noise import SharedNoise
from .uncertainty import drop_limit, likelihood_drop

Array = NDArray[np.float64]

# Natural logarithms about the optimum within which an end is searched, and the first step.
REACH, FIRST_STEP = float(np.log(1e4)), 0.05
# Half the step over which the slope of the FLOPs per token in size is taken: they are straight only between the sizes.
SLOPE_STEP, LEAST_SLOPE = 0.1, 1e-3


class Optima:
    """Optimal sizes at budgets, as conditions on the coordinates of a problem: arrays of shape (k,).

    At the optimal size a change of size brings as much as the tokens that it costs: with s the slope of log FLOPs per
    token in log size, alpha A / N^alpha = s beta B / D^beta. So log A follows from the other coordinates.
    """

    def __init__(self, problem: ChinchillaProblem, log_flops: Array, log_sizes: Array, *, cost: TokenCost) -> None:
        above, below = (np.log(cost(np.exp(log_sizes + step))) for step in (SLOPE_STEP, -SLOPE_STEP))
        # FLOPs that fall with size, as where one size is wrong by orders of magnitude, have no optimum.
        self.slope = np.maximum((above - below) / (2 * SLOPE_STEP), LEAST_SLOPE)
        self.x = log_sizes - problem.centre[0]
        self.y = log_flops - np.log(cost(np.exp(log_sizes))) - problem.centre[1]

    def held(self, problem: ChinchillaProblem) -> Model:
        """The law with log A as the condition says; the starts are those of all conditions, again and again."""

        def model(theta: Array, rows: NDArray[np.intp]) -> tuple[Array, Array]:
            one = rows % len(self.x)
            x, y, slope = self.x[one], self.y[one], self.slope[one]
            alpha, beta = theta[:, 3], theta[:, 4]
            full = theta.copy()
            full[:, 1] = np.log(slope * beta / alpha) + theta[:, 2] - beta * y + alpha * x
            residual, jacobian = predict(problem, full)
            by_size = jacobian[:, 1].copy()
            jacobian[:, 1] = 0.0
            jacobian[:, 2] += by_size
            jacobian[:, 3] += (x - 1 / alpha)[:, None] * by_size
            jacobian[:, 4] += (1 / beta - y)[:, None] * by_size
            return residual, jacobian

        return model

    def contrasts(self, law: ChinchillaLaw) -> Array:
        """Derivatives, shape (k, 5), of the logarithms of the optimal sizes by the coordinates."""
        ones = np.ones_like(self.x)
        by = np.stack([0 * ones, ones, -ones, 1 / law.alpha - self.x, self.y - 1 / law.beta], axis=1)
        return by / (law.alpha + self.slope * law.beta)[:, None]


def size_intervals(
    problem: ChinchillaProblem,
    points: Points,
    law: ChinchillaLaw,
    *,
    flops: Sequence[float],
    sizes: Sequence[float],
    cost: TokenCost,
    scale: float,
    shared: SharedNoise | None,
) -> Array:
    """95 % intervals, shape (k, 2), of the optimal `sizes` at the budgets `flops`; NaN for an end that is not found.

    `scale` and `shared` as in `plmscale.laws.confidence.chinchilla_profiles.profile_intervals`.
    """
    log_flops, centre, optimum = np.log(flops), np.log(sizes), problem.theta(law)
    effects = np.ones(len(centre))
    if shared is not None:
        rest, jacobian = predict(problem, optimum[None])
        by = Optima(problem, log_flops, centre, cost=cost).contrasts(law)
        effects = design_effects(shared, points, rest[0], jacobian[0], contrasts=by, delta=problem.delta)
    warm = np.repeat(optimum[None], 2 * len(centre), axis=0)

    def drop(which: NDArray[np.intp], values: Array) -> Array:
        rows, k = 2 * which + (values > centre[which]), len(which)
        starts = np.concatenate([warm[rows], np.tile(optimum, (k, 1))])
        model = Optima(problem, log_flops[which], values, cost=cost).held(problem)
        weights = np.ones((len(starts), problem.x.size))
        theta, reached = minimise(
            model, starts, weights=weights, delta=problem.delta, bounds=problem.bounds, smallest_gain=GAIN
        )
        first = reached[:k] <= reached[k:]
        warm[rows] = np.where(first[:, None], theta[:k], theta[k:])
        least = np.minimum(reached[:k], reached[k:])
        return np.array([likelihood_drop(one, law.objective, scale=scale) for one in least]) / effects[which]

    reach = centre[:, None] + np.array([-REACH, REACH])
    limit = drop_limit(1, n_left=points.n_runs - N_FREE)
    return np.exp(intervals(drop, centre, first=np.full(len(centre), FIRST_STEP), reach=reach, limit=limit))
