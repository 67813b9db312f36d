"""Approach 3 of Hoffmann et al. 2022: the parametric law, with its intervals and whether the data determine it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..estimates import Estimate
from ..reasons import Reason
from ..runs.curves import Curve, usable
from ..runs.extent import Extent
from .budgets import Ends, TokenCost, no_sizes, optimal_sizes, shown
from .confidence.chinchilla_profiles import N_FREE, PROFILED, contrasts, profile_intervals
from .confidence.design_effects import design_effects, law_noise
from .confidence.misfit import lowered, misfit_tests
from .confidence.replicates import replicates
from .confidence.run_noise import run_noise
from .confidence.shared_noise import SharedNoise
from .confidence.size_profiles import size_intervals
from .confidence.uncertainty import (
    condition_number,
    curve_warnings,
    drop_limit,
    huber_scale,
    interval,
    likelihood_drop,
    shared_details,
)
from .confidence.verdicts import Verdict, exponent_verdict, unless_assumed
from .fit import Fit, FitSettings, withheld
from .points import Points, points_of, too_few
from .power_law import huber
from .solvers.chinchilla import EXPONENT_RANGE, ChinchillaLaw, ChinchillaProblem, chinchilla_law, predict

Array = NDArray[np.float64]

KEYS = ("E", "A", "B", "alpha", "beta", "a", "b")
# With columns of unit length, a condition number of c lets errors grow by c in the worst direction: beyond this a
# tenth of a per cent of noise in log loss becomes an error of order one in a parameter.
MAX_CONDITION = 1e3
# Sizes searched for the cheapest loss at a budget, per decade of size, this far beyond those trained.
SIZES_PER_DECADE = 200
SEARCH_DECADES = 4


def fit(curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """Fit L = E + A / N^alpha + B / D^beta. Signature of `plmscale.laws.fit.FitFunction`.

    Estimates: E, A, B, alpha, beta, and the exponents a = beta / (alpha + beta) and b = alpha / (alpha + beta) of
    N_opt and D_opt under C proportional to N D. Intervals: profile likelihood; `details["bootstrap"]` has those of a
    bootstrap over runs, each resample solved again. Where runs share a trunk, intervals grow by the design effects of
    what it shifts (`plmscale.laws.confidence.design_effects`), and replicates draw its noise instead.
    """
    kept, excluded = usable(curves)
    nothing = {key: Estimate(None) for key in KEYS}
    if not kept:
        details = {"warnings": [], "optimal_sizes": no_sizes(settings)}
        return Fit("chinchilla", "failed", Reason.of("no_usable_run"), nothing, (), excluded, details)
    points = points_of(kept, settings=settings)
    details: dict[str, Any] = {"warnings": curve_warnings(kept), "optimal_sizes": no_sizes(settings)}
    reason = too_few(points, n_free=N_FREE)
    if reason:
        return Fit("chinchilla", "not_identified", reason, nothing, points.rows, excluded, details)
    columns = points.n_params, points.n_tokens, points.loss
    law = chinchilla_law(*columns, delta=settings.huber_delta)
    problem = ChinchillaProblem.of(*columns, delta=settings.huber_delta).suited(law)
    values = _values(law)
    rest, jacobian = predict(problem, problem.theta(law)[None])
    scale = huber_scale(rest[0], delta=problem.delta, n_runs=points.n_runs, n_free=N_FREE)
    shared = law_noise(points, rest[0], jacobian[0])
    effects = np.ones(len(PROFILED)) if shared is None else _effects(shared, points, problem, law)
    ends = profile_intervals(problem, law, scale=scale, n_runs=points.n_runs, effects=effects)
    estimates = {key: Estimate(values[key], *(_bound(end) for end in ends[key])) for key in KEYS}
    found = replicates(problem, points, law, n=settings.n_bootstrap, rng=rng)
    laws = [problem.law(one, float(reached)) for one, reached in zip(*found, strict=True)]
    tests = _term_tests(points, law, scale=scale, effects=effects, settings=settings) | {
        "condition": condition_number(jacobian[0])
    }
    misfits = misfit_tests(points, rest[0], jacobian[0], noise=run_noise(kept), shared=shared)
    verdict = unless_assumed(lowered(_verdict(law, estimates, tests), misfits), shared)
    details |= (
        shared_details(shared, warnings=details["warnings"])
        | {
            "misfit": [one.to_json() for one in misfits],
            "objective": law.objective,
            "optimum": values,
            "tests": tests,
        }
        | _bootstrap(laws)
    )
    if verdict.has_numbers:
        solved = Solved(points, problem, law, scale, shared)
        profiled = estimates["E"].low == 0
        details["optimal_sizes"] = _sizes(solved, laws, curves=kept, settings=settings, profiled=profiled)
    result = Fit("chinchilla", verdict.status, verdict.why, estimates, points.rows, excluded, details)
    return result if verdict.has_numbers else withheld(result)


class Solved(NamedTuple):
    """The law with what its intervals rest on."""

    points: Points
    problem: ChinchillaProblem
    law: ChinchillaLaw
    scale: float
    shared: SharedNoise | None


def cheapest_size(law: ChinchillaLaw, flops: float, *, cost: TokenCost) -> float:
    """Size with the lowest loss that `flops` can buy, under the FLOP convention of the runs; NaN if it has no minimum.

    For C = 6ND it is Hoffmann's closed form, (alpha A / (beta B))^(1 / (alpha + beta)) (C / 6)^a.
    """
    return float(cheapest_sizes([law], flops, searched=Searched.of(cost))[0])


class Searched(NamedTuple):
    """Sizes among which the cheapest is searched, shape (n,): their logarithms, themselves, and FLOPs per token."""

    log_size: Array
    sizes: Array
    flops_per_token: Array

    @classmethod
    def of(cls, cost: TokenCost) -> "Searched":
        """`SIZES_PER_DECADE` from `SEARCH_DECADES` below the smallest size trained to as many above the largest."""
        low, high = cost.log_size[0], cost.log_size[-1]
        margin = SEARCH_DECADES * np.log(10)
        n = int((high - low + 2 * margin) / np.log(10) * SIZES_PER_DECADE)
        log_size = np.linspace(low - margin, high + margin, n)
        sizes = np.exp(log_size)
        return cls(log_size, sizes, cost(sizes))


def cheapest_sizes(laws: Sequence[ChinchillaLaw], flops: float, *, searched: Searched) -> Array:
    """`cheapest_size` of each law, shape (k,): what the laws have in common is computed once."""
    log_size, sizes, tokens = searched.log_size, searched.sizes, flops / searched.flops_per_token
    found = np.full(len(laws), np.nan)
    for i, law in enumerate(laws):
        loss = law.loss(sizes, tokens)
        best = int(np.argmin(loss))
        if best in (0, len(sizes) - 1) or law.A == 0 or law.B == 0:
            continue
        curvature, slope, _ = np.polyfit(log_size[best - 1 : best + 2] - log_size[best], loss[best - 1 : best + 2], 2)
        found[i] = np.exp(log_size[best] - slope / (2 * curvature)) if curvature > 0 else sizes[best]
    return found


def _values(law: ChinchillaLaw) -> dict[str, float]:
    return dict(zip(KEYS, (*law[:5], law.size_exponent, 1 - law.size_exponent), strict=True))


def _bound(end: float) -> float | None:
    return float(end) if np.isfinite(end) else None


def _effects(shared: SharedNoise, points: Points, problem: ChinchillaProblem, law: ChinchillaLaw) -> Array:
    """Design effects of what is profiled."""
    rest, jacobian = predict(problem, problem.theta(law)[None])
    return design_effects(shared, points, rest[0], jacobian[0], contrasts=contrasts(problem, law), delta=problem.delta)


def _bootstrap(laws: Sequence[ChinchillaLaw]) -> dict[str, Any]:
    """Standard errors and percentile intervals over the replicates."""
    table = {key: np.array([_values(one)[key] for one in laws]) for key in KEYS}
    return {
        "standard_errors": {key: float(np.nanstd(draws, ddof=1)) for key, draws in table.items()},
        "bootstrap": {key: list(interval(draws)) for key, draws in table.items()},
    }


def _term_tests(
    points: Points, law: ChinchillaLaw, *, scale: float, effects: Array, settings: FitSettings
) -> dict[str, float]:
    """What the law loses, in units of chi-square, without its size term and without its token term.

    The larger design effect of a term's two parameters is taken for the term.
    """
    delta = settings.huber_delta
    drops = {"limit": drop_limit(2, n_left=points.n_runs - N_FREE)}
    of_term = {"n_params": max(effects[[1, 3]]), "n_tokens": max(effects[[2, 4]])}
    for name, constant in (("without_size_term", "n_params"), ("without_token_term", "n_tokens")):
        # A constant column makes its term a part of the floor.
        columns = {"n_params": points.n_params, "n_tokens": points.n_tokens}
        columns[constant] = np.full_like(columns[constant], np.exp(np.mean(np.log(columns[constant]))), dtype=float)
        without = chinchilla_law(columns["n_params"], columns["n_tokens"], points.loss, delta=delta)
        drops[name] = likelihood_drop(without.objective, law.objective, scale=scale * of_term[constant])
    log_loss = np.log(points.loss)
    drops["objective_constant"] = float(np.sum(huber(log_loss - np.median(log_loss), delta=delta)))
    return drops


def _verdict(law: ChinchillaLaw, estimates: dict[str, Estimate], tests: dict[str, float]) -> Verdict:
    for name, code in (("without_size_term", "size_in_noise"), ("without_token_term", "tokens_in_noise")):
        if tests[name] < tests["limit"]:
            return Verdict("not_identified", Reason.of(code, drop=tests[name], limit=tests["limit"]))
    low, high = EXPONENT_RANGE
    for name, exponent in (("alpha", law.alpha), ("beta", law.beta)):
        if not low * 1.01 < exponent < high * 0.99:
            return Verdict("not_identified", Reason.of("exponent_at_end", name=name, value=exponent))
    if law.E == 0:
        return Verdict("weakly_identified", Reason.of("no_floor"))
    verdict = exponent_verdict("a", estimates, failed=0.0)
    if verdict.status == "identified" and tests["condition"] > MAX_CONDITION:
        return Verdict("weakly_identified", Reason.of("terms_trade", condition=tests["condition"]))
    return verdict


def _sizes(
    solved: Solved, laws: Sequence[ChinchillaLaw], *, curves: Sequence[Curve], settings: FitSettings, profiled: bool
) -> list[dict[str, Any]]:
    """Optimal sizes, their intervals by the resamples, or `profiled` by the likelihood."""
    cost = TokenCost(curves)
    searched = Searched.of(cost)
    own = {flops: float(cheapest_sizes([solved.law], flops, searched=searched)[0]) for flops in settings.budgets}
    ends: dict[float, Ends] = {}
    seen = Extent.of(curves)
    asked = {flops: n for flops, n in own.items() if shown(n, flops, cost=cost, seen=seen, settings=settings)}
    if profiled and asked:
        found = size_intervals(
            solved.problem,
            solved.points,
            solved.law,
            flops=list(asked),
            sizes=list(asked.values()),
            cost=cost,
            scale=solved.scale,
            shared=solved.shared,
        )
        ends = {flops: (_bound(low), _bound(high)) for flops, (low, high) in zip(asked, found, strict=True)}

    def at(flops: float) -> tuple[float, Array | Ends]:
        return own[flops], ends[flops] if flops in ends else cheapest_sizes(laws, flops, searched=searched)

    return optimal_sizes(at, curves=curves, settings=settings)
