"""What a fit to a grid is expected to give: intervals of a and of the optimal size at a target.

Fisher information of Chinchilla's law (`plmscale.plan.information`), corrected for what the fit does: its Huber loss
(`plmscale.laws.confidence.uncertainty.huber_moments`), and noise that branches of one trunk have in common, of which a
share is assumed (`plmscale.laws.confidence.design_effects`). Both intervals are symmetric where profiles of the fit
nearly are: the logit of a and the logarithm of the size.
"""

from dataclasses import dataclass
from functools import cache
from math import exp, inf, log

import numpy as np
from numpy.typing import NDArray

from ..estimates import Estimate
from ..laws.confidence.design_effects import psi_correlation
from ..laws.confidence.shared_noise import ASSUMED_SHARE
from ..laws.confidence.uncertainty import INTERVAL, huber_moments
from ..laws.confidence.verdicts import VOID_EXPONENT, WIDE_EXPONENT
from ..laws.fit import FitSettings
from ..laws.solvers.distributions import student_quantile
from ..plan.identifiability import SINGULAR
from ..plan.information import Quantity, gradients, slope
from .prior import Prior

Array = NDArray[np.float64]

N_FREE = 5
SIZE_FREE = 3
"""Of the five parameters, those of floor and size follow from differences between trunks."""

IDENTIFIED, WEAK, NOT = "identified", "weakly identified", "not identified"


@dataclass(frozen=True)
class Grid:
    """Runs of a design.

    Attributes
    ----------
    n_params, n_tokens : array, shape (m,)
    trunk : array of int, shape (m,)
        Runs with the same number share a trunk.
    """

    n_params: Array
    n_tokens: Array
    trunk: NDArray[np.intp]

    @classmethod
    def of(cls, sizes: Array, tokens: Array, *, seeds: int = 1, shared: bool = True) -> "Grid":
        """Every size at every number of tokens with every seed; `shared`: runs of a size and seed share a trunk."""
        n, d = (np.repeat(part.ravel(), seeds) for part in np.meshgrid(sizes, tokens, indexing="ij"))
        trunk = np.searchsorted(np.unique(sizes), n) * seeds + np.tile(np.arange(seeds), n.size // seeds)
        return cls(n, d, trunk.astype(np.intp) if shared else np.arange(n.size, dtype=np.intp))


@dataclass(frozen=True)
class Expected:
    """Expected results of the fit.

    Attributes
    ----------
    a : float
        Of the law that is expected to hold.
    log_size : float
        Log of its optimal size at the target.
    error_logit, error_size : float
        Standard errors of the logit of a and of log N_opt; infinite where the grid does not determine the law.
    quantile : float
        Of Student's t, half an interval in standard errors.
    """

    a: float
    log_size: float
    error_logit: float
    error_size: float
    quantile: float

    @property
    def interval(self) -> Estimate:
        """a with its expected 95 % interval."""
        reach = self.quantile * self.error_logit
        centre = log(self.a / (1 - self.a))
        low, high = (1 / (1 + exp(-max(min(centre + sign * reach, 700.0), -700.0))) for sign in (-1, 1))
        return Estimate(self.a, low, high)

    @property
    def size(self) -> Estimate:
        """N_opt with its expected 95 % interval; no ends where they are no numbers."""
        reach = self.quantile * self.error_size
        if not reach < 200:
            return Estimate(exp(self.log_size))
        return Estimate(*(exp(self.log_size + sign * reach) for sign in (0, -1, 1)))

    @property
    def status(self) -> str:
        """The verdict that an interval of this width gets (`plmscale.laws.confidence.verdicts.exponent_verdict`)."""
        width = (self.interval.high or 1.0) - (self.interval.low or 0.0)
        return NOT if width > VOID_EXPONENT else WEAK if width > WIDE_EXPONENT else IDENTIFIED


def expected(prior: Prior, grid: Grid, *, target_flops: float, share: float = ASSUMED_SHARE) -> Expected:
    """What a fit to the runs of a grid is expected to give.

    Parameters
    ----------
    prior : Prior
    grid : Grid
    target_flops : float
        FLOPs (6ND) at which the optimal size is asked.
    share : float
        Of the variance of a run's noise, what all runs of its trunk have in common.
    """
    theta = prior.theta[None]
    size = float(prior.log_optimum(theta, target_flops)[0])
    rows = gradients(theta, grid.n_params, grid.n_tokens, centre=prior.centre)[0]
    aims = np.array([[0, 0, 0, -1 / theta[0, 3], 1 / theta[0, 4]], slope(_size_at(prior, target_flops), theta)[0]])
    trunks = np.unique(grid.trunk, return_inverse=True)[1]
    n_trunks = int(trunks.max()) + 1
    free = grid.n_params.size - N_FREE if n_trunks == grid.n_params.size else n_trunks - SIZE_FREE
    quantile = _quantile(max(free, 1))
    errors = _errors(rows, aims, trunks, noise=prior.noise, share=share) if free > 0 else np.full(2, inf)
    return Expected(prior.a, size, float(errors[0]), float(errors[1]), quantile)


def _size_at(prior: Prior, flops: float) -> Quantity:
    return lambda theta: prior.log_optimum(theta, flops)


def _errors(rows: Array, aims: Array, trunks: NDArray[np.intp], *, noise: float, share: float) -> Array:
    """Standard errors of `aims` (q, 5) from gradients (m, 5): an M-estimate whose errors correlate within trunks."""
    information = rows.T @ rows
    scale = np.sqrt(np.diag(information))
    if not scale.all() or np.linalg.cond(information / np.outer(scale, scale)) > SINGULAR:
        return np.full(len(aims), inf)
    weights = aims @ np.linalg.solve(information, rows.T)
    spread, common = _huber(noise, share)
    together = np.array([np.bincount(trunks, weights=row) for row in weights])
    variance = (1 - common) * (weights**2).sum(axis=1) + common * (together**2).sum(axis=1)
    return np.sqrt(variance) * spread


@cache
def _huber(noise: float, share: float) -> tuple[float, float]:
    """Noise as the Huber fit has it, and the correlation of its scores at two runs of a trunk."""
    delta = FitSettings().huber_delta
    squares, within = huber_moments(noise, delta=delta)
    common = psi_correlation(np.array([share]), reach=np.array([delta / noise]))
    return float(np.sqrt(squares) / within), float(common[0])


@cache
def _quantile(free: int) -> float:
    return student_quantile((1 + INTERVAL) / 2, free)
