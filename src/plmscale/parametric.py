"""Approach 3 of Hoffmann et al. 2022: the parametric law, with its intervals and whether the data determine it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .budgets import TokenCost, no_sizes, optimal_sizes
from .chinchilla import (
    EXPONENT_RANGE,
    ChinchillaLaw,
    Problem,
    chinchilla_law,
    grid_starts,
    jacobian_condition,
    polish,
    residuals,
)
from .curves import Curve, usable
from .fits import Estimate, Fit, FitSettings, withheld
from .laws import huber
from .points import Points, points_of, too_few
from .uncertainty import (
    Verdict,
    curve_warnings,
    drop_limit,
    estimate,
    exponent_verdict,
    failed_share,
    likelihood_drop,
    multiplicities,
    resamples,
    robust_scale,
)

Array = NDArray[np.float64]

KEYS = ("E", "A", "B", "alpha", "beta", "a", "b")
N_FREE = 5
# Exponents tried in each resample beside the optimum of all runs, in case its basin is another one.
RESAMPLE_GRID = 11
# With columns of unit length, a condition number of c lets errors grow by c in the worst direction: beyond this a
# tenth of a per cent of noise in log loss becomes an error of order one in a parameter.
MAX_CONDITION = 1e3
# Sizes searched for the cheapest loss at a budget, per decade of size, this far beyond those trained.
SIZES_PER_DECADE = 200
SEARCH_DECADES = 4


def fit(curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """Fit L = E + A / N^alpha + B / D^beta. Signature of `plmscale.fits.FitFunction`.

    Estimates: E, A, B, alpha, beta, and the exponents a = beta / (alpha + beta) and b = alpha / (alpha + beta) of
    N_opt and D_opt under C proportional to N D. Intervals: bootstrap over runs, each resample solved again.
    """
    kept, excluded = usable(curves)
    nothing = {key: Estimate(None) for key in KEYS}
    if not kept:
        details = {"warnings": [], "optimal_sizes": no_sizes(settings)}
        return Fit("chinchilla", "failed", "there is no usable run.", nothing, (), excluded, details)
    points = points_of(kept, settings=settings)
    details: dict[str, Any] = {"warnings": curve_warnings(kept), "optimal_sizes": no_sizes(settings)}
    reason = too_few(points, n_free=N_FREE)
    if reason:
        return Fit("chinchilla", "not_identified", reason, nothing, points.rows, excluded, details)
    law = chinchilla_law(points.n_params, points.n_tokens, points.loss, delta=settings.huber_delta)
    laws = _resampled(points, law, rng=rng, settings=settings)
    table = np.array([[*one[:5], one.size_exponent, 1 - one.size_exponent] for one in laws])
    values = [*law[:5], law.size_exponent, 1 - law.size_exponent]
    estimates = {key: estimate(values[i], table[:, i]) for i, key in enumerate(KEYS)}
    tests = _term_tests(points, law, settings=settings)
    verdict = _verdict(law, estimates, tests, failed=failed_share(table[:, 5]))
    errors = {key: float(np.nanstd(table[:, i], ddof=1)) for i, key in enumerate(KEYS)}
    details |= {
        "objective": law.objective,
        "standard_errors": errors,
        "optimum": dict(zip(KEYS, values, strict=True)),
        "tests": tests,
    }
    if verdict.has_numbers:
        details["optimal_sizes"] = _sizes(law, laws, curves=kept, settings=settings)
    result = Fit("chinchilla", verdict.status, verdict.reason, estimates, points.rows, excluded, details)
    return result if verdict.has_numbers else withheld(result)


def cheapest_size(law: ChinchillaLaw, flops: float, *, cost: TokenCost) -> float:
    """Size with the lowest loss that `flops` can buy, under the FLOP convention of the runs; NaN if it has no minimum.

    For C = 6 N D it is Hoffmann's closed form, (alpha A / (beta B))^(1 / (alpha + beta)) (C / 6)^a.
    """
    low, high = cost.log_size[0], cost.log_size[-1]
    margin = SEARCH_DECADES * np.log(10)
    n = int((high - low + 2 * margin) / np.log(10) * SIZES_PER_DECADE)
    log_size = np.linspace(low - margin, high + margin, n)
    sizes = np.exp(log_size)
    loss = law.loss(sizes, flops / cost(sizes))
    best = int(np.argmin(loss))
    if best in (0, n - 1) or law.A == 0 or law.B == 0:
        return float("nan")
    curvature, slope, _ = np.polyfit(log_size[best - 1 : best + 2] - log_size[best], loss[best - 1 : best + 2], 2)
    return float(np.exp(log_size[best] - slope / (2 * curvature))) if curvature > 0 else float(sizes[best])


def _resampled(
    points: Points, law: ChinchillaLaw, *, rng: np.random.Generator, settings: FitSettings
) -> list[ChinchillaLaw]:
    problem = Problem.of(points.n_params, points.n_tokens, points.loss, delta=settings.huber_delta)
    n_runs = int(points.run.max()) + 1
    weights = multiplicities(resamples(n_runs, n=settings.n_bootstrap, rng=rng))[:, points.run]
    others = np.array([grid_starts(problem, w, size=RESAMPLE_GRID, n_starts=1)[0] for w in weights])
    starts = np.concatenate([np.repeat(problem.theta(law)[None], len(weights), axis=0), others])
    theta, objective = polish(problem, starts, np.concatenate([weights, weights]))
    n = len(weights)
    best = np.where(objective[:n] <= objective[n:], np.arange(n), np.arange(n) + n)
    return [problem.law(theta[i], float(objective[i])) for i in best]


def _term_tests(points: Points, law: ChinchillaLaw, *, settings: FitSettings) -> dict[str, float]:
    """What the law loses, in units of chi-square, without its size term and without its token term."""
    delta = settings.huber_delta
    problem = Problem.of(points.n_params, points.n_tokens, points.loss, delta=delta)
    scale = robust_scale(residuals(problem, problem.theta(law)), delta=delta, n_free=N_FREE) * points.per_run
    drops = {
        "limit": drop_limit(2, n_left=problem.x.size - N_FREE),
        "condition": jacobian_condition(problem, problem.theta(law)),
    }
    for name, constant in (("without_size_term", "n_params"), ("without_token_term", "n_tokens")):
        # A constant column makes its term a part of the floor.
        columns = {"n_params": points.n_params, "n_tokens": points.n_tokens}
        columns[constant] = np.full_like(columns[constant], np.exp(np.mean(np.log(columns[constant]))), dtype=float)
        without = chinchilla_law(columns["n_params"], columns["n_tokens"], points.loss, delta=delta)
        drops[name] = likelihood_drop(without.objective, law.objective, scale=scale)
    drops["objective_constant"] = float(np.sum(huber(problem.log_loss - np.median(problem.log_loss), delta=delta)))
    return drops


def _verdict(law: ChinchillaLaw, estimates: dict[str, Estimate], tests: dict[str, float], *, failed: float) -> Verdict:
    for name, words in (("without_size_term", "size"), ("without_token_term", "tokens")):
        if tests[name] < tests["limit"]:
            return Verdict(
                "not_identified",
                f"loss does not fall with {words} by more than its noise (drop {tests[name]:.1f}, the term needs "
                f"{tests['limit']:.1f}).",
            )
    low, high = EXPONENT_RANGE
    for name, exponent in (("alpha", law.alpha), ("beta", law.beta)):
        if not low * 1.01 < exponent < high * 0.99:
            return Verdict("not_identified", f"{name} runs to the end of its range, {exponent:.3g}.")
    if law.E == 0:
        return Verdict("weakly_identified", "the best floor E is zero: the data show no floor.")
    verdict = exponent_verdict("a", estimates, failed=failed)
    if verdict.status == "identified" and tests["condition"] > MAX_CONDITION:
        reason = f"parameters trade against each other (condition number {tests['condition']:.0f})."
        return Verdict("weakly_identified", reason)
    return verdict


def _sizes(
    law: ChinchillaLaw, laws: Sequence[ChinchillaLaw], *, curves: Sequence[Curve], settings: FitSettings
) -> list[dict[str, Any]]:
    cost = TokenCost(curves)

    def at(flops: float) -> tuple[float, Array]:
        draws = np.array([cheapest_size(one, flops, cost=cost) for one in laws])
        return cheapest_size(law, flops, cost=cost), draws

    return optimal_sizes(at, curves=curves, settings=settings)
