"""The loss at any size and tokens by a parametric law, read off a fit's JSON: with its interval, and a range.

A fit keeps its points and its optimum, but not the laws of its resamples. These are solved again from the points, with
the generator that the fit drew from: with the fit's seed they are the same laws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..runs.curves import Curve
from ..runs.extent import EXTRAPOLATED, INSIDE, Extent
from .budgets import TokenCost
from .confidence.design_effects import law_noise
from .confidence.replicates import replicates
from .confidence.uncertainty import interval, normal_sd
from .fit import Fit, FitSettings, resampling
from .kaplan import replicates as kaplan_replicates
from .points import Points, points_of_rows
from .size_law import VERDICTS
from .solvers.chinchilla import LOG_ZERO, ChinchillaLaw, ChinchillaProblem, predict
from .solvers.kaplan import LN10, KaplanProblem

Array = NDArray[np.float64]
LossOf = Callable[[float, float], Array]

METHODS = {"chinchilla": 5, "kaplan": 4}
"""Fits that give a loss at every size and tokens, in the order in which equal verdicts are preferred, and the number of
their parameters."""


@dataclass(frozen=True)
class LossAt:
    """The loss by a law at one size and tokens.

    Attributes
    ----------
    position : str
        `plmscale.runs.extent.INSIDE` or `EXTRAPOLATED`.
    loss, low, high : float
        Nats per token, with the ends of the 95 % percentile interval over the resamples; None where too many fail.
    flops : float
        Training FLOPs of such a run, by the convention of the runs.
    beyond : float
        The largest factor by which size, tokens or FLOPs lie outside those of the runs; 1 inside.
    """

    position: str
    loss: float
    low: float | None
    high: float | None
    flops: float
    beyond: float


class LossLaw:
    """A fitted parametric law as a function from size and tokens to loss.

    Parameters
    ----------
    fit : Fit
        Of one of `METHODS`, with numbers.
    schedule : str
    curves : sequence of Curve
        The runs of the fit: the FLOPs of a token.
    seed : int
    settings : FitSettings
        `n_bootstrap` and `huber_delta` as in the fit; `extrapolation_factor`.

    Attributes
    ----------
    constants : array, shape (1 + n_bootstrap, p)
        The law, then those of its resamples. Chinchilla: log E, log A, log B, alpha, beta; a term that is zero has the
        logarithm -inf. Kaplan: the logarithms of alpha_N, alpha_D, N_c and D_c.
    seen : Extent
        What the points of the fit have of sizes, tokens and FLOPs.
    scatter : float
        Standard deviation of the log loss of a run about the law: noise between runs, and lack of fit.
    """

    def __init__(
        self, fit: Fit, schedule: str, *, curves: Sequence[Curve], seed: int = 0, settings: FitSettings
    ) -> None:
        self.fit, self.schedule, self.factor = fit, schedule, settings.extrapolation_factor
        self.points = points_of_rows(fit.points)
        rng = resampling(fit.name, schedule, seed=seed)
        solve = _chinchilla if fit.name == "chinchilla" else _kaplan
        self._law, self._draws, self.constants = solve(fit, self.points, rng=rng, settings=settings)
        fitted = [self._law(n, d)[0] for n, d in zip(self.points.n_params, self.points.n_tokens, strict=True)]
        residuals = np.log(self.points.loss) - np.log(fitted)
        self.scatter = normal_sd(residuals, n_runs=self.points.n_runs, n_free=METHODS[fit.name])
        self._cost = TokenCost(curves)
        self.seen = Extent.of_rows(self.points.rows)

    def at(self, n_params: float, n_tokens: float) -> LossAt:
        """The loss at one size and tokens; see `outside` for where that means something."""
        low, high = interval(self._draws(n_params, n_tokens))
        flops = float(self._cost(n_params)) * n_tokens
        beyond = self.seen.decades(n_params, n_tokens, flops).furthest
        position = INSIDE if beyond == 0 else EXTRAPOLATED
        return LossAt(position, float(self._law(n_params, n_tokens)[0]), low, high, flops, 10**beyond)

    def outside(self, n_params: float, n_tokens: float) -> str:
        """What lies outside the law's range (`Extent.outside`), in words that follow "at"; empty inside."""
        flops = float(self._cost(n_params)) * n_tokens
        return self.seen.outside(n_params, n_tokens, flops, factor=self.factor)


def has_loss(fit: Fit) -> bool:
    """Whether a fit gives a loss at every size and tokens."""
    return fit.name in METHODS and fit.status in VERDICTS


Solved = tuple[LossOf, LossOf, Array]
"""The law, its laws of the resamples, and the constants of all."""


def _chinchilla(fit: Fit, points: Points, *, rng: np.random.Generator, settings: FitSettings) -> Solved:
    problem = ChinchillaProblem.of(points.n_params, points.n_tokens, points.loss, delta=settings.huber_delta)
    law = chinchilla_of(fit, optimum=True)
    assert law is not None  # a fit with numbers has an optimum
    problem = problem.suited(law)
    theta = replicates(problem, points, law, n=settings.n_bootstrap, rng=rng)[0]

    def of(rows: Array) -> LossOf:
        # One point, whose residual is the log loss that was given less that of the law.
        def loss(n_params: float, n_tokens: float) -> Array:
            at = np.log([n_params, n_tokens]) - problem.centre
            one = problem._replace(x=at[:1], y=at[1:], log_loss=np.zeros(1))
            return np.exp(-predict(one, rows)[0][:, 0])

        return loss

    best = problem.theta(law)[None]
    constants = np.concatenate([best, theta])
    constants[:, :3] = np.where(constants[:, :3] > LOG_ZERO + 1, constants[:, :3], -np.inf)
    constants[:, 1:3] += constants[:, 3:] * problem.centre
    return of(best), of(theta), constants


def _kaplan(fit: Fit, points: Points, *, rng: np.random.Generator, settings: FitSettings) -> Solved:
    problem = KaplanProblem.of(points.n_params, points.n_tokens, points.loss, delta=settings.huber_delta)
    best = fit.details["optimum"]
    alphas = np.log([best["alpha_N"], best["alpha_D"]])
    constants = LN10 * np.array([best["log10_N_c"], best["log10_D_c"]])
    phi = np.concatenate([alphas, (constants - problem.centre[:2]) * np.exp(alphas)])
    shared = law_noise(points, *(values[0] for values in problem.model(phi[None])))
    draws = kaplan_replicates(problem, phi, points, shared, n=settings.n_bootstrap, rng=rng)

    def of(rows: Array) -> LossOf:
        return lambda n, d: np.array([float(problem.loss(one, [n], [d])[0]) for one in rows])

    constants = np.array([problem.constants(row) for row in (phi, *draws)])
    return of(phi[None]), of(draws), constants


def chinchilla_of(fit: Fit, *, optimum: bool = False) -> ChinchillaLaw | None:
    """The law that was fitted, or with `optimum` its best point though it is not identified; None without one."""
    values = _values(fit, ("E", "A", "B", "alpha", "beta"), optimum=optimum)
    return None if values is None else ChinchillaLaw(**values, objective=float("nan"))


def _values(fit: Fit, keys: Sequence[str], *, optimum: bool) -> dict[str, float] | None:
    if optimum:
        found = {key: fit.details.get("optimum", {}).get(key) for key in keys}
    else:
        found = {key: fit.estimates[key].value if key in fit.estimates else None for key in keys}
    values = {key: float(value) for key, value in found.items() if value is not None}
    return values if len(values) == len(keys) else None


def kaplan_loss(n_params: ArrayLike, n_tokens: ArrayLike, *, constants: dict[str, float]) -> Array:
    """Loss of Kaplan et al. 2020, equation 1.5: [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D.

    Parameters
    ----------
    n_params, n_tokens : array_like, shape (n,)
    constants : dict
        alpha_N, alpha_D, log10_N_c, log10_D_c. Logarithms, since the constants may exceed floats.

    Returns
    -------
    array, shape (n,)
        Nats per token.
    """
    ln10 = np.log(10.0)
    alpha_n, alpha_d = constants["alpha_N"], constants["alpha_D"]
    size = alpha_n / alpha_d * (constants["log10_N_c"] * ln10 - np.log(np.asarray(n_params, dtype=float)))
    tokens = constants["log10_D_c"] * ln10 - np.log(np.asarray(n_tokens, dtype=float))
    return np.exp(alpha_d * np.logaddexp(size, tokens))


def kaplan_of(fit: Fit, *, optimum: bool) -> dict[str, float] | None:
    """The constants of Kaplan's law for `kaplan_loss`, or with `optimum` those of its best point; None without one."""
    if optimum:
        return _values(fit, ("alpha_N", "alpha_D", "log10_N_c", "log10_D_c"), optimum=True)
    values = _values(fit, ("alpha_N", "alpha_D", "N_c", "D_c"), optimum=False)
    if values is None:
        return None
    return values | {f"log10_{key}": float(np.log10(values[key])) for key in ("N_c", "D_c")}
