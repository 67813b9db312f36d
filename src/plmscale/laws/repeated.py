"""Repeated data: what a token is worth that was seen before, by the law of Muennighoff et al. 2023 (2305.16264).

All parameters are fitted together to the ends of all runs, those of a single pass included, so that intervals hold the
uncertainty of the whole law. Muennighoff et al. hold the law of the single passes and fit r_d and r_n alone: that is
`details["staged"]`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..estimates import Estimate
from ..presentation.reasons import words
from ..reasons import Reason
from ..runs.curves import Curve, usable
from ..runs.selection import epochs, repeats
from .confidence.chinchilla_profiles import N_FREE as BASE_FREE
from .confidence.design_effects import law_noise
from .confidence.misfit import lowered, misfit_tests
from .confidence.repeated_profiles import effects_of, profile_intervals
from .confidence.run_noise import run_noise
from .confidence.shared_noise import SharedNoise
from .confidence.uncertainty import (
    curve_warnings,
    drop_limit,
    huber_scale,
    interval,
    likelihood_drop,
    multiplicities,
    resamples,
    shared_details,
)
from .confidence.verdicts import Verdict, unless_assumed
from .fit import Fit, FitSettings, withheld
from .plateau_fits import aicc
from .points import Points, points_of, too_few
from .solvers.chinchilla import chinchilla_law
from .solvers.repeated import (
    KEYS,
    N_FREE,
    PENALTY,
    R_D,
    R_N,
    R_RANGE,
    RepeatedLaw,
    RepeatedProblem,
    base_held,
    polish,
    predict,
    redrawn,
    repeated_law,
    staged_law,
)

Array = NDArray[np.float64]

# Ends of the interval of r_d that are further apart than this leave the worth of a fourth pass between 60 and 96 %.
WIDE_FACTOR = 10.0
EPOCHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 44, 64)
"""Passes for which the worth of the tokens is told."""
RESAMPLE_GAIN = 1e-9


class RepeatedFit(NamedTuple):
    """The law with what is behind it."""

    points: Points
    problem: RepeatedProblem
    law: RepeatedLaw
    scale: float
    settings: FitSettings
    shared: SharedNoise | None

    @property
    def data(self) -> tuple[Array, Array, Array, Array]:
        """Sizes, tokens, unique tokens, losses."""
        return _data(self.points)

    @property
    def n_left(self) -> int:
        """Runs beyond the parameters."""
        return self.points.n_runs - N_FREE


def fit(curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """Fit the law of repeated data. Signature of `plmscale.laws.fit.FitFunction`.

    Estimates: E, A, B, alpha, beta, r_d (passes after which a repeated token has lost 63 % of its worth), r_n (the same
    of parameters beyond the optimal size of the unique tokens) and the `penalty` of `solvers.repeated` where the runs
    want it. Intervals of r_d and r_n: profile likelihood; of the others: a bootstrap over runs, which
    `details["bootstrap"]` has of all.

    `details["effective"]` tells how many passes' worth of new tokens so many passes are, with intervals;
    `details["overfitting"]` whether the loss rises with repeats by more than this law has room for.
    """
    kept, excluded = usable(curves, repeated=True)
    nothing = {key: Estimate(None) for key in KEYS}
    details: dict[str, Any] = {"warnings": [], "applies": any(repeats(curve) for curve in kept)}
    if not details["applies"]:
        reason = Reason("no_repeats" if kept else "no_usable_run")
        return Fit("repeated", "failed", reason, nothing, (), excluded, details)
    points = points_of(kept, settings=settings)
    details |= {"warnings": curve_warnings(kept), "most_epochs": max(epochs(curve) for curve in kept)}
    reason = too_few(points, n_free=N_FREE)
    if reason:
        return Fit("repeated", "not_identified", reason, nothing, points.rows, excluded, details)
    found = _solved(points, settings=settings)
    draws = _resampled(found, rng=rng)
    estimates = _estimates(found, draws)
    over = _overfitting(found)
    misfits = misfit_tests(points, *_seen(found), noise=run_noise(kept), shared=found.shared)
    verdict = unless_assumed(lowered(_verdict(estimates["r_d"], over), misfits), found.shared)
    if over["wanted"]:
        estimates["penalty"] = Estimate(over["penalty"], over["penalty_low"], over["penalty_high"])
    details |= shared_details(found.shared, warnings=details["warnings"]) | {
        "objective": found.law.objective,
        "optimum": found.law.values,
        "staged": _staged(found),
        "overfitting": over,
        "bootstrap": {key: list(interval(column)) for key, column in zip(KEYS[:PENALTY], draws.T, strict=True)},
        "misfit": [one.to_json() for one in misfits],
        "effective": effective(estimates["r_d"], most=details["most_epochs"]) if verdict.has_numbers else [],
    }
    result = Fit("repeated", verdict.status, verdict.why, estimates, points.rows, excluded, details)
    return result if verdict.has_numbers else withheld(result)


def effective(r_d: Estimate, *, most: float) -> list[dict[str, Any]]:
    """What passes over one set are worth, in passes over new data: 1 + r_d (1 - exp(-(epochs - 1) / r_d)).

    Parameters
    ----------
    r_d : Estimate
        Its open ends are 0 (a repeated token is worth nothing) and infinity (as much as a new one): the worth rises
        with r_d, so that the ends of its interval are those of the worth.
    most : float
        Passes of the longest run.

    Returns
    -------
    list of dict
        `epochs`; `worth`, `worth_low`, `worth_high` of all passes together; `last`, `last_low`, `last_high` of one more
        pass's first token; `inside`, whether any run has had as many passes.

    Examples
    --------
    Four passes at the published r_d are worth 3.73:

    >>> round(effective(Estimate(15.4), most=4)[3]["worth"], 2)
    3.73
    """
    value = np.inf if r_d.value is None else r_d.value
    ends = (value, 0.0 if r_d.low is None else r_d.low, np.inf if r_d.high is None else r_d.high)
    rows = []
    for n in EPOCHS:
        row: dict[str, Any] = {"epochs": n}
        for key, r in zip(("", "_low", "_high"), ends, strict=True):
            row |= {f"worth{key}": worth(n, r), f"last{key}": float(np.exp(-(n - 1) / r)) if r > 0 else float(n == 1)}
        rows.append(row | {"inside": n <= most * 1.01})
    return rows


def worth(passes: float, r_d: float) -> float:
    """Passes over new data that `passes` over one set are worth."""
    if not np.isfinite(r_d):
        return float(passes)
    return 1 + float(r_d * -np.expm1(-(passes - 1) / r_d)) if r_d > 0 else 1.0


def _data(points: Points) -> tuple[Array, Array, Array, Array]:
    return points.n_params, points.n_tokens, points.unique_tokens, points.loss


def _solved(points: Points, *, settings: FitSettings) -> RepeatedFit:
    problem = RepeatedProblem.of(_data(points), delta=settings.huber_delta)
    law = repeated_law(_data(points), delta=settings.huber_delta)
    rest, jacobian = predict(problem, problem.theta(law)[None])
    scale = huber_scale(rest[0], delta=settings.huber_delta, n_runs=points.n_runs, n_free=N_FREE)
    return RepeatedFit(points, problem, law, scale, settings, law_noise(points, rest[0], jacobian[0, :PENALTY]))


def _seen(found: RepeatedFit) -> tuple[Array, Array]:
    """Residuals, and the rows of the Jacobian of the parameters that change any loss at all."""
    rest, jacobian = predict(found.problem, found.problem.theta(found.law)[None])
    rows = jacobian[0, :PENALTY]
    return rest[0], rows[np.linalg.norm(rows, axis=1) > 1e-9]


def _resampled(found: RepeatedFit, *, rng: np.random.Generator) -> Array:
    """Parameters (n_bootstrap, 7) of the law solved again on each resample of the runs, or with their noise redrawn."""
    points, problem, n = found.points, found.problem, found.settings.n_bootstrap
    theta = problem.theta(found.law)
    if found.shared is not None:
        shift = found.shared.draw(rng, n)[:, points.run]
        return _values(problem, *redrawn(problem, theta, shift, smallest_gain=RESAMPLE_GAIN))
    weights = multiplicities(resamples(points.n_runs, n=n, rng=rng))[:, points.run]
    starts = np.repeat(theta[None], len(weights), axis=0)
    return _values(problem, *polish(problem, starts, weights, penalty=False, smallest_gain=RESAMPLE_GAIN))


def _values(problem: RepeatedProblem, theta: Array, objective: Array) -> Array:
    laws = [problem.law(one, float(reached)) for one, reached in zip(theta, objective, strict=True)]
    return np.array([list(law.values.values())[:PENALTY] for law in laws])


def _estimates(found: RepeatedFit, draws: Array) -> dict[str, Estimate]:
    values = found.law.values
    limit = drop_limit(1, n_left=found.n_left)
    effects = effects_of(found.shared, found.points, found.problem, found.law, free=range(N_FREE))
    ends = profile_intervals(found.problem, found.law, scale=found.scale, limit=limit, effects=effects)
    estimates = {}
    for i, key in enumerate(KEYS[:PENALTY]):
        low, high = ends[i] if i in (R_D, R_N) else interval(draws[:, i])
        value: float | None = values[key]
        if i in (R_D, R_N):
            inside = R_RANGE[0] * 1.1 < values[key] < R_RANGE[1] / 1.1
            value = value if inside or low is None else None
            value = None if low is None and high is None else value
        estimates[key] = Estimate(value, low, high)
    return estimates | {"penalty": Estimate(None)}


def _verdict(r_d: Estimate, over: Mapping[str, Any]) -> Verdict:
    if r_d.low is None and r_d.high is None:
        return Verdict("not_identified", Reason.of("repeats_unknown"))
    if over["wanted"]:
        return Verdict("weakly_identified", Reason.of("repeats_penalised", drop=over["drop"], limit=over["limit"]))
    if r_d.high is None:
        return Verdict("weakly_identified", Reason.of("repeats_open_above", low=r_d.low))
    if r_d.low is None:
        return Verdict("weakly_identified", Reason.of("repeats_open_below", high=r_d.high))
    span = {"low": r_d.low, "high": r_d.high}
    if r_d.high > WIDE_FACTOR * r_d.low:
        return Verdict("weakly_identified", Reason("repeats_wide", span))
    return Verdict("identified", Reason("repeats_known", span))


def _staged(found: RepeatedFit) -> dict[str, Any]:
    """r_d and r_n with the law of the single passes held, as Muennighoff et al. fit them."""
    n, d, u, loss = found.data
    once = d <= u * 1.01
    points = Points(n[once], d[once], loss[once], found.points.run[once], [])
    reason = too_few(points, n_free=BASE_FREE)
    if reason:
        return dict.fromkeys(("r_d", "r_n", "objective", "r_d_low", "r_d_high")) | {
            "reason": f"single passes: {words(reason)}"
        }
    delta, n_left = found.settings.huber_delta, found.points.n_runs - 2
    law = staged_law(found.data, chinchilla_law(n[once], d[once], loss[once], delta=delta), delta=delta)
    theta = found.problem.theta(law)
    rest = predict(found.problem, theta[None])[0][0]
    scale = huber_scale(rest, delta=delta, n_runs=found.points.n_runs, n_free=2)
    limit, within = drop_limit(1, n_left=n_left), base_held(theta)
    effects = effects_of(found.shared, found.points, found.problem, law, free=(R_D, R_N))
    known = {"r_d": law.r_d, "r_n": law.r_n, "objective": law.objective, "reason": ""}
    ends = profile_intervals(found.problem, law, scale=scale, limit=limit, which=(R_D,), within=within, effects=effects)
    return known | dict(zip(("r_d_low", "r_d_high"), ends[R_D], strict=True))


def _overfitting(found: RepeatedFit) -> dict[str, Any]:
    """Whether the penalty earns its place: the drop of the likelihood (F with one term), and AICc beside it.

    AICc takes the squares of the residuals of log loss; both have to want the term.
    """
    delta = found.settings.huber_delta
    law = repeated_law(found.data, delta=delta, penalty=True)
    n_runs, problem = found.points.n_runs, found.problem
    rest = [predict(problem, problem.theta(one)[None])[0][0] for one in (found.law, law)]
    scores = [
        aicc(float(np.sum(r**2)) * n_runs / r.size, n_points=n_runs, n_coefficients=N_FREE + i)
        for i, r in enumerate(rest)
    ]
    # The better law's scatter is the noise: that of the law without the term holds what it misses.
    scale = huber_scale(rest[1], delta=delta, n_runs=n_runs, n_free=N_FREE + 1)
    effects = effects_of(found.shared, found.points, problem, law, free=range(N_FREE + 1))
    scale = scale if effects is None else scale * effects[PENALTY]
    drop = likelihood_drop(found.law.objective, law.objective, scale=scale)
    limit = drop_limit(1, n_left=found.n_left - 1)
    wanted = law.penalty > 0 and drop > limit and scores[1] < scores[0]
    ends: tuple[float | None, float | None] = (None, None)
    if wanted:
        ends = profile_intervals(problem, law, scale=scale, limit=limit, which=(PENALTY,))[PENALTY]
    return {
        "wanted": bool(wanted),
        "drop": drop,
        "limit": limit,
        "aicc_gain": scores[0] - scores[1],
        "penalty": law.penalty if wanted else None,
        "penalty_low": ends[0],
        "penalty_high": ends[1],
        "r_d": law.r_d if R_RANGE[0] * 1.1 < law.r_d < R_RANGE[1] / 1.1 else None,
        "optimum": law.values,
        "objective": law.objective,
    }
