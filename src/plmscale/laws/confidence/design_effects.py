"""How much wider intervals of a law become because runs of one trunk share noise.

A law is fitted as if runs were independent; that leaves its values unbiased. The likelihood-ratio test of such a fit is
too strict or too lax by the design effect of the parameter, the ratio of its variances with and without what runs have
in common (Kent 1982, Biometrika 69:19; Rao and Scott 1984, Annals of Statistics 12:46): more than 1 for what only
trunks tell, such as the exponent of size, less than 1 for what their branches tell, such as that of tokens.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import root_scalar
from scipy.special import ndtr, stdtr

from ..points import Points
from ..solvers.distributions import student_quantile
from .misfit import per_run
from .shared_noise import SharedNoise, membership, shared_noise
from .uncertainty import INTERVAL, huber_moments, normal_sd

Array = NDArray[np.float64]

# Standard deviations over which, and in how many steps, the common part is integrated.
REACH, STEPS = 8.0, 401


def law_noise(points: Points, residual: Array, jacobian: Array) -> SharedNoise | None:
    """Shared noise about a fitted law; None where no two runs share a trunk.

    Parameters
    ----------
    points : Points
        n points.
    residual, jacobian : arrays, shapes (n,) and (p, n)
        Of log loss.
    """
    if points.trunks is None:
        return None
    runs = per_run(points, residual, jacobian)
    return shared_noise(runs.residual, runs.jacobian.T, trunks=points.trunks)


def design_effects(
    noise: SharedNoise, points: Points, residual: Array, jacobian: Array, *, contrasts: Array, delta: float
) -> Array:
    """Factors, shape (k,), by which the limits of `plmscale.laws.confidence.uncertainty.drop_limit` grow.

    Parameters
    ----------
    noise : SharedNoise
        `law_noise` of the same points.
    residual, jacobian : arrays, shapes (n,) and (p, n)
        Of log loss.
    contrasts : array, shape (k, p)
        Derivatives of what is estimated by the parameters of the Jacobian.
    delta : float
        Huber threshold.

    Notes
    -----
    With w = J (J'J)^-1 c, an estimate c'theta of M-regression has the variance (E[psi^2] / E[psi']^2) times
    |w|^2 (1 - r) + |Z'w|^2 r, where r is the correlation of psi at two runs of a trunk and Z tells their trunks. It is
    averaged over the posterior of the variances, Student's t at each; the factor is the square of the half-width that
    leaves 5 % outside, over that of independent runs.
    """
    runs = per_run(points, residual, jacobian)
    weights = contrasts @ np.linalg.pinv(runs.jacobian @ runs.jacobian.T) @ runs.jacobian
    alone, together = (np.sum(part**2, axis=1) for part in (weights, weights @ membership(noise.trunks)))
    # A parameter at its bound moves no loss: it is given the widest interval of the others.
    effect = together / np.where(alone > 0, alone, np.nan)
    effect = np.where(np.isfinite(effect), effect, np.nanmax(effect))
    n_runs, n_free = points.n_runs, len(jacobian)
    squares, within = huber_moments(normal_sd(residual, n_runs=n_runs, n_free=n_free), delta=delta)
    sd = np.sqrt(noise.own * (1 + noise.ratio))
    share = noise.ratio / (1 + noise.ratio)
    moments = np.array([huber_moments(float(one), delta=delta) for one in sd])
    common = psi_correlation(share, reach=delta / sd)
    factor = moments[:, 0] / moments[:, 1] ** 2 / (squares / within**2)
    spread = np.sqrt(factor * (1 - common + common * effect[:, None]))
    usual = student_quantile((1 + INTERVAL) / 2, max(n_runs - n_free, 1))
    return np.array([(_half_width(one, noise) / usual) ** 2 for one in spread])


def psi_correlation(correlation: Array, *, reach: Array) -> Array:
    """Correlation of psi, a residual cut off at `reach` standard deviations, at two runs whose residuals correlate.

    Given what is common both are independent: the variance of the conditional mean, by the trapezoid rule. It is the
    correlation itself for a wide reach, 2 / pi * arcsin(correlation) for a narrow one. All arrays of shape (m,).
    """
    common, reach = np.linspace(-REACH, REACH, STEPS), reach[:, None]
    shift, own = np.sqrt(correlation)[:, None] * common, np.sqrt(np.maximum(1 - correlation, 1e-18))[:, None]
    low, high = (-reach - shift) / own, (reach - shift) / own
    inside = shift * (ndtr(high) - ndtr(low)) + own * (_density(low) - _density(high))
    mean = inside + reach * (ndtr(-high) - ndtr(low))
    squares = np.array([huber_moments(1.0, delta=float(one))[0] for one in reach[:, 0]])
    return np.minimum(mean**2 @ _density(common) / float(np.sum(_density(common))) / squares, 1.0)


def _density(x: Array) -> Array:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def _half_width(spread: Array, noise: SharedNoise) -> float:
    """Half-width that a mixture of Student's t, of these standard deviations, exceeds in 5 %."""

    def outside(half: float) -> float:
        return float(np.sum(noise.weight * 2 * stdtr(noise.n_free, -half / spread))) - (1 - INTERVAL)

    most = float(spread.max()) * -student_quantile((1 - INTERVAL) / 4, noise.n_free)
    return float(root_scalar(outside, bracket=(0.0, most), xtol=1e-6 * most).root)
