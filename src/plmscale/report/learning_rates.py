"""Learning rates as a table, and warnings of sizes whose fitted runs were trained beside their optimum."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..estimates import Estimate
from ..laws.learning_rates import EDGE, INSIDE, Rates, Sweep, learning_rates
from ..presentation.formats import number, short, with_interval
from ..presentation.tables import Column, Table
from ..results.analysed import LawResults
from ..runs.curves import Curve, usable
from ..runs.selection import SAME_LENGTH, by_rate, rate_groups

NO_SWEEP = "no sweep of its own"

COLUMNS = (
    Column("Schedule", "schedule"),
    Column("N (parameters)", "n_params", "count"),
    Column("Set", "subset"),
    Column("D (tokens)", "n_tokens", "number"),
    Column("Rates", "n_rates", "count"),
    Column("Lowest", "lowest", "given"),
    Column("Highest", "highest", "given"),
    Column("Optimum (95 % interval)", "optimum", "number", ("optimum_low", "optimum_high")),
    Column("Status", "status"),
    Column("Rate of the fitted run", "fitted", "given"),
    Column("What it costs (nats)", "penalty", "number"),
    Column("By the rule (95 % interval)", "rule", "number", ("rule_low", "rule_high")),
    Column("Why no optimum", "reason", width=4.0),
)
NAMES = ("schedule", "n_params", "subset", "n_tokens", "n_rates", "lowest", "highest", "did_not_finish", "best")
NAMES += ("optimum", "optimum_low", "optimum_high", "loss", "curvature", "status", "reason", "fitted", "penalty")
NAMES += ("rule", "rule_low", "rule_high")


def rates_table(results: LawResults) -> Table:
    """One row per size, set and length of a schedule that has a sweep; those without a sweep by the rule alone."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for rates in learning_rates(results.curves):
        rows += rate_rows(rates, results.curves)
        notes.append(f"{rates.schedule}: {rule_sentence(rates)}")
    notes += off_optimum(results.curves)
    note = (
        "The optimum is the vertex of a parabola of the loss in log rate; it counts between the rates tried alone. "
        "Laws use the run with the best rate of each sweep."
    )
    return Table(pd.DataFrame(rows, columns=pd.Index(NAMES), dtype=object), COLUMNS, notes=(note, *notes))


def rate_rows(rates: Rates, curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Rows of one schedule: every group of its runs that a law uses, or that was swept."""
    own, _ = usable([curve for curve in curves if curve.schedule == rates.schedule], repeated=True)
    rows = []
    for group in rate_groups(own):
        fitted = next(iter(by_rate(group)))
        one = group[0]
        sweep = _own_sweep(one, rates.sweeps, exactly=True)
        row: dict[str, Any] = {"schedule": rates.schedule, "n_params": one.n_params, "subset": one.subset}
        row |= {"n_tokens": float(one.n_tokens[-1]), "fitted": fitted, "status": NO_SWEEP, "n_rates": 1}
        row |= {"lowest": fitted, "highest": fitted, "penalty": _penalty(one, fitted, rates)}
        if sweep is not None:
            row |= _swept(sweep)
        if rates.rule is not None:
            row |= _ends("rule", rates.rule.at(one.n_params, float(one.n_tokens[-1])))
        rows.append(row)
    return sorted(rows, key=lambda row: (row["n_params"], row["n_tokens"], row["subset"]))


def _swept(sweep: Sweep) -> dict[str, Any]:
    row: dict[str, Any] = {"n_rates": len(np.unique(sweep.rates)), "lowest": float(sweep.rates.min())}
    row |= {"highest": float(sweep.rates.max()), "best": sweep.best, "status": sweep.status, "reason": sweep.reason}
    row |= {"did_not_finish": ", ".join(f"{rate:g}" for rate in sweep.failed)} | _ends("optimum", sweep.optimum)
    if sweep.status == INSIDE and sweep.parabola is not None:
        row |= {"loss": sweep.parabola.floor, "curvature": sweep.parabola.curvature}
    return row


def _ends(name: str, one: Estimate) -> dict[str, float | None]:
    return {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}


def rule_sentence(rates: Rates) -> str:
    """The rule with its intervals, or why there is none."""
    rule = rates.rule
    if rule is None:
        return f"no rule of the learning rate: {rates.reason}."
    tokens = "" if rule.d.value == 0 else f"·D^−d, d = {with_interval(rule.d)}"
    return (
        f"best learning rate = {rule.k:.3g}·N^−c{tokens}, c = {with_interval(rule.c)}, from {rule.n_sweeps} sweeps of "
        f"{short(rule.sizes[0])} to {short(rule.sizes[1])} parameters."
    )


def off_optimum(curves: Sequence[Curve]) -> list[str]:
    """A sentence per size whose fitted runs have a rate outside the interval of its optimum, or whose optimum is open.

    The optimum is that of the size's own sweep (of the nearest length, where the run's own was not swept), else that of
    the rule over sizes.
    """
    found = []
    for rates in learning_rates(curves):
        own, _ = usable([curve for curve in curves if curve.schedule == rates.schedule], repeated=True)
        for size in sorted({curve.n_params for curve in own}):
            of_size = [curve for curve in own if curve.n_params == size and curve.learning_rate > 0]
            said = [(words, cost) for curve in of_size for words, cost in _judged(curve, rates)]
            if said:
                words, _ = max(said, key=lambda one: one[1])
                found.append(f"{rates.schedule}, {short(size)} parameters: {words}")
    return found


def _judged(curve: Curve, rates: Rates) -> list[tuple[str, float]]:
    """What is wrong with the rate of a fitted run, and its cost; nothing where it lies in the interval."""
    rate, sweep = curve.learning_rate, _own_sweep(curve, rates.sweeps, exactly=False)
    if sweep is not None and sweep.status == EDGE:
        return [(f"its best learning rate is not known, as {sweep.reason}; its fitted runs may be off.", 0.0)]
    if sweep is not None and sweep.status == INSIDE:
        optimum, source = sweep.optimum, "its own sweep"
    elif rates.rule is not None:
        optimum, source = rates.rule.at(curve.n_params, float(curve.n_tokens[-1])), "the rule over sizes"
    else:
        return []
    if not _outside(rate, optimum):
        return []
    cost = _penalty(curve, rate, rates)
    costs = "" if cost is None else f", which costs about {number(cost, digits=2)} nats"
    words = (
        f"a fitted run has a learning rate of {rate:.3g}, the optimum by {source} is {with_interval(optimum)}{costs}."
    )
    return [(words, cost or 0.0)]


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
