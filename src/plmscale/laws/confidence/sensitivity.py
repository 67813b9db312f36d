"""How much the exponents depend on choices that no data make: every estimator, space, FLOP count and outlier rule.

An interval says what another draw of the same runs would change. On the same protein runs published exponents lie
between 0.57 and 0.95 with the estimator alone; this is the table that says so for the runs at hand.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares

from ...reasons import Reason
from ...runs.curves import Curve, usable
from ..envelope import hand_overs
from ..envelope_grid import by_size, find_optima, log_costs
from ..final_losses import ends_only, grid_of
from ..fit import NO_FIT, Fit, FitSettings, fault
from ..isoflop import at_budgets, profiles_of
from ..isoflop_minima import VERTICES
from ..loss_law import chinchilla_of
from ..points import Points, points_of, points_of_rows, too_few
from ..power_law import power_law
from ..size_transitions import line
from ..solvers.chinchilla import EXPONENT_RANGE, ChinchillaLaw, chinchilla_law
from .chinchilla_profiles import N_FREE
from .choices import ALL_RUNS, RECORDED, SIX_N_D, WITHOUT_HIGHEST, WITHOUT_OUTLIERS
from .run_noise import run_noise
from .verdicts import MIN_SIZES

Array = NDArray[np.float64]

# Besiroglu et al. 2024 drop the five highest of 245 losses; the same share here, and at least one run.
HIGHEST_SHARE = 0.02
# Robust standard deviations from the parametric law beyond which a run is an outlier.
OUTLIER_SIGMAS = 3.0
LEAST_SQUARES = 1e3
"""A Huber threshold beyond every residual."""


class Answer(NamedTuple):
    """Exponents of N_opt and D_opt by one estimator of a law (a key of `plmscale.laws.methods.FITS`) in one space,
    points behind them, and why there are none."""

    law: str
    estimator: str
    space: str
    a: float
    b: float
    n_points: int
    why: Reason | None = None


class Solver:
    """Chinchilla's law of points, solved once: several choices leave the same points.

    Parameters
    ----------
    settings : FitSettings
    fit : Fit
        The law of some runs as it was fitted, which is not solved again.
    """

    def __init__(self, settings: FitSettings, fit: Fit) -> None:
        self.settings = settings
        self._known: dict[tuple[bytes, ...], ChinchillaLaw] = {}
        if law := chinchilla_of(fit, optimum=True):
            self._known[self._key(points_of_rows(fit.points), settings.huber_delta)] = law

    def __call__(self, points: Points, *, delta: float) -> ChinchillaLaw:
        key = self._key(points, delta)
        if key not in self._known:
            self._known[key] = chinchilla_law(points.n_params, points.n_tokens, points.loss, delta=delta)
        return self._known[key]

    @staticmethod
    def _key(points: Points, delta: float) -> tuple[bytes, ...]:
        return tuple(one.tobytes() for one in (points.n_params, points.n_tokens, points.loss, np.array(delta)))


def of_curves(
    curves: Sequence[Curve],
    *,
    settings: FitSettings | None = None,
    fits: Mapping[str, Mapping[str, Fit]] | None = None,
) -> pd.DataFrame:
    """Exponents by every combination of choices.

    Parameters
    ----------
    curves : sequence of Curve
    settings : FitSettings, optional
    fits : mapping, optional
        Fit by method and schedule, of these curves with these settings: what was solved for them is taken over.

    Returns
    -------
    DataFrame
        One row per schedule, flops ("as recorded", "6ND"), outliers (rule), estimator and space; columns law, a, b,
        n_points, and why, a `Reason` where there is no number.
    """
    settings, parametric = settings or FitSettings(), (fits or {}).get("chinchilla", {})
    rows: list[dict[str, Any]] = []
    for schedule in dict.fromkeys(curve.schedule for curve in curves):
        own, _ = usable([curve for curve in curves if curve.schedule == schedule])
        solve = Solver(settings, parametric.get(schedule, NO_FIT))
        for flops, outliers, chosen in _designs(own, solve=solve):
            design = {"schedule": schedule, "flops": flops, "outliers": outliers}
            rows += [design | answer._asdict() for answer in _answers(chosen, solve=solve)]
    names = ("schedule", "law", "estimator", "space", "flops", "outliers", "a", "b", "n_points", "why")
    return pd.DataFrame(rows, columns=pd.Index(names))


def _designs(curves: Sequence[Curve], *, solve: Solver) -> Iterator[tuple[str, str, list[Curve]]]:
    for flops, count in CONVENTIONS.items():
        counted = [replace(curve, flops=count(curve)) for curve in curves]
        for outliers, rule in OUTLIER_RULES.items():
            kept = rule(counted, solve)
            if kept:
                yield flops, outliers, kept


def _highest_dropped(curves: Sequence[Curve], solve: Solver) -> list[Curve]:
    del solve
    n = max(1, round(HIGHEST_SHARE * len(curves)))
    worst = sorted(curves, key=lambda curve: float(curve.loss[-1]))[-n:]
    return [curve for curve in curves if not any(curve is one for one in worst)]


def _outliers_dropped(curves: Sequence[Curve], solve: Solver) -> list[Curve]:
    points = points_of(curves, settings=replace(solve.settings, points="final"))
    if too_few(points, n_free=N_FREE):
        return list(curves)
    law = solve(points, delta=solve.settings.huber_delta)
    residual = np.log(points.loss / law.loss(points.n_params, points.n_tokens))
    sigma = float(np.median(np.abs(residual))) / 0.6745
    return [curve for curve, one in zip(curves, residual, strict=True) if abs(one) <= OUTLIER_SIGMAS * sigma]


CONVENTIONS: dict[str, Callable[[Curve], Array]] = {
    RECORDED: lambda curve: curve.flops,
    SIX_N_D: lambda curve: 6.0 * curve.n_params * curve.n_tokens,
}
OUTLIER_RULES: dict[str, Callable[[Sequence[Curve], Solver], list[Curve]]] = {
    ALL_RUNS: lambda curves, _: list(curves),
    WITHOUT_HIGHEST: _highest_dropped,
    WITHOUT_OUTLIERS: _outliers_dropped,
}


def _answers(curves: Sequence[Curve], *, solve: Solver) -> list[Answer]:
    answers: list[Answer] = []
    for law, (title, estimate) in ESTIMATORS.items():
        try:
            answers += estimate(curves, solve)
        except Exception as error:  # a fault of ours: no estimator takes the others with it
            answers.append(Answer(law, title, "", np.nan, np.nan, 0, fault(error)))
    return answers


def _envelopes(curves: Sequence[Curve], solve: Solver) -> list[Answer]:
    grid = grid_of(curves, n_points=solve.settings.n_envelope)
    found = hand_overs(grid, noise=run_noise(curves))
    log_flops = np.where(found.reason == 0, found.log_flops, np.nan)
    n = int(np.isfinite(log_flops).sum())
    a, b = line(log_flops, log_sizes=np.log(np.unique(grid.sizes)), log_costs=log_costs(grid)).exponents
    enough = n >= MIN_SIZES
    why = None if enough else Reason.of("few_hand_overs_seen", n=n)
    values = (float(a), float(b)) if enough else (np.nan, np.nan)
    answers = [Answer("envelope", "envelope, hand-overs", "log-log", *values, n, why)]
    if ends_only(curves):
        # Points between the sizes of a table are its own grid, not an envelope of curves.
        return answers
    optima = find_optima(grid, np.arange(len(grid.sizes)))
    seen = np.isfinite(by_size(grid, grid.losses)).any(axis=0)
    for name, counted in (("interior points", optima.reason == 0), ("all points", seen & (optima.reason != 1))):
        at = np.flatnonzero(counted)
        best = optima.best[at]
        points = (grid.flops[at], grid.sizes[best], grid.tokens[best, at])
        answers += _power_laws("envelope", f"envelope, {name}", *points, n_sizes=len(np.unique(grid.sizes[best])))
    return answers


def _valleys(curves: Sequence[Curve], solve: Solver) -> list[Answer]:
    budgets = at_budgets(curves, settings=solve.settings)
    answers = []
    for name in ("parabola", *VERTICES):
        title = f"IsoFLOP, {name}"
        if isinstance(budgets, Reason):
            answers += [Answer("isoflop", title, s, np.nan, np.nan, 0, budgets) for s in SPACES]
            continue
        rows = [row for row in profiles_of(budgets) if not row["reason"]]
        points = np.array([(row["flops"], row["n_params"], row["n_tokens"]) for row in rows]).reshape(-1, 3)
        if name in VERTICES:
            reader = VERTICES[name]
            sizes = np.array([reader(budgets.sizes, budgets.losses[:, i]) for i in range(budgets.flops.size)])
            known = np.isfinite(sizes)
            cost = np.interp(np.log(sizes), np.log(np.unique(budgets.sizes)), log_costs(budgets))
            points = np.column_stack([budgets.flops, sizes, budgets.flops / np.exp(cost)])[known]
        answers += _power_laws("isoflop", title, *points.T, n_sizes=len(points))
    return answers


def _power_laws(law: str, title: str, flops: Array, n_params: Array, n_tokens: Array, *, n_sizes: int) -> list[Answer]:
    """Exponents by least squares of the logarithms and of the numbers themselves."""
    n = len(flops)
    if n_sizes < MIN_SIZES:
        why = Reason.of("few_optima_seen", n=n_sizes)
        return [Answer(law, title, space, np.nan, np.nan, n, why) for space in SPACES]
    ways = zip(SPACES, (_log_exponent, _linear_exponent), strict=True)
    return [Answer(law, title, space, way(flops, n_params), way(flops, n_tokens), n) for space, way in ways]


def _log_exponent(x: Array, y: Array) -> float:
    return power_law(x, y).exponent


def _linear_exponent(x: Array, y: Array) -> float:
    start = power_law(x, y)
    middle, scale = float(np.exp(np.mean(np.log(x)))), float(np.mean(y))

    def residuals(theta: Array) -> Array:
        return np.exp(np.clip(theta[0] + theta[1] * np.log(x / middle), -300, 300)) - y / scale

    level = start.log_prefactor + start.exponent * np.log(middle) - np.log(scale)
    return float(least_squares(residuals, [level, start.exponent]).x[1])


def _parametric(curves: Sequence[Curve], solve: Solver) -> list[Answer]:
    settings = solve.settings
    points = points_of(curves, settings=settings)
    about, n = ("chinchilla", ESTIMATORS["chinchilla"][0]), len(points.rows)
    spaces = ("Huber, log loss", "least squares, log loss", "least squares, loss")
    reason = too_few(points, n_free=N_FREE)
    if reason:
        return [Answer(*about, space, np.nan, np.nan, n, reason) for space in spaces]
    answers = []
    for space, delta in zip(spaces, (settings.huber_delta, LEAST_SQUARES, LEAST_SQUARES), strict=True):
        law = solve(points, delta=delta)
        exponent = law.size_exponent
        if space == spaces[-1]:
            exponent = _least_squares_of_loss(points.n_params, points.n_tokens, points.loss, start=law)
        answers.append(Answer(*about, space, exponent, 1 - exponent, n))
    return answers


def _least_squares_of_loss(n_params: Array, n_tokens: Array, loss: Array, *, start: Any) -> float:
    x, y = np.log(n_params), np.log(n_tokens)
    centre = x.mean(), y.mean()
    terms = [start.E, start.A * np.exp(-start.alpha * centre[0]), start.B * np.exp(-start.beta * centre[1])]

    def residuals(theta: Array) -> Array:
        e, a, b, alpha, beta = theta
        return e + a * np.exp(-alpha * (x - centre[0])) + b * np.exp(-beta * (y - centre[1])) - loss

    low, high = EXPONENT_RANGE
    bounds = ([0, 0, 0, low, low], [np.inf, np.inf, np.inf, high, high])
    found = least_squares(residuals, [*terms, start.alpha, start.beta], bounds=bounds, x_scale="jac").x
    return float(found[4] / (found[3] + found[4]))


SPACES = ("log-log", "linear")
ESTIMATORS: dict[str, tuple[str, Callable[[Sequence[Curve], Solver], list[Answer]]]] = {
    "envelope": ("envelope", _envelopes),
    "isoflop": ("IsoFLOP", _valleys),
    "chinchilla": ("parametric law", _parametric),
}
"""By law: a title, and what gives the exponents."""
