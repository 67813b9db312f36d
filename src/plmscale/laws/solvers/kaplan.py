"""Solver of Kaplan et al. 2020's combined law, L = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D, on plain arrays.

Many starts, positive constants, Huber loss in logs; resamples, and the fit without signs.
"""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares, nnls

from .gauss_newton import SMALLEST_GAIN, Model, minimise

Array = NDArray[np.float64]

N_FREE = 4
# Published exponents lie between 0.006 and 0.1 (Kaplan et al. 2020: 0.076 and 0.095); the ends are far outside.
EXPONENT_RANGE = (1e-3, 3.0)
START_EXPONENTS = (0.005, 0.02, 0.08, 0.3, 1.0)
# Pairs of exponents that each resample starts from, beside the optimum of all points.
RESAMPLE_EXPONENTS = ((0.02, 0.3), (0.3, 0.02))
# Log loss of one term alone, in nats: below the first the term has vanished.
LEVEL_RANGE = (-50.0, 50.0)
# Starts of the unbounded fit that are solved, of those tried.
N_UNBOUNDED = 5
# Tolerance of least squares that come as close as floats do.
EXACTLY = 4 * np.finfo(float).eps
# A profile is compared with a drop of 3.84: changes of the objective by this share are far below it.
PROFILE_GAIN = 1e-8
LN10 = float(np.log(10.0))


class KaplanProblem(NamedTuple):
    """Points as centred logarithms, and the Huber threshold."""

    x: Array
    y: Array
    z: Array
    centre: Array
    delta: float

    @classmethod
    def of(cls, n_params: ArrayLike, n_tokens: ArrayLike, loss: ArrayLike, *, delta: float) -> "KaplanProblem":
        """From points, shape (n,) each."""
        logs = np.log(np.array([n_params, n_tokens, loss], dtype=float))
        centre = logs.mean(axis=1)
        x, y, z = logs - centre[:, None]
        return cls(x, y, z, centre, delta)

    def model(self, phi: Array, rows: NDArray[np.intp] | None = None) -> tuple[Array, Array]:
        """Residuals (k, n) and Jacobian (k, 4, n) at phi = (ln alpha_N, ln alpha_D, l_N, l_D), shape (k, 4).

        l_N = alpha_N ln(N_c / N) is the log loss of the size term alone at the mean size, l_D that of the token term:
        both are of the order of the log loss, where N_c and D_c are dozens of decades away and move with the exponents.
        """
        del rows  # every start has the same points
        alpha_n, alpha_d, level_n, level_d = (
            column[:, None] for column in (np.exp(phi[:, 0]), np.exp(phi[:, 1]), phi[:, 2], phi[:, 3])
        )
        size = (level_n - alpha_n * self.x) / alpha_d
        tokens = level_d / alpha_d - self.y
        total = np.logaddexp(size, tokens)
        share = np.exp(size - total)
        by_alpha_d = alpha_d * (total - share * size) - (1 - share) * level_d
        jacobian = np.stack([-alpha_n * self.x * share, by_alpha_d, share, 1 - share], axis=1)
        return self.z + self.centre[2] - alpha_d * total, jacobian

    def constants(self, phi: Array) -> Array:
        """phi of shape (4,) as (ln alpha_N, ln alpha_D, ln N_c, ln D_c)."""
        return np.concatenate([phi[:2], self.centre[:2] + phi[2:] / np.exp(phi[:2])])

    def loss(self, phi: Array, n_params: ArrayLike, n_tokens: ArrayLike) -> Array:
        """Loss in nats by the law at phi, shape (4,)."""
        x, y = (np.log(np.asarray(v, dtype=float)) for v in (n_params, n_tokens))
        at = self._replace(x=x - self.centre[0], y=y - self.centre[1], z=np.zeros(x.shape))
        return np.exp(self.centre[2] - at.model(phi[None])[0][0])


def best_fit(problem: KaplanProblem) -> tuple[Array, float]:
    """Best of many starts, and its objective: exponents on a grid, the constants linear given these."""
    theta, objective = solve(problem, problem.model, _starts(problem, tuple(product(START_EXPONENTS, START_EXPONENTS))))
    best = int(np.argmin(objective))
    return theta[best], float(objective[best])


def resampled(problem: KaplanProblem, phi: Array, weights: Array) -> Array:
    """Best of several starts for each resample, shape (k, 4); weights (k, n): how often each point occurs."""
    starts = np.concatenate([phi[None], _starts(problem, RESAMPLE_EXPONENTS)])
    k = len(weights)
    theta, objective = solve(
        problem,
        problem.model,
        np.repeat(starts, k, axis=0),
        weights=np.tile(weights, (len(starts), 1)),
        smallest_gain=PROFILE_GAIN,
    )
    best = np.argmin(objective.reshape(len(starts), k), axis=0)
    return theta.reshape(len(starts), k, 4)[best, np.arange(k)]


def redrawn(problem: KaplanProblem, phi: Array, shift: Array) -> Array:
    """Optimum of each replicate, shape (k, 4): the losses of the law at phi, off by noise `shift` of shape (k, n)."""
    moved = shift - problem.model(phi[None])[0]

    def model(theta: Array, rows: NDArray[np.intp]) -> tuple[Array, Array]:
        residual, jacobian = problem.model(theta)
        return residual + moved[rows], jacobian

    return solve(problem, model, np.repeat(phi[None], len(shift), axis=0), smallest_gain=PROFILE_GAIN)[0]


def _starts(problem: KaplanProblem, exponents: tuple[tuple[float, float], ...]) -> Array:
    """Constants that fit best, by linear least squares, for each pair of exponents."""
    starts = []
    for alpha_n, alpha_d in exponents:
        # L^(1 / alpha_D) is linear in the constants; scaled by its own value so that errors are relative.
        power = problem.z / alpha_d
        columns = np.stack([-alpha_n / alpha_d * problem.x - power, -problem.y - power])
        top = np.full(2, columns.max())
        terms, _ = nnls(np.exp(columns - top[:, None]).T, np.ones(problem.x.size))
        if not (terms.any() and np.isfinite(terms).all()):
            # Columns further apart than floats reach: each by its own scale.
            top = columns.max(axis=1)
            terms, _ = nnls(np.exp(columns - top[:, None]).T, np.ones(problem.x.size))
        logs = np.log(np.maximum(terms, 1e-12 * terms.max())) - top
        starts.append([np.log(alpha_n), np.log(alpha_d), *(alpha_d * logs + problem.centre[2])])
    return np.array(starts)


def contrasts(phi: Array) -> Array:
    """Derivatives, shape (4, 4), of ln alpha_N, ln alpha_D, ln N_c, ln D_c by phi."""
    found, inverse = np.eye(4), np.exp(-phi[:2])
    found[[2, 3], [2, 3]] = inverse
    found[[2, 3], [0, 1]] = -phi[2:] * inverse
    return found


def unbounded(n_params: Array, n_tokens: Array, loss: Array) -> dict[str, Any]:
    """Ordinary least squares on the loss with constants of either sign: what the published fit did.

    Returns
    -------
    dict
        alpha_N, alpha_D, log10_N_c, sign_D_c, log10_abs_D_c and rms_residual (nats). The constants as logarithms:
        they leave the range of floats.
    """
    logs = np.log(np.array([n_params, n_tokens, loss], dtype=float))
    x, y, _ = logs - logs.mean(axis=1)[:, None]
    level = logs[2].mean()

    def terms(theta: Array) -> tuple[Array, Array, Array]:
        """That of size, their sum, and the law's loss."""
        ratio, alpha_d, size, tokens = theta
        of_size = np.exp(np.clip(size - ratio * x, -300, 300))
        base = np.maximum(of_size + tokens * np.exp(-y), 1e-300)
        return of_size, base, np.exp(np.clip(level + alpha_d * np.log(base), -100, 100))

    def residuals(theta: Array) -> Array:
        return loss - terms(theta)[2]

    def jacobian(theta: Array) -> Array:
        of_size, base, fitted = terms(theta)
        by_base = fitted * theta[1] / base
        rows = [by_base * of_size * x, -fitted * np.log(base), -by_base * of_size, -by_base * np.exp(-y)]
        return np.stack(rows, axis=1)

    def solved(start: Array, *, tolerance: float) -> Any:
        ends = {"ftol": tolerance, "xtol": tolerance, "gtol": tolerance, "max_nfev": 1000}
        # The stubs of SciPy know no function as `jac`, which its documentation does.
        return least_squares(residuals, start, jac=jacobian, x_scale="jac", **ends)  # type: ignore[arg-type]

    starts = sorted(_unbounded_starts(x, y, logs[2] - level), key=lambda start: float(np.sum(residuals(start) ** 2)))
    best = min((solved(start, tolerance=1e-8) for start in starts[:N_UNBOUNDED]), key=lambda one: one.cost)
    # The constants are dozens of decades away, and move a hundred times as much as the exponents.
    best = solved(best.x, tolerance=EXACTLY)
    ratio, alpha_d, size, tokens = best.x
    scale = level / alpha_d
    return {
        "alpha_N": float(ratio * alpha_d),
        "alpha_D": float(alpha_d),
        "log10_N_c": float(((size + scale) / ratio + logs[0].mean()) / LN10) if ratio else None,
        "sign_D_c": int(np.sign(tokens)),
        "log10_abs_D_c": float((np.log(abs(tokens)) + scale + logs[1].mean()) / LN10) if tokens else None,
        "rms_residual": float(np.sqrt(np.mean(best.fun**2))),
    }


def _unbounded_starts(x: Array, y: Array, z: Array) -> list[Array]:
    """Constants of either sign, linear given the exponents; the size term keeps its sign, its power needs one."""
    starts = []
    for alpha_n, alpha_d in product(START_EXPONENTS, START_EXPONENTS):
        columns = np.exp(np.clip([-alpha_n / alpha_d * x - z / alpha_d, -y - z / alpha_d], -300, 300))
        size, tokens = np.linalg.lstsq(columns.T, np.ones(x.size), rcond=None)[0]
        if size > 0:
            starts.append(np.array([alpha_n / alpha_d, alpha_d, np.log(size), tokens]))
    return starts or [np.array([1.0, 0.1, 0.0, 0.0])]


def solve(
    problem: KaplanProblem,
    model: Model,
    starts: Array,
    *,
    hold: tuple[int, float] | None = None,
    weights: Array | None = None,
    smallest_gain: float = SMALLEST_GAIN,
) -> tuple[Array, Array]:
    """Optimum from each of `starts`, shape (k, 4), and its objective; `hold` is a column of phi and its value."""
    low = np.array([np.log(EXPONENT_RANGE[0])] * 2 + [LEVEL_RANGE[0]] * 2)
    high = np.array([np.log(EXPONENT_RANGE[1])] * 2 + [LEVEL_RANGE[1]] * 2)
    if hold is not None:
        low[hold[0]] = high[hold[0]] = hold[1]
    if weights is None:
        weights = np.ones((len(starts), problem.x.size))
    return minimise(
        model, starts, weights=weights, delta=problem.delta, bounds=(low, high), smallest_gain=smallest_gain
    )
