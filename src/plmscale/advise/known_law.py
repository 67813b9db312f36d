"""How well runs determine a target of Chinchilla's law, and how much further more runs would narrow it.

The derivatives that say so depend on the law, which is itself uncertain: gains are averaged over the fitted law and its
bootstrap resamples (the "pseudo-Bayesian" design of Chaloner and Verdinelli 1995, section 4).
"""

import copy

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from ..laws.confidence.chinchilla_profiles import N_FREE
from ..laws.confidence.replicates import replicates
from ..laws.confidence.run_noise import RunNoise
from ..laws.confidence.uncertainty import INTERVAL, huber_sd
from ..laws.fit import FitSettings
from ..laws.points import Points
from ..laws.solvers.chinchilla import BOUNDS, ChinchillaProblem, chinchilla_law, predict
from ..plan import identifiability, information
from .targets import PowerCost, Target

Array = NDArray[np.float64]

N_LAWS = 50
"""Resampled laws that gains are averaged over, at most."""
AT_BOUND = 1e-2
"""Resamples within this share of the solver's range of its ends have no derivatives that mean anything."""


class KnownLaw:
    """What is known of a target from runs.

    Parameters
    ----------
    theta : array, shape (k, 5)
        Laws, the fitted one first (`plmscale.plan.information`).
    centre : array, shape (2,)
        Their log N and log D.
    target : Target
    cost : PowerCost
    sd : float
        Standard deviation of the log loss of a run about the law: noise and lack of fit.

    Attributes
    ----------
    n_runs : int
        Runs taken in.
    covariance : array, shape (k, 5, 5)
        Of the parameters, under each law.
    """

    def __init__(self, theta: Array, *, centre: Array, target: Target, cost: PowerCost, sd: float) -> None:
        quantity = target.quantity(centre=centre, cost=cost)
        with np.errstate(divide="ignore", invalid="ignore"):
            slopes = information.slope(quantity, theta)
        kept = np.append(True, np.isfinite(slopes[1:]).all(axis=1))
        self.theta, self.centre, self.sd, self.aims = theta[kept], centre, sd, slopes[kept, None]
        self.value = float(quantity(theta[:1])[0])
        self.n_runs = 0
        self.covariance = information.covariance(np.zeros((len(self.theta), 0, 5)))

    def take_in(self, n_params: ArrayLike, n_tokens: ArrayLike) -> None:
        """More runs, arrays of shape (m,)."""
        rows = self.rows(n_params, n_tokens)
        self.covariance = information.inverse(information.inverse(self.covariance) + rows.swapaxes(-1, -2) @ rows)
        self.n_runs += rows.shape[1]

    def add(self, row: Array) -> None:
        """One more run, a `rows`[:, i]."""
        self.covariance = information.added(self.covariance, row)
        self.n_runs += 1

    def copy(self) -> "KnownLaw":
        """The same knowledge, to be added to on its own."""
        return copy.copy(self)  # arrays are replaced, never written to

    def rows(self, n_params: ArrayLike, n_tokens: ArrayLike) -> Array:
        """Gradients of runs over their noise, shape (k, m, 5)."""
        return information.gradients(self.theta, n_params, n_tokens, centre=self.centre) / self.sd

    @property
    def half_width(self) -> float:
        """Half the 95 % interval of the target under the fitted law: Student's t and the delta method."""
        variance = information.variances(self.covariance[:1], self.aims[:1])[0, 0]
        return _quantile(self.n_runs) * float(np.sqrt(variance))

    def gains(self, rows: Array) -> Array:
        """Expected fall of the logarithm of the interval's width by each run alone, shape (m,); 0.1 is a tenth less.

        One more run is one more degree of freedom as well: with few runs even a repeat narrows every interval.
        """
        now = information.variances(self.covariance, self.aims)
        after = information.variances_with(self.covariance, rows, self.aims)[:, 0]
        narrower = -0.5 * np.log(np.maximum(after / now, 1e-12)).mean(axis=0)
        return narrower + np.log(_quantile(self.n_runs) / _quantile(self.n_runs + 1))

    def spreads(self, rows: Array) -> Array:
        """Expected gain of information on all five parameters by each run alone, in nats: D-optimal design.

        It asks for runs far apart in size and length, whatever the target.
        """
        own = np.einsum("kmi,kij,kmj->km", rows, self.covariance, rows)
        return 0.5 * np.log1p(own).mean(axis=0)


def of_runs(
    points: Points,
    target: Target,
    *,
    cost: PowerCost,
    noise: RunNoise,
    rng: np.random.Generator,
    settings: FitSettings,
) -> KnownLaw:
    """What is known of a target from runs, by the law that is fitted to them.

    Parameters
    ----------
    points : Points
    target : Target
    cost : PowerCost
    noise : RunNoise
        What a rerun changes, if seeds were repeated: the least that the scatter about the law can be.
    rng : numpy.random.Generator
        Draws the resamples.
    settings : FitSettings
    """
    delta = settings.huber_delta
    columns = points.n_params, points.n_tokens, points.loss
    problem, law = ChinchillaProblem.of(*columns, delta=delta), chinchilla_law(*columns, delta=delta)
    best = problem.theta(law)
    drawn = replicates(problem, points, law, n=min(N_LAWS, settings.n_bootstrap), rng=rng)[0]
    reach = BOUNDS[1] - BOUNDS[0]
    inside = ((drawn - BOUNDS[0] > AT_BOUND * reach) & (BOUNDS[1] - drawn > AT_BOUND * reach)).all(axis=1)
    residual = predict(problem, best[None])[0][0]
    sd = huber_sd(residual, delta=delta, n_runs=points.n_runs, n_free=N_FREE)
    if noise.source == "seeds":
        sd = max(sd, noise.sd)
    known = KnownLaw(
        np.concatenate([best[None], drawn[inside]]), centre=problem.centre, target=target, cost=cost, sd=sd
    )
    known.take_in(*_one_per_run(points))
    return known


def assumed(points: Points, target: Target, *, cost: PowerCost) -> KnownLaw:
    """The same by the law that plans assume (`plmscale.plan.identifiability`), for runs without one of their own."""
    known = KnownLaw(
        identifiability.THETA[None],
        centre=identifiability.CENTRE,
        target=target,
        cost=cost,
        sd=identifiability.NOISE,
    )
    known.take_in(*_one_per_run(points))
    return known


def _one_per_run(points: Points) -> tuple[Array, Array]:
    """Size and last number of tokens of each run: points of one run share its noise and are one observation."""
    ends = [np.flatnonzero(points.run == run)[-1] for run in np.unique(points.run)]
    return points.n_params[ends], points.n_tokens[ends]


def _quantile(n_runs: int) -> float:
    """Quantile of Student's t for runs that a law of five parameters is fitted to."""
    return float(student.ppf((1 + INTERVAL) / 2, max(n_runs - N_FREE, 1)))
