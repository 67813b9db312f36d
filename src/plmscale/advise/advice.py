"""The next best cells: which runs would narrow the answer most for their cost.

Ranked under Chinchilla's law, in which a run of any size and length informs the loss of every other. What the ranking
cannot take into account is a warning (`plmscale.advise.advice_warnings`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..estimates import Estimate
from ..laws.budgets import TokenCost
from ..laws.chinchilla import fit as chinchilla
from ..laws.confidence.chinchilla_profiles import N_FREE
from ..laws.confidence.run_noise import RunNoise, run_noise
from ..laws.fit import Fit, FitSettings
from ..laws.points import points_of, too_few
from ..runs.curves import Curve, usable
from .candidates import NEW_SIZES, Candidate
from .known_law import KnownLaw, assumed, of_runs
from .targets import PowerCost, Target

Array = NDArray[np.float64]

LEAST_GAIN = 0.001
"""Cells that narrow the interval by a smaller share are in no plan. Not larger: with many runs each cheap one narrows
it by less than 1 %, and all of them together by much for little."""
LONGEST_PLAN = 24
"""Cells of a plan: what they show changes the law, and with it the advice."""
MOST_OF_NEW = 2
"""A plan has no more cells of a size that was never trained: whether the law holds there is not known yet."""
LEAST_SPREAD = 6
"""Cells that a spread has at least: none may cost more than this part of the budget."""
LARGEST_SHARE = 1.0
"""FLOPs of a cell ÷ FLOPs of all runs before it, at most, while smaller cells help: compute at most doubles with a
cell. A law that is wrong beyond the runs, or poorly known, then costs no more than the usual doubling of budgets."""


@dataclass(frozen=True)
class Question:
    """What is asked, and what may be spent.

    Attributes
    ----------
    target : Target
    device_hours : float
        What all new cells together may cost.
    """

    target: Target
    device_hours: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.device_hours) and self.device_hours > 0):
            raise InputError(f"budget_gpu_hours is {self.device_hours}; it must be a positive number of device-hours.")


@dataclass(frozen=True)
class Advice:
    """What to train next.

    Attributes
    ----------
    question : Question
    table : DataFrame
        One row per candidate, the best for its cost first: the fields of `Candidate`, `tokens_per_param`,
        `narrower_percent` (expected fall of the interval's width by this cell alone), `percent_per_hour`, and `order`,
        its place in `plan` or None.
    plan : DataFrame
        The cells to train within the budget, in order, with `half_width` after each.
    value, half_width : float
        The target (its natural logarithm for sizes and losses) and half its 95 % interval now; NaN without a law.
    fit : Fit, optional
        Chinchilla's law of the runs.
    noise : RunNoise, optional
    spread : str
        Why cells are not ranked by the target but spread over sizes and lengths; empty if the law is known.
    reason : str
        Why there is no advice at all; empty if there is.
    warnings : tuple of str
    """

    question: Question
    table: pd.DataFrame
    plan: pd.DataFrame
    value: float = math.nan
    half_width: float = math.nan
    fit: Fit | None = None
    noise: RunNoise | None = None
    spread: str = ""
    reason: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def half_width_after(self) -> float:
        """Half the interval after the plan."""
        return self.half_width if self.plan.empty else float(self.plan["half_width"].iloc[-1])


Candidates = Callable[[Sequence[Curve]], list[Candidate]]
"""Usable runs of one schedule to the cells that may follow."""


def advise(
    curves: Sequence[Curve],
    question: Question,
    *,
    candidates: Candidates,
    rng: np.random.Generator,
    settings: FitSettings | None = None,
) -> Advice:
    """Rank the cells that could be trained next, and plan a sequence of them.

    Parameters
    ----------
    curves : sequence of Curve
        Runs of one schedule.
    question : Question
    candidates : callable
        `plmscale.advise.candidates.of_runs` or `plmscale.advise.study_candidates.of_study`.
    rng : numpy.random.Generator
        Draws the resamples of the runs.
    settings : FitSettings, optional

    Returns
    -------
    Advice
        Without numbers, and with the reason, where the runs carry no law at all.
    """
    settings = settings or FitSettings()
    kept, _ = usable(curves)
    nothing = _frame([])
    if not kept:
        return Advice(question, nothing, nothing, reason="there is no usable run.")
    points, noise = points_of(kept, settings=settings), run_noise(kept)
    cost = PowerCost.of(TokenCost(kept))
    fit = chinchilla(kept, rng=rng, settings=settings)
    spread = "" if fit.status in ("identified", "weakly_identified") else fit.reason
    if too_few(points, n_free=N_FREE):
        known = assumed(points, question.target, cost=cost)
    else:
        known = of_runs(points, question.target, cost=cost, noise=noise, rng=rng, settings=settings)
    found = [one for one in candidates(kept) if one.device_hours <= question.device_hours]
    table, plan = nothing, nothing
    if found:
        before = sum(float(curve.flops[-1]) for curve in kept)
        table, plan = _ranked(known, found, budget=Budget(question.device_hours, before), spread=bool(spread))
    reason = "" if found else f"no candidate costs less than {question.device_hours:g} device-hours, the budget."
    value, half_width = (math.nan, math.nan) if spread else (known.value, known.half_width)
    return Advice(question, table, plan, value, half_width, fit=fit, noise=noise, spread=spread, reason=reason)


def own_interval(advice: Advice) -> Estimate | None:
    """The interval that the fit itself gives for the target, by profile likelihood, where it gives one."""
    if advice.fit is None or advice.question.target.name != "a":
        return None
    return advice.fit.estimates["a"]


class Budget(NamedTuple):
    """Device-hours that may be spent, and FLOPs that were spent before."""

    device_hours: float
    flops_before: float


def _ranked(
    known: KnownLaw, found: Sequence[Candidate], *, budget: Budget, spread: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of candidates and the plan."""
    table = _frame(found)
    rows = known.rows(table["n_params"].to_numpy(), table["n_tokens"].to_numpy())
    worth = known.spreads(rows) if spread else known.gains(rows)
    table["narrower_percent"] = np.nan if spread else 100 * -np.expm1(-worth)
    table["percent_per_hour"] = table["narrower_percent"] / table["device_hours"]
    steps = best_sequence(known, rows, table, budget=budget, spread=spread)
    places = {index: place for place, (index, _) in enumerate(steps, start=1)}
    table["order"] = pd.Series([places.get(i) for i in range(len(table))], dtype=object)
    widths = [math.nan if spread else width for _, width in steps]
    plan = table.loc[[index for index, _ in steps]].assign(half_width=widths, order=range(1, len(steps) + 1))
    first = -worth if spread else -table["percent_per_hour"].to_numpy()
    return table.iloc[np.argsort(first, kind="stable")].reset_index(drop=True), plan.reset_index(drop=True)


class Rule(NamedTuple):
    """How a greedy plan chooses: `worth` of each candidate divided by `per` (m,), none dearer than `dearest`
    device-hours, none twice: a cell beside it informs as much, and also shows whether the law holds."""

    worth: Callable[[KnownLaw, Array], Array]
    per: Array
    dearest: float = math.inf


def best_sequence(
    known: KnownLaw, rows: Array, table: pd.DataFrame, *, budget: Budget, spread: bool = False
) -> list[tuple[int, float]]:
    """The better of two greedy plans, by gain per device-hour and by gain alone: either can be far from the best
    (Leskovec et al. 2007, section 4).

    Parameters
    ----------
    known : KnownLaw
        Not changed.
    rows : array, shape (k, m, 5)
        Of the candidates, by `known.rows`.
    table : DataFrame
        Columns `device_hours`, `flops`, `n_params` and `kind`, m rows.
    budget : Budget
    spread : bool
        By information on all parameters instead of the target: the sizes and lengths furthest apart of which the
        budget pays for six.

    Returns
    -------
    list of (int, float)
        Candidate, and half the interval after it.
    """
    hours, flops, size = (table[name].to_numpy(dtype=float) for name in ("device_hours", "flops", "n_params"))
    cells, one = CandidateCells(hours, flops, size, table["kind"].isin(list(NEW_SIZES)).to_numpy()), np.ones_like(hours)
    if spread:
        dearest = max(budget.device_hours / LEAST_SPREAD, float(hours.min()))
        budget = budget._replace(flops_before=math.inf)
        return _greedy(known.copy(), rows, cells, budget, Rule(KnownLaw.spreads, one, dearest))
    plans = [_greedy(known.copy(), rows, cells, budget, Rule(KnownLaw.gains, per)) for per in (hours, one)]
    return min(plans, key=lambda plan: plan[-1][1] if plan else math.inf)


class CandidateCells(NamedTuple):
    """What a plan must know of candidates, arrays of shape (m,)."""

    hours: Array
    flops: Array
    size: Array
    is_new: NDArray[np.bool_]


def _greedy(known: KnownLaw, rows: Array, cells: CandidateCells, budget: Budget, rule: Rule) -> list[tuple[int, float]]:
    """One cell after the other, the best by `rule`."""
    left, spent = budget
    open_ = np.ones(cells.hours.size, dtype=bool)
    steps: list[tuple[int, float]] = []
    while len(steps) < LONGEST_PLAN:
        worth = rule.worth(known, rows)
        allowed = open_ & (cells.hours <= min(left, rule.dearest)) & (worth >= LEAST_GAIN)
        best = best_of(worth / rule.per, cells.flops, spent=spent, allowed=allowed)
        if best is None:
            break
        known.add(rows[:, best])
        steps.append((best, known.half_width))
        left, spent = left - cells.hours[best], spent + cells.flops[best]
        open_[best] = False
        of_size = cells.size == cells.size[best]
        if cells.is_new[best] and sum(of_size[i] for i, _ in steps) >= MOST_OF_NEW:
            open_ &= ~of_size
    return steps


def best_of(score: Array, flops: Array, *, spent: float, allowed: NDArray[np.bool_]) -> int | None:
    """The candidate of the highest score among those no dearer than all runs so far; among all if there is none.

    Parameters
    ----------
    score, flops : arrays, shape (m,)
    spent : float
        FLOPs of all runs so far.
    allowed : array of bool, shape (m,)

    Returns
    -------
    int or None
        None if nothing is allowed.
    """
    if not allowed.any():
        return None
    within = allowed & (flops <= LARGEST_SHARE * spent)
    return int(np.argmax(np.where(within if within.any() else allowed, score, -np.inf)))


def _frame(found: Sequence[Candidate]) -> pd.DataFrame:
    table = pd.DataFrame(found, columns=pd.Index(Candidate._fields))
    table.insert(4, "tokens_per_param", table["n_tokens"] / table["n_params"])
    return table
