"""Solver of the law of repeated data, on plain arrays.

Muennighoff et al. 2023 (arXiv 2305.16264, equations 5 and 6): L = E + A / N'^alpha + B / D'^beta. A token that is
repeated R times is worth 1 + r_d (1 - exp(-R / r_d)) tokens, so D' = U (1 + r_d (1 - exp(-R / r_d))) with R = D / U - 1
for U unique tokens. Parameters beyond the compute-optimal size of U tokens lose their value in the same way with r_n.

Their law falls with every repeat. `penalty` is our extension that lets it rise: an additive term P sqrt(R) N / U, more
for more parameters per unique token. That it is additive is the idea of Lovelace et al. 2026 (arXiv 2605.01640); the
exponents are of the runs of Muennighoff et al. (`benchmarks/repeated.py` compares others). It is zero unless asked for.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .chinchilla import BOUNDS as BASE_BOUNDS
from .chinchilla import LOG_HUGE, LOG_ZERO, ChinchillaLaw, ChinchillaProblem, chinchilla_law
from .gauss_newton import SMALLEST_GAIN, minimise, minimise_moved
from .repeated_loss import RepeatedDataLaw

Array = NDArray[np.float64]

KEYS = ("E", "A", "B", "alpha", "beta", "r_d", "r_n", "penalty")
R_D, R_N, PENALTY = 5, 6, 7
"""Columns of theta beyond the five of Chinchilla's law."""
N_FREE = 7
"""Without the penalty."""

# Repeats are worth nothing below, and as much as new tokens above: a factor of ten beyond any epochs ever trained.
R_RANGE = (1e-3, 1e6)
R_BOUNDS = (float(np.log(R_RANGE[0])), float(np.log(R_RANGE[1])))
START_R_D, START_R_N = (1.0, 5.0, 25.0, 250.0), (0.5, 5.0, 50.0)


class RepeatedLaw(NamedTuple):
    """Parameters and the Huber objective reached (a sum over points)."""

    base: ChinchillaLaw
    r_d: float
    r_n: float
    penalty: float
    objective: float

    def loss(self, n_params: ArrayLike, n_tokens: ArrayLike, unique_tokens: ArrayLike) -> Array:
        """Loss in nats after `n_tokens`, of which `unique_tokens` differ; broadcast shapes."""
        n, d, u = (np.asarray(values, dtype=float) for values in (n_params, n_tokens, unique_tokens))
        u = np.minimum(u, d)
        law = RepeatedDataLaw(self.base).loss(n, d, u, r_d=self.r_d, r_n=self.r_n)
        return law + self.penalty * overload(n, d, u)

    @property
    def values(self) -> dict[str, float]:
        """By the names of `KEYS`."""
        return dict(zip(KEYS, (*self.base[:5], self.r_d, self.r_n, self.penalty), strict=True))


class RepeatedProblem(NamedTuple):
    """Points in the solver's coordinates: those of `solvers.chinchilla.RepeatedProblem`, unique tokens and repeats.

    `u`, log unique tokens, is centred as log tokens are; `repeats` R = D / U - 1; `load`, sqrt(R) N / U over its mean
    `scale`.
    """

    base: ChinchillaProblem
    u: Array
    repeats: Array
    load: Array
    scale: float

    @classmethod
    def of(cls, points: tuple[Array, Array, Array, Array], *, delta: float) -> "RepeatedProblem":
        """From sizes, tokens, unique tokens (at most the tokens) and losses, each of shape (n,)."""
        n, d, unique, loss = points
        base = ChinchillaProblem.of(n, d, loss, delta=delta)
        u = np.minimum(unique, d)
        load = overload(n, d, u)
        scale = float(load.mean()) or 1.0
        return cls(base, np.log(u) - base.centre[1], d / u - 1, load / scale, scale)

    def law(self, theta: Array, objective: float) -> RepeatedLaw:
        """Parameters in the user's units."""
        penalty = float(np.exp(theta[PENALTY])) / self.scale if theta[PENALTY] > LOG_ZERO + 1 else 0.0
        base = self.base.law(theta[:5], objective)
        return RepeatedLaw(base, float(np.exp(theta[R_D])), float(np.exp(theta[R_N])), penalty, float(objective))

    def theta(self, law: RepeatedLaw) -> Array:
        """The inverse of `law`."""
        penalty = np.log(law.penalty * self.scale) if law.penalty > 0 else LOG_ZERO
        return np.array([*self.base.theta(law.base), np.log(law.r_d), np.log(law.r_n), max(penalty, LOG_ZERO)])


def overload(n_params: Array, n_tokens: Array, unique_tokens: Array) -> Array:
    """sqrt(R) N / U: what the penalty is proportional to."""
    return np.sqrt(n_tokens / unique_tokens - 1) * n_params / unique_tokens


def bounds(*, penalty: bool) -> tuple[Array, Array]:
    """Lowest and highest theta; without `penalty` that term is held at nothing."""
    low, high = (
        np.array([*ends, r, r, p])
        for ends, r, p in zip(BASE_BOUNDS, R_BOUNDS, (LOG_ZERO, -LOG_ZERO if penalty else LOG_ZERO), strict=True)
    )
    return low, high


def predict(problem: RepeatedProblem, theta: Array) -> tuple[Array, Array]:
    """Residuals (k, n) and the Jacobian of the predicted log loss (k, 8, n)."""
    e, a, b, alpha, beta, log_rd, log_rn, log_p = (column[:, None] for column in theta.T)
    x = problem.base.x
    # Size for which U tokens are the compute-optimal number: alpha A / N^alpha = beta B / U^beta.
    optimal = (np.log(alpha / beta) + a - b + beta * problem.u) / alpha
    over = x > optimal
    useful = np.where(over, optimal, x)
    excess = np.expm1(np.minimum(np.where(over, x - optimal, 0.0), LOG_HUGE))
    gain_n, slope_n, decay_n = _worth(excess, log_rn)
    gain_d, slope_d, _ = _worth(problem.repeats, log_rd)
    log_size, log_tokens = useful + np.log(gain_n), problem.u + np.log(gain_d)
    # By the optimal size, where it counts: as much as it adds, less what the smaller excess takes.
    by_useful = np.where(over, 1 - decay_n * (1 + excess) / gain_n, 0.0)
    terms = np.stack(
        [
            np.exp(np.minimum(np.broadcast_to(e, log_size.shape), LOG_HUGE)),
            np.exp(np.minimum(a - alpha * log_size, LOG_HUGE)),
            np.exp(np.minimum(b - beta * log_tokens, LOG_HUGE)),
            np.exp(np.minimum(log_p, LOG_HUGE)) * problem.load,
        ],
        axis=1,
    )
    total = terms.sum(axis=1)
    terms /= total[:, None]
    by_size, by_tokens = -alpha * terms[:, 1], -beta * terms[:, 2]
    by_optimal = by_size * by_useful
    jacobian = np.empty((len(theta), len(KEYS), x.size))
    jacobian[:, 0] = terms[:, 0]
    jacobian[:, 1] = terms[:, 1] + by_optimal / alpha
    jacobian[:, 2] = terms[:, 2] - by_optimal / alpha
    jacobian[:, 3] = -terms[:, 1] * log_size + by_optimal * (1 / alpha - optimal) / alpha
    jacobian[:, 4] = -terms[:, 2] * log_tokens + by_optimal * (problem.u - 1 / beta) / alpha
    jacobian[:, R_D] = by_tokens * slope_d / gain_d
    jacobian[:, R_N] = by_size * slope_n / gain_n
    jacobian[:, PENALTY] = terms[:, 3]
    return problem.base.log_loss - np.log(total), jacobian


def _worth(repeats: Array, log_r: Array) -> tuple[Array, Array, Array]:
    """1 + r (1 - exp(-R / r)), its derivative by log r, and exp(-R / r)."""
    r = np.exp(log_r)
    share = np.minimum(repeats / r, LOG_HUGE)
    used = -np.expm1(-share)
    return 1 + r * used, r * (used - share * np.exp(-share)), np.exp(-share)


def polish(
    problem: RepeatedProblem, theta: Array, weights: Array, *, penalty: bool, smallest_gain: float = SMALLEST_GAIN
) -> tuple[Array, Array]:
    """Local optima (k, 8) and objectives (k,) from starts (k, 8) with weights (k, n) of the points."""
    return minimise(
        lambda t, rows: predict(problem, t),
        theta,
        weights=weights,
        delta=problem.base.delta,
        bounds=bounds(penalty=penalty),
        smallest_gain=smallest_gain,
    )


def redrawn(problem: RepeatedProblem, theta: Array, shift: Array, *, smallest_gain: float) -> tuple[Array, Array]:
    """Optimum of each replicate: the losses of the law at theta, off by noise `shift` of shape (k, n)."""
    moved = shift - predict(problem, theta[None])[0]
    return minimise_moved(
        lambda at: predict(problem, at),
        theta,
        moved,
        delta=problem.base.delta,
        bounds=bounds(penalty=False),
        smallest_gain=smallest_gain,
    )


def repeated_law(
    points: tuple[Array, Array, Array, Array], *, delta: float = 1e-3, penalty: bool = False
) -> RepeatedLaw:
    """Lowest Huber objective of all parameters together, from starts over a range of r_d and r_n.

    Parameters
    ----------
    points : tuple of arrays, each of shape (n,)
        Sizes, tokens seen, unique tokens and losses in nats.
    delta : float
        Huber threshold on log loss.
    penalty : bool
        Whether the loss may rise with repeats.

    Returns
    -------
    RepeatedLaw
        `penalty` is 0 where it was not asked for.
    """
    problem = RepeatedProblem.of(points, delta=delta)
    n, d, u, loss = points
    starts = []
    for r_d in START_R_D:
        worth = np.minimum(u, d) * _worth(problem.repeats, np.log(r_d))[0]
        base = chinchilla_law(n, worth, loss, delta=delta)
        for r_n in START_R_N:
            theta = problem.theta(RepeatedLaw(base, r_d, r_n, 0.0, base.objective))
            starts.append(theta)
            if penalty:
                starts.append(np.array([*theta[:PENALTY], np.log(1e-2 * float(np.median(loss)))]))
    theta, objective = polish(problem, np.array(starts), np.ones((len(starts), n.size)), penalty=penalty)
    best = int(np.argmin(objective))
    return problem.law(theta[best], float(objective[best]))


def staged_law(points: tuple[Array, Array, Array, Array], base: ChinchillaLaw, *, delta: float = 1e-3) -> RepeatedLaw:
    """`r_d` and `r_n` alone, the law of single passes held: the procedure of Muennighoff et al."""
    problem = RepeatedProblem.of(points, delta=delta)
    starts = np.array([problem.theta(RepeatedLaw(base, r_d, r_n, 0.0, 0.0)) for r_d in START_R_D for r_n in START_R_N])
    theta, objective = minimise(
        lambda t, rows: predict(problem, t),
        starts,
        weights=np.ones((len(starts), len(points[0]))),
        delta=delta,
        bounds=base_held(starts[0]),
    )
    best = int(np.argmin(objective))
    return problem.law(theta[best], float(objective[best]))


def base_held(theta: Array) -> tuple[Array, Array]:
    """Bounds that leave r_d and r_n free."""
    low, high = theta.copy(), theta.copy()
    low[R_D : R_N + 1], high[R_D : R_N + 1] = R_BOUNDS
    return low, high
