"""Kaplan et al. 2020's combined law, L = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D.

Fitted in logs with positive constants, Huber loss, and many starts. N_c and D_c are sizes at which the law would give
a loss of one nat, usually dozens of decades from the data: the profile likelihood says whether they mean anything.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..estimates import Estimate
from ..reasons import Reason
from ..runs.curves import Curve, usable
from .confidence.design_effects import design_effects, law_noise
from .confidence.kaplan_profiles import MAX_DECADES, profile_intervals, term_tests
from .confidence.misfit import lowered, misfit_tests
from .confidence.run_noise import run_noise
from .confidence.shared_noise import SharedNoise
from .confidence.uncertainty import (
    condition_number,
    curve_warnings,
    huber_scale,
    interval,
    multiplicities,
    resamples,
    shared_details,
)
from .confidence.verdicts import Verdict, unless_assumed
from .fit import Fit, FitSettings, withheld
from .points import Points, points_of, too_few
from .solvers.kaplan import (
    EXPONENT_RANGE,
    LN10,
    N_FREE,
    KaplanProblem,
    best_fit,
    contrasts,
    redrawn,
    resampled,
    unbounded,
)

Array = NDArray[np.float64]

KEYS = ("alpha_N", "alpha_D", "N_c", "D_c")
# Ratio of the ends of an exponent's interval beyond which it is wide. A judgement: `benchmarks/verdicts.py` tries it on
# designs from good to hopeless.
MAX_FACTOR = 2.0


def fit(curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """Fit Kaplan's combined law. Signature of `plmscale.laws.fit.FitFunction`.

    Estimates: alpha_N, alpha_D, N_c (parameters), D_c (tokens). Intervals: profile likelihood;
    `details["bootstrap_log10"]` has those of replicates beside them. Where runs share a trunk, both hold what it shifts
    (`plmscale.laws.confidence.design_effects`).
    `details["unbounded"]` is ordinary least squares without signs, which shows what an unidentified fit returns.
    """
    kept, excluded = usable(curves)
    nothing = {key: Estimate(None) for key in KEYS}
    if not kept:
        return Fit("kaplan", "failed", Reason.of("no_usable_run"), nothing, (), excluded, {"warnings": []})
    points = points_of(kept, settings=settings)
    details: dict[str, Any] = {"warnings": curve_warnings(kept)}
    reason = too_few(points, n_free=N_FREE)
    if reason:
        return Fit("kaplan", "not_identified", reason, nothing, points.rows, excluded, details)
    problem = KaplanProblem.of(points.n_params, points.n_tokens, points.loss, delta=settings.huber_delta)
    phi, objective = best_fit(problem)
    theta = problem.constants(phi)
    residuals, jacobian = problem.model(phi[None])
    scale = huber_scale(residuals[0], delta=problem.delta, n_runs=points.n_runs, n_free=N_FREE)
    shared = law_noise(points, residuals[0], jacobian[0])
    effects = np.ones(len(KEYS)) if shared is None else _effects(shared, points, problem, phi)
    tests = term_tests(problem, phi, objective, scale=scale, n_runs=points.n_runs, effects=effects)
    tests["condition"] = condition_number(jacobian[0])
    details |= {
        "objective": objective,
        "optimum": _optimum(theta),
        "tests": tests,
        "unbounded": unbounded(points.n_params, points.n_tokens, points.loss),
    }
    verdict = _terms_verdict(tests, theta)
    estimates = nothing
    ends = np.full((len(KEYS), 2), np.nan)
    if verdict is None:
        ends = profile_intervals(problem, phi, objective, scale=scale, n_runs=points.n_runs, effects=effects)
        estimates = {key: _estimate(theta[i], *ends[i]) for i, key in enumerate(KEYS)}
        details["bootstrap_log10"] = _bootstrap(problem, phi, points, shared, rng=rng, settings=settings)
        misfits = misfit_tests(points, residuals[0], jacobian[0], noise=run_noise(kept), shared=shared)
        details["misfit"] = [one.to_json() for one in misfits]
        verdict = unless_assumed(lowered(_verdict(dict(zip(KEYS, ends, strict=True))), misfits), shared)
        details |= shared_details(shared, warnings=details["warnings"])
    details["log10_intervals"] = {key: (ends[i] / LN10).tolist() for i, key in enumerate(KEYS)}
    result = Fit("kaplan", verdict.status, verdict.why, estimates, points.rows, excluded, details)
    return result if verdict.has_numbers else withheld(result)


def _effects(shared: SharedNoise, points: Points, problem: KaplanProblem, phi: Array) -> Array:
    """Design effects of what is profiled."""
    rest, jacobian = problem.model(phi[None])
    return design_effects(shared, points, rest[0], jacobian[0], contrasts=contrasts(phi), delta=problem.delta)


def _bootstrap(
    problem: KaplanProblem,
    phi: Array,
    points: Points,
    shared: SharedNoise | None,
    *,
    rng: np.random.Generator,
    settings: FitSettings,
) -> dict[str, Any]:
    """Percentile intervals of the decimal logarithms over replicates."""
    found = replicates(problem, phi, points, shared, n=settings.n_bootstrap, rng=rng)
    logs = np.array([problem.constants(one) for one in found]) / LN10
    return {key: list(interval(logs[:, i])) for i, key in enumerate(KEYS)}


def replicates(
    problem: KaplanProblem, phi: Array, points: Points, shared: SharedNoise | None, *, n: int, rng: np.random.Generator
) -> Array:
    """Optima of `n` replicates of the study, shape (n, 4), in the coordinates of `KaplanProblem`.

    Resamples of the runs, each solved from several starts; where runs share noise, the law with that drawn again.
    """
    if shared is None:
        return resampled(problem, phi, multiplicities(resamples(points.n_runs, n=n, rng=rng))[:, points.run])
    return redrawn(problem, phi, shared.draw(rng, n)[:, points.run])


def _optimum(theta: Array) -> dict[str, float]:
    """The best point, the constants as decimal logarithms since they may leave the range of floats."""
    alpha_n, alpha_d = (float(value) for value in np.exp(theta[:2]))
    return {"alpha_N": alpha_n, "alpha_D": alpha_d, "log10_N_c": theta[2] / LN10, "log10_D_c": theta[3] / LN10}


def _estimate(log_value: float, low: float, high: float) -> Estimate:
    value, *ends = (float(np.exp(log)) if np.isfinite(log) and log < 700 else None for log in (log_value, low, high))
    return Estimate(value, *ends)


def _terms_verdict(tests: dict[str, float], theta: Array) -> Verdict | None:
    """A verdict if a term of the law does not earn its place or an exponent has no optimum, else None."""
    for name, code in (("without_size_term", "size_constant_open"), ("without_token_term", "token_constant_open")):
        if tests[name] < tests["limit"]:
            return Verdict("not_identified", Reason.of(code, drop=tests[name], limit=tests["limit"]))
    if np.any(np.abs(theta[:2, None] - np.log(EXPONENT_RANGE)) < 1e-3):
        return Verdict("not_identified", Reason.of("exponents_at_end"))
    return None


def _verdict(ends: Mapping[str, Array]) -> Verdict:
    decades = {key: float(np.ptp(ends[key])) / LN10 for key in ("N_c", "D_c")}
    wide = {key: span if np.isfinite(span) else None for key, span in decades.items() if not span <= MAX_DECADES}
    if wide:
        return Verdict("not_identified", Reason.of("constants_open", decades=wide, limit=MAX_DECADES))
    for key in ("alpha_N", "alpha_D"):
        low, high = np.exp(ends[key])
        if not high <= MAX_FACTOR * low:
            span = (float(low), float(high)) if np.isfinite(high - low) else (None, None)
            return Verdict("weakly_identified", Reason.of("factor_wide", name=key, low=span[0], high=span[1]))
    return Verdict("identified", Reason.of("constants_known", decades=max(decades.values())))
