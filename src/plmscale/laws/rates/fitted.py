"""The learning rates of the runs that laws use, beside the best ones that sweeps of the rate found."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...estimates import Estimate
from ...reasons import Reason
from ...runs.curves import Curve, usable
from ...runs.selection import SAME_LENGTH, by_rate, rate_groups
from ..learning_rates import learning_rates
from .found import EDGE, INSIDE, NO_SWEEP, OffOptimum, RateFindings, Rates, Sweep


def rate_findings(curves: Sequence[Curve]) -> list[RateFindings]:
    """Sweeps, rule, fitted runs and sizes off their optimum of every schedule that has a sweep."""
    found = []
    for rates in learning_rates(curves):
        own, _ = usable([curve for curve in curves if curve.schedule == rates.schedule], repeated=True)
        found.append(RateFindings(rates, rate_rows(rates, own), off_optimum(rates, own)))
    return found


def rate_rows(rates: Rates, curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Rows of one schedule: every group of its runs that a law uses, or that was swept."""
    rows = []
    for group in rate_groups(curves):
        fitted = next(iter(by_rate(group)))
        one = group[0]
        sweep = _own_sweep(one, rates.sweeps, exactly=True)
        row: dict[str, Any] = {"schedule": rates.schedule, "n_params": one.n_params, "subset": one.subset}
        row |= {"n_tokens": float(one.n_tokens[-1]), "fitted": fitted, "status": NO_SWEEP, "why": None}
        row |= {"n_rates": 1, "lowest": fitted, "highest": fitted, "penalty": _penalty(one, fitted, rates)}
        if sweep is not None:
            row |= _swept(sweep)
        if rates.rule is not None:
            row |= _ends("rule", rates.rule.at(one.n_params, float(one.n_tokens[-1])))
        rows.append(row)
    return sorted(rows, key=lambda row: (row["n_params"], row["n_tokens"], row["subset"]))


def _swept(sweep: Sweep) -> dict[str, Any]:
    row: dict[str, Any] = {"n_rates": len(np.unique(sweep.rates)), "lowest": float(sweep.rates.min())}
    row |= {"highest": float(sweep.rates.max()), "best": sweep.best, "status": sweep.status, "why": sweep.why}
    row |= {"did_not_finish": ", ".join(f"{rate:g}" for rate in sweep.failed)} | _ends("optimum", sweep.optimum)
    if sweep.status == INSIDE and sweep.parabola is not None:
        row |= {"loss": sweep.parabola.floor, "curvature": sweep.parabola.curvature}
    return row


def _ends(name: str, one: Estimate) -> dict[str, float | None]:
    return {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}


def off_optimum(rates: Rates, curves: Sequence[Curve]) -> list[OffOptimum]:
    """The sizes whose fitted runs have a rate outside the interval of its optimum, or whose optimum is open.

    The optimum is that of the size's own sweep (of the nearest length, where the run's own was not swept), else that of
    the rule over sizes.
    """
    found = []
    for size in sorted({curve.n_params for curve in curves}):
        of_size = [curve for curve in curves if curve.n_params == size and curve.learning_rate > 0]
        judged = [(why, cost) for curve in of_size for why, cost in _judged(curve, rates)]
        if judged:
            why, _ = max(judged, key=lambda one: one[1])
            found.append(OffOptimum(rates.schedule, size, why))
    return found


def _judged(curve: Curve, rates: Rates) -> list[tuple[Reason, float]]:
    """What is wrong with the rate of a fitted run, and its cost; nothing where it lies in the interval."""
    rate, sweep = curve.learning_rate, _own_sweep(curve, rates.sweeps, exactly=False)
    if sweep is not None and sweep.status == EDGE:
        return [(Reason.of("rate_unknown", sweep=sweep.why), 0.0)]
    if sweep is not None and sweep.status == INSIDE:
        optimum, swept = sweep.optimum, True
    elif rates.rule is not None:
        optimum, swept = rates.rule.at(curve.n_params, float(curve.n_tokens[-1])), False
    else:
        return []
    if not _outside(rate, optimum):
        return []
    cost = _penalty(curve, rate, rates)
    best = {"optimum": optimum.value, "low": optimum.low, "high": optimum.high, "swept": swept}
    return [(Reason("rate_off", {"rate": rate, "cost": cost} | best), cost or 0.0)]


def _outside(rate: float, optimum: Estimate) -> bool:
    below = optimum.low is not None and rate < optimum.low
    return below or (optimum.high is not None and rate > optimum.high)


def _penalty(curve: Curve, rate: float, rates: Rates) -> float | None:
    """What a rate costs, nats: by the parabola of the size's own sweep, else by the median curvature about the rule."""
    sweep = _own_sweep(curve, rates.sweeps, exactly=False)
    if sweep is not None and sweep.status == INSIDE:
        return sweep.penalty(rate)
    curvatures = [one.parabola.curvature for one in rates.sweeps if one.status == INSIDE and one.parabola is not None]
    if rates.rule is None or not curvatures or sweep is not None:
        return None
    best = rates.rule.at(curve.n_params, float(curve.n_tokens[-1])).value
    return None if best is None else float(np.median(curvatures) * np.log(rate / best) ** 2)


def _own_sweep(curve: Curve, sweeps: Sequence[Sweep], *, exactly: bool) -> Sweep | None:
    """The sweep of a run's size at the length nearest to it; `exactly` that which it belongs to."""
    own = [one for one in sweeps if one.n_params == curve.n_params]
    if not own:
        return None
    tokens = float(curve.n_tokens[-1])
    nearest = min(own, key=lambda one: (abs(np.log(one.n_tokens / tokens)), one.subset != curve.subset))
    if not exactly:
        return nearest
    same = [one for one in own if one.subset == curve.subset and one.n_tokens / SAME_LENGTH <= tokens]
    same = [one for one in same if tokens <= one.n_tokens * SAME_LENGTH]
    return same[0] if same else None
