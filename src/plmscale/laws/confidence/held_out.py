"""Error of each law beyond its data: fitted without the largest runs, asked for them.

An interval says how well a law is known if it is the right one. What a law is used for is a larger run than any it has
seen; the only evidence on that is to hide the largest runs and predict them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...presentation.reasons import words
from ...reasons import Reason
from ...runs.curves import Curve, usable
from ...runs.selection import repeats
from ..envelope import hand_overs
from ..envelope_grid import log_costs
from ..final_losses import grid_of
from ..fit import FitSettings
from ..isoflop import at_budgets, profiles_of
from ..plateau_levels import find_plateau, levels_of
from ..points import Points, points_of, too_few
from ..power_law import power_law
from ..size_transitions import line
from ..solvers.chinchilla import chinchilla_law
from ..solvers.kaplan import N_FREE as KAPLAN_FREE
from ..solvers.kaplan import KaplanProblem, best_fit
from ..solvers.repeated import N_FREE as REPEATED_FREE
from ..solvers.repeated import repeated_law
from .chinchilla_profiles import N_FREE as CHINCHILLA_FREE
from .run_noise import run_noise
from .verdicts import LARGEST_SHARE, MIN_SIZES

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """Error of a prediction, as a difference of natural logarithms: 0.01 is one per cent too high.

    Attributes
    ----------
    quantity : str
        What was predicted.
    n_fitted, n_left_out : int
        Points of the fit, and points predicted.
    mean_log_error, rms_log_error : float, optional
        None where it could not be done.
    reason : str
        Why not; else empty.
    """

    quantity: str
    n_fitted: int
    n_left_out: int
    mean_log_error: float | None = None
    rms_log_error: float | None = None
    reason: str = ""


def held_out(name: str, curves: Sequence[Curve], *, settings: FitSettings) -> dict[str, dict[str, Any]]:
    """Errors of the fit `name` on the largest budget and on the largest size, each fitted without it.

    Parameters
    ----------
    name : str
        A key of `plmscale.laws.methods.FITS`.
    curves : sequence of Curve
        Runs of one schedule.
    settings : FitSettings

    Returns
    -------
    dict
        "largest_budget" (what cost more than half of the largest FLOPs) and "largest_size", each a `HeldOut` as a dict.
        `chinchilla`, `kaplan` and `repeated` predict final losses, `envelope` and `isoflop` the optimal size, `plateau`
        the FLOPs to its highest level.
    """
    kept, _ = usable(curves, repeated=name == "repeated")
    found = METHODS[name](kept, settings) if kept else {}
    nothing = HeldOut("", 0, 0, reason="there is no usable run")
    return {key: vars(found.get(key, nothing)) for key in ("largest_budget", "largest_size")}


def _parametric(curves: Sequence[Curve], settings: FitSettings, *, n_free: int, solve: Any) -> dict[str, HeldOut]:
    points = points_of(curves, settings=settings)
    flops = np.array([row["flops"] for row in points.rows])
    hidden = {
        "largest_budget": flops > LARGEST_SHARE * flops.max(),
        "largest_size": points.n_params == points.n_params.max(),
    }
    found = {}
    for key, mask in hidden.items():
        rest = _subset(points, ~mask)
        reason = too_few(rest, n_free=n_free)
        said = words(reason) if reason else ""
        errors = None if reason else np.log(solve(rest, _subset(points, mask))) - np.log(points.loss[mask])
        found[key] = _error("final loss", int(np.sum(~mask)), int(np.sum(mask)), errors, reason=said)
    return found


def _subset(points: Points, kept: NDArray[np.bool_]) -> Points:
    rows = [row for row, one in zip(points.rows, kept, strict=True) if one]
    return Points(points.n_params[kept], points.n_tokens[kept], points.loss[kept], points.run[kept], rows)


def _chinchilla(curves: Sequence[Curve], settings: FitSettings) -> dict[str, HeldOut]:
    def solve(rest: Points, asked: Points) -> Array:
        law = chinchilla_law(rest.n_params, rest.n_tokens, rest.loss, delta=settings.huber_delta)
        return law.loss(asked.n_params, asked.n_tokens)

    return _parametric(curves, settings, n_free=CHINCHILLA_FREE, solve=solve)


def _kaplan(curves: Sequence[Curve], settings: FitSettings) -> dict[str, HeldOut]:
    def solve(rest: Points, asked: Points) -> Array:
        problem = KaplanProblem.of(rest.n_params, rest.n_tokens, rest.loss, delta=settings.huber_delta)
        return problem.loss(best_fit(problem)[0], asked.n_params, asked.n_tokens)

    return _parametric(curves, settings, n_free=KAPLAN_FREE, solve=solve)


def _repeated(curves: Sequence[Curve], settings: FitSettings) -> dict[str, HeldOut]:
    if not any(repeats(curve) for curve in curves):
        return {}

    def solve(rest: Points, asked: Points) -> Array:
        data = (rest.n_params, rest.n_tokens, rest.unique_tokens, rest.loss)
        law = repeated_law(data, delta=settings.huber_delta)
        return law.loss(asked.n_params, asked.n_tokens, asked.unique_tokens)

    return _parametric(curves, settings, n_free=REPEATED_FREE, solve=solve)


def _envelope(curves: Sequence[Curve], settings: FitSettings) -> dict[str, HeldOut]:
    grid = grid_of(curves, n_points=settings.n_envelope)
    found = hand_overs(grid, noise=run_noise(curves))
    sizes = np.log(np.unique(grid.sizes))
    log_flops = np.where(found.reason == 0, found.log_flops, np.nan)
    used = np.flatnonzero(np.isfinite(log_flops))
    if used.size == 0:
        nothing = HeldOut("N_opt", 0, 0, reason="no hand-over counts")
        return {"largest_budget": nothing, "largest_size": nothing}
    middle = (sizes[1:] + sizes[:-1]) / 2
    hidden = {"largest_budget": int(used[np.argmax(log_flops[used])]), "largest_size": int(used[-1])}
    errors = {}
    for key, one in hidden.items():
        rest = log_flops.copy()
        rest[one] = np.nan
        law = line(rest, log_sizes=sizes, log_costs=log_costs(grid))
        reason = "" if used.size > MIN_SIZES else f"{used.size - 1} hand-overs are left, the law needs {MIN_SIZES}"
        predicted = (log_flops[one] - float(law.start)) / float(law.slope) if law.slope > 0 else np.nan
        errors[key] = _error("N_opt", used.size - 1, 1, np.array([predicted - middle[one]]), reason=reason)
    return errors


def _isoflop(curves: Sequence[Curve], settings: FitSettings) -> dict[str, HeldOut]:
    everyone = _vertices(curves, settings)
    if len(everyone) < 2:
        nothing = HeldOut("N_opt", 0, 0, reason="fewer than two budgets have an optimum")
        return {"largest_budget": nothing, "largest_size": nothing}
    largest = max(curve.n_params for curve in curves)
    fitted = {
        "largest_budget": everyone[:-1],
        "largest_size": _vertices([curve for curve in curves if curve.n_params < largest], settings),
    }
    errors = {}
    for key, rest in fitted.items():
        reason = "" if len(rest) >= MIN_SIZES else f"{len(rest)} budgets have an optimum, the law needs {MIN_SIZES}"
        error = None
        if not reason:
            law = power_law(*np.array(rest).T)
            error = np.array([float(np.log(law.at(everyone[-1][0]) / everyone[-1][1]))])
        errors[key] = _error("N_opt", len(rest), 1, error, reason=reason)
    return errors


def _vertices(curves: Sequence[Curve], settings: FitSettings) -> list[tuple[float, float]]:
    """Budgets and their optimal sizes, smallest budget first."""
    if not curves:
        return []
    budgets = at_budgets(curves, settings=settings)
    rows = [] if isinstance(budgets, Reason) else profiles_of(budgets)
    return [(row["flops"], row["n_params"]) for row in rows if not row["reason"]]


def _plateau(curves: Sequence[Curve], settings: FitSettings) -> dict[str, HeldOut]:
    levels = levels_of(find_plateau(curves, settings=settings), settings=settings)
    quantity = "FLOPs to the plateau"
    sizes = np.array([curve.n_params for curve in curves], dtype=float)
    targets = np.array([level.loss for level in levels[-1:]])
    log_flops = np.array([curve.log_flops_to_reach(targets) for curve in curves])[:, :1]
    reached = np.isfinite(log_flops).any(axis=1) if log_flops.size else np.zeros(len(curves), dtype=bool)
    if not reached.any():
        nothing = HeldOut(quantity, 0, 0, reason="no run comes to a plateau")
        return {"largest_budget": nothing, "largest_size": nothing}
    x, y = sizes[reached], log_flops[reached, 0]
    hidden = {"largest_budget": y > y.max() + np.log(LARGEST_SHARE), "largest_size": x == x.max()}
    errors = {}
    for key, mask in hidden.items():
        n_sizes = len(np.unique(x[~mask]))
        reason = "" if n_sizes >= MIN_SIZES else f"{n_sizes} sizes are left, the law needs {MIN_SIZES}"
        error = None if reason else np.log(power_law(x[~mask], np.exp(y[~mask])).at(x[mask])) - y[mask]
        errors[key] = _error(quantity, int(np.sum(~mask)), int(np.sum(mask)), error, reason=reason)
    return errors


def _error(quantity: str, n_fitted: int, n_left_out: int, errors: Array | None, *, reason: str) -> HeldOut:
    if reason or errors is None or not np.isfinite(errors).all():
        return HeldOut(quantity, n_fitted, n_left_out, reason=reason or "the law has no prediction there")
    mean, rms = float(np.mean(errors)), float(np.sqrt(np.mean(errors**2)))
    return HeldOut(quantity, n_fitted, n_left_out, mean, rms)


METHODS: dict[str, Callable[[Sequence[Curve], FitSettings], dict[str, HeldOut]]] = {
    "envelope": _envelope,
    "isoflop": _isoflop,
    "chinchilla": _chinchilla,
    "kaplan": _kaplan,
    "plateau": _plateau,
    "repeated": _repeated,
}
"""How each method of `plmscale.laws.methods.FITS` predicts what it was not shown."""
