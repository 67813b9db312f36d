"""Kaplan et al. 2020's combined law, L = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D.

Fitted in logs with positive constants, Huber loss, and many starts. N_c and D_c are sizes at which the law would give
a loss of one nat, usually dozens of decades from the data: the profile likelihood says whether they mean anything.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls

from .curves import Curve, usable
from .fits import Estimate, Fit, FitSettings, withheld
from .gauss_newton import Model, minimise
from .points import Points, points_of, too_few
from .uncertainty import Verdict, curve_warnings, drop_limit, likelihood_drop, robust_scale

Array = NDArray[np.float64]

KEYS = ("alpha_N", "alpha_D", "N_c", "D_c")
N_FREE = 4
# Beyond this an interval of N_c or D_c says nothing about the constant.
MAX_DECADES = 10.0
# Published exponents lie between 0.006 and 0.1 (Kaplan et al. 2020: 0.076 and 0.095); the ends are far outside.
EXPONENT_RANGE = (1e-3, 3.0)
START_EXPONENTS = (0.005, 0.02, 0.08, 0.3, 1.0)
# Log loss of one term alone, in nats: below the first the term has vanished.
LEVEL_RANGE = (-50.0, 50.0)
# Starts of the unbounded fit that are solved, of those tried.
N_UNBOUNDED = 5
# First step of a profile, in natural logarithms, and the growth of the later ones.
FIRST_STEP, STEP_GROWTH = 1e-3, 1.7
# A profile is compared with a drop of 3.84: changes of the objective by this share are far below it.
PROFILE_GAIN = 1e-7
LN10 = float(np.log(10.0))


class Problem(NamedTuple):
    """Points as centred logarithms, and the Huber threshold."""

    x: Array
    y: Array
    z: Array
    centre: Array
    delta: float

    @classmethod
    def of(cls, points: Points, *, delta: float) -> "Problem":
        """From the points of the fit."""
        logs = np.log(np.array([points.n_params, points.n_tokens, points.loss], dtype=float))
        centre = logs.mean(axis=1)
        x, y, z = logs - centre[:, None]
        return cls(x, y, z, centre, delta)

    def model(self, phi: Array) -> tuple[Array, Array]:
        """Residuals (k, n) and Jacobian (k, n, 4) at phi = (ln alpha_N, ln alpha_D, l_N, l_D), shape (k, 4).

        l_N = alpha_N ln(N_c / N) is the log loss of the size term alone at the mean size, l_D that of the token term:
        both are of the order of the log loss, where N_c and D_c are dozens of decades away and move with the exponents.
        """
        alpha_n, alpha_d, level_n, level_d = (
            column[:, None] for column in (np.exp(phi[:, 0]), np.exp(phi[:, 1]), phi[:, 2], phi[:, 3])
        )
        size = (level_n - alpha_n * self.x) / alpha_d
        tokens = level_d / alpha_d - self.y
        total = np.logaddexp(size, tokens)
        share = np.exp(size - total)
        by_alpha_d = alpha_d * (total - share * size) - (1 - share) * level_d
        jacobian = np.stack([-alpha_n * self.x * share, by_alpha_d, share, 1 - share], axis=-1)
        return self.z + self.centre[2] - alpha_d * total, jacobian

    def held(self, index: int, value: float) -> Model:
        """`model` with N_c (index 2) or D_c (index 3) held at exp(value): its level follows its exponent."""
        lever = value - self.centre[index - 2]

        def model(phi: Array) -> tuple[Array, Array]:
            phi = phi.copy()
            phi[:, index] = np.exp(phi[:, index - 2]) * lever
            residual, jacobian = self.model(phi)
            jacobian[..., index - 2] += jacobian[..., index] * phi[:, index, None]
            jacobian[..., index] = 0.0
            return residual, jacobian

        return model

    def constants(self, phi: Array) -> Array:
        """phi of shape (4,) as (ln alpha_N, ln alpha_D, ln N_c, ln D_c)."""
        return np.concatenate([phi[:2], self.centre[:2] + phi[2:] / np.exp(phi[:2])])


def fit(curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """Fit Kaplan's combined law. Signature of `plmscale.fits.FitFunction`; `rng` is not needed.

    Estimates: alpha_N, alpha_D, N_c (parameters), D_c (tokens). Intervals: profile likelihood.
    `details["unbounded"]` is ordinary least squares without signs, which shows what an unidentified fit returns.
    """
    del rng
    kept, excluded = usable(curves)
    nothing = {key: Estimate(None) for key in KEYS}
    if not kept:
        return Fit("kaplan", "failed", "there is no usable run.", nothing, (), excluded, {"warnings": []})
    points = points_of(kept, settings=settings)
    details: dict[str, Any] = {"warnings": curve_warnings(kept)}
    reason = too_few(points, n_free=N_FREE)
    if reason:
        return Fit("kaplan", "not_identified", reason, nothing, points.rows, excluded, details)
    problem = Problem.of(points, delta=settings.huber_delta)
    phi, objective = best_fit(problem)
    theta = problem.constants(phi)
    residuals = problem.model(phi[None])[0][0]
    scale = robust_scale(residuals, delta=problem.delta, n_free=N_FREE) * points.per_run
    tests = _term_tests(problem, phi, objective, scale=scale)
    details |= {"objective": objective, "optimum": _optimum(theta), "tests": tests, "unbounded": unbounded(points)}
    verdict = _terms_verdict(tests, theta)
    estimates = nothing
    details["log10_intervals"] = {key: [None, None] for key in KEYS}
    if verdict is None:
        profiles = {key: profile(problem, phi, objective, index=i, scale=scale) for i, key in enumerate(KEYS)}
        estimates = {key: _estimate(theta[i], *profiles[key]) for i, key in enumerate(KEYS)}
        details["log10_intervals"] = {key: [end and end / LN10 for end in ends] for key, ends in profiles.items()}
        verdict = _verdict(profiles)
    result = Fit("kaplan", verdict.status, verdict.reason, estimates, points.rows, excluded, details)
    return result if verdict.has_numbers else withheld(result)


def _optimum(theta: Array) -> dict[str, float]:
    """The best point, the constants as decimal logarithms since they may leave the range of floats."""
    alpha_n, alpha_d = (float(value) for value in np.exp(theta[:2]))
    return {"alpha_N": alpha_n, "alpha_D": alpha_d, "log10_N_c": theta[2] / LN10, "log10_D_c": theta[3] / LN10}


def best_fit(problem: Problem) -> tuple[Array, float]:
    """Best of many starts, and its objective: exponents on a grid, the constants linear given these."""
    starts = []
    for alpha_n, alpha_d in product(START_EXPONENTS, START_EXPONENTS):
        # L^(1 / alpha_D) is linear in the constants; scaled by its own value so that errors are relative.
        power = problem.z / alpha_d
        columns = np.stack([-alpha_n / alpha_d * problem.x - power, -problem.y - power])
        top = columns.max()
        terms, _ = nnls(np.exp(columns - top).T, np.ones(problem.x.size))
        logs = np.log(np.maximum(terms, 1e-12 * terms.max())) - top
        starts.append([np.log(alpha_n), np.log(alpha_d), *(alpha_d * logs + problem.centre[2])])
    theta, objective = _solve(problem, problem.model, np.array(starts))
    best = int(np.argmin(objective))
    return theta[best], float(objective[best])


def profile(
    problem: Problem, phi: Array, best: float, *, index: int, scale: float
) -> tuple[float | None, float | None]:
    """Profile-likelihood interval of one constant (natural logarithms); None where it has no end within MAX_DECADES.

    Starting at the optimum the constant moves outward in growing steps, the others are fitted again at each, until
    the log likelihood has dropped by more than chance explains; the end is interpolated.
    """
    limit = drop_limit(1, n_left=problem.x.size - N_FREE)
    centre = float(problem.constants(phi)[index])
    ends: list[float | None] = []
    for sign in (-1.0, 1.0):
        at, offset, drop, step = phi, 0.0, 0.0, FIRST_STEP
        end = None
        while offset < MAX_DECADES * LN10:
            previous, previous_drop = offset, drop
            offset += step
            at, objective = _refit(problem, at, phi, index=index, value=centre + sign * offset)
            drop = likelihood_drop(objective, best, scale=scale)
            if drop > limit:
                # The drop is a parabola near the optimum: its root is the straight line.
                roots = np.sqrt([previous_drop, drop, limit])
                end = centre + sign * (previous + step * (roots[2] - roots[0]) / (roots[1] - roots[0]))
                break
            step *= STEP_GROWTH
        ends.append(end)
    return ends[0], ends[1]


def _refit(problem: Problem, at: Array, phi: Array, *, index: int, value: float) -> tuple[Array, float]:
    """Best fit with one constant held, from the last one and from the optimum."""
    starts = np.stack([at, phi])
    starts[:, index] = value if index < 2 else starts[:, index]
    hold = (index, value) if index < 2 else None
    model = problem.model if index < 2 else problem.held(index, value)
    theta, objective = _solve(problem, model, starts, hold=hold, smallest_gain=PROFILE_GAIN)
    best = int(np.argmin(objective))
    return theta[best], float(objective[best])


def _term_tests(problem: Problem, phi: Array, best: float, *, scale: float) -> dict[str, float]:
    """What the law loses, in units of chi-square, without its size term and without its token term."""
    drops = {"limit": drop_limit(2, n_left=problem.x.size - N_FREE)}
    for index, name in ((2, "without_size_term"), (3, "without_token_term")):
        starts = np.repeat(phi[None], len(START_EXPONENTS), axis=0)
        starts[:, 3 - index] = np.log(START_EXPONENTS)
        starts[:, 5 - index] = problem.centre[2]
        _, objective = _solve(problem, problem.model, starts, hold=(index, LEVEL_RANGE[0]))
        drops[name] = likelihood_drop(float(objective.min()), best, scale=scale)
    return drops


def unbounded(points: Points) -> dict[str, Any]:
    """Ordinary least squares on the loss with constants of either sign: what the published fit did.

    Returns
    -------
    dict
        alpha_N, alpha_D, log10_N_c, sign_D_c, log10_abs_D_c and rms_residual (nats). The constants as logarithms:
        they leave the range of floats.
    """
    logs = np.log(np.array([points.n_params, points.n_tokens, points.loss], dtype=float))
    x, y, _ = logs - logs.mean(axis=1)[:, None]
    level = logs[2].mean()

    def residuals(theta: Array) -> Array:
        ratio, alpha_d, size, tokens = theta
        base = np.maximum(np.exp(np.clip(size - ratio * x, -300, 300)) + tokens * np.exp(-y), 1e-300)
        return points.loss - np.exp(np.clip(level + alpha_d * np.log(base), -100, 100))

    tried = [(residuals(start), start) for start in _unbounded_starts(x, y, logs[2] - level)]
    tried.sort(key=lambda one: float(one[0] @ one[0]))
    solved = [least_squares(residuals, start, x_scale="jac", max_nfev=1000) for _, start in tried[:N_UNBOUNDED]]
    best = min(solved, key=lambda one: one.cost)
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


def _solve(
    problem: Problem,
    model: Model,
    starts: Array,
    *,
    hold: tuple[int, float] | None = None,
    smallest_gain: float = 1e-12,
) -> tuple[Array, Array]:
    low = np.array([np.log(EXPONENT_RANGE[0])] * 2 + [LEVEL_RANGE[0]] * 2)
    high = np.array([np.log(EXPONENT_RANGE[1])] * 2 + [LEVEL_RANGE[1]] * 2)
    if hold is not None:
        low[hold[0]] = high[hold[0]] = hold[1]
    weights = np.ones((len(starts), problem.x.size))
    return minimise(
        model, starts, weights=weights, delta=problem.delta, bounds=(low, high), smallest_gain=smallest_gain
    )


def _estimate(log_value: float, low: float | None, high: float | None) -> Estimate:
    value, *ends = (None if log is None or log > 700 else float(np.exp(log)) for log in (log_value, low, high))
    return Estimate(value, *ends)


def _terms_verdict(tests: dict[str, float], theta: Array) -> Verdict | None:
    """A verdict if a term of the law does not earn its place or an exponent has no optimum, else None."""
    for name, words in (("without_size_term", "size"), ("without_token_term", "tokens")):
        if tests[name] < tests["limit"]:
            return Verdict(
                "not_identified",
                f"loss does not fall with {words} by more than its noise (drop {tests[name]:.1f}, the term needs "
                f"{tests['limit']:.1f}): its constant has no end.",
            )
    if np.any(np.abs(theta[:2, None] - np.log(EXPONENT_RANGE)) < 1e-3):
        return Verdict("not_identified", "an exponent runs to the end of the range searched, its constant with it.")
    return None


def _verdict(profiles: dict[str, tuple[float | None, float | None]]) -> Verdict:
    wide = []
    for key in ("N_c", "D_c"):
        low, high = profiles[key]
        if low is None or high is None:
            wide.append(f"{key} has no end within {MAX_DECADES:.0f} decades")
        elif (high - low) / LN10 > MAX_DECADES:
            wide.append(f"{key} spans {(high - low) / LN10:.0f} decades")
    if wide:
        return Verdict("not_identified", f"95 % profile-likelihood interval: {'; '.join(wide)}.")
    spans = [(high - low) / LN10 for low, high in (profiles["N_c"], profiles["D_c"]) if low is not None and high]
    return Verdict("identified", f"N_c and D_c are known within {max(spans):.1f} decades.")
