"""Laws and estimators of published re-analyses, for reproducing their numbers.

They are not among the fits of this package, whose choices differ; each is written from its source's formula.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import norm

from ..laws.power_law import huber
from ..laws.solvers.chinchilla import ChinchillaLaw, ChinchillaProblem, chinchilla_law, polish, residuals
from ..laws.solvers.repeated_loss import RepeatedDataLaw

Array = NDArray[np.float64]


class ScaledHuberFit(NamedTuple):
    """A Chinchilla law fitted together with the scale of its residuals."""

    law: ChinchillaLaw
    log_sigma: float
    negative_log_likelihood: float


def scaled_huber_mle(
    n_params: ArrayLike, n_tokens: ArrayLike, loss: ArrayLike, *, delta: float = 1e-3
) -> ScaledHuberFit:
    """Maximum likelihood of a Chinchilla law whose log residuals, over a fitted scale, have the Huber density.

    Besiroglu et al. 2024: the density of x = residual / sigma is exp(-huber(x)) / (Z sigma), with Z its integral. At a
    given scale the law minimises the plain Huber objective with threshold delta * sigma, so both are found in turn.

    Parameters
    ----------
    n_params, n_tokens, loss : array_like, shape (n,)
    delta : float
        Threshold in units of the scale.

    Returns
    -------
    ScaledHuberFit
    """
    start = chinchilla_law(n_params, n_tokens, loss, delta=delta)
    theta = ChinchillaProblem.of(n_params, n_tokens, loss, delta=delta).theta(start)
    # In steps: the objective is all but a sum of absolute values in the end, with a valley for every point.
    for threshold in np.geomspace(delta, 1e-8, 16):
        theta = _polished(n_params, n_tokens, loss, theta, delta=float(threshold))
    log_sigma = 0.0
    for _ in range(100):
        problem = ChinchillaProblem.of(n_params, n_tokens, loss, delta=delta)
        residual, before = residuals(problem, theta), log_sigma
        log_sigma = _lowest(lambda s, r=residual: _negative_log_likelihood(r, s, delta), bounds=(-30.0, 0.0))
        theta = _polished(n_params, n_tokens, loss, theta, delta=delta * float(np.exp(log_sigma)))
        if abs(log_sigma - before) < 1e-9:
            break
    problem = ChinchillaProblem.of(n_params, n_tokens, loss, delta=delta)
    likelihood = _negative_log_likelihood(residuals(problem, theta), log_sigma, delta)
    return ScaledHuberFit(problem.law(theta, float("nan")), log_sigma, likelihood)


def _polished(n_params: ArrayLike, n_tokens: ArrayLike, loss: ArrayLike, theta: Array, *, delta: float) -> Array:
    problem = ChinchillaProblem.of(n_params, n_tokens, loss, delta=delta)
    return polish(problem, theta[None], np.ones((1, problem.x.size)))[0][0]


def _negative_log_likelihood(residual: Array, log_sigma: float, delta: float) -> float:
    integral = np.sqrt(2 * np.pi) * (1 - 2 * norm.sf(delta)) + 2 * np.exp(-0.5 * delta**2) / delta
    return float(np.sum(huber(residual / np.exp(log_sigma), delta=delta) + np.log(integral) + log_sigma))


def _lowest(function: Callable[[float], float], *, bounds: tuple[float, float]) -> float:
    found: Any = minimize_scalar(function, bounds=bounds, method="bounded", options={"xatol": 1e-12})
    return float(found.x)


class OvertrainingLaw(NamedTuple):
    """L = E + (size_term + token_term * 6^(eta/2) * M^eta) * N^eta with eta < 0 (Gadre et al. 2024, equation 4).

    M is tokens per parameter; `size_term` and `token_term` are alpha and beta of their code.
    """

    E: float
    size_term: float
    token_term: float
    eta: float

    def loss(self, n_params: ArrayLike, tokens_per_param: ArrayLike) -> Array:
        """Loss in nats."""
        n, m = np.asarray(n_params, dtype=float), np.asarray(tokens_per_param, dtype=float)
        return self.E + self.size_term * n**self.eta + self.token_term * 6 ** (self.eta / 2) * (m * n) ** self.eta


def overtraining_law(n_params: ArrayLike, tokens_per_param: ArrayLike, loss: ArrayLike) -> OvertrainingLaw:
    """Least squares of `OvertrainingLaw`: linear at a given eta, so eta alone is searched, on all of (-1, 0).

    Parameters
    ----------
    n_params, tokens_per_param, loss : array_like, shape (n,)
        n >= 4.
    """
    n, m, y = (np.asarray(values, dtype=float) for values in (n_params, tokens_per_param, loss))

    def solved(eta: float) -> tuple[Array, float]:
        columns = np.column_stack([np.ones_like(n), n**eta, 6 ** (eta / 2) * (m * n) ** eta])
        scale = np.linalg.norm(columns, axis=0)
        terms = np.linalg.lstsq(columns / scale, y, rcond=None)[0] / scale
        return terms, float(np.sum((y - columns @ terms) ** 2))

    grid = np.linspace(-0.99, -0.01, 99)
    best = grid[int(np.argmin([solved(eta)[1] for eta in grid]))]
    bounds = (max(best - 0.01, -0.999), min(best + 0.01, -0.001))
    eta = _lowest(lambda e: solved(e)[1], bounds=bounds)
    (floor, size, token), _ = solved(eta)
    return OvertrainingLaw(float(floor), float(size), float(token), eta)


Repeated = tuple[Array, Array, Array, Array]
"""Sizes, tokens, unique tokens and losses."""


def repeated_objective(law: RepeatedDataLaw, data: Repeated, *, r_d: float, r_n: float) -> float:
    """Sum of Huber losses (1e-3) of log loss."""
    n, d, u, loss = data
    return float(np.sum(huber(np.log(loss) - np.log(law.loss(n, d, u, r_d=r_d, r_n=r_n)), delta=1e-3)))


def fit_repeated(law: RepeatedDataLaw, data: Repeated, *, r_d: float, r_n: float) -> tuple[float, float, float]:
    """`r_d`, `r_n` and objective at the minimum that lies downhill of a start."""

    def objective(logs: Array) -> float:
        return 1e3 * repeated_objective(law, data, r_d=float(np.exp(logs[0])), r_n=float(np.exp(logs[1])))

    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000, "maxfev": 8000}
    found = minimize(objective, np.log([r_d, r_n]), method="Nelder-Mead", options=options)
    return float(np.exp(found.x[0])), float(np.exp(found.x[1])), float(found.fun) / 1e3
