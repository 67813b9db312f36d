"""The first lines of a design: what is expected, what else the budget buys, and what would be needed."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..presentation.formats import compact, number, per_cent, short
from .budget import CPU
from .expectation import IDENTIFIED, NOT
from .prior import Prior
from .remedy import FACTORS, Remedy
from .simulation import LACK_OF_FIT, Simulated
from .spending import Cost
from .study import CONFIGURATION, Draft, Source, described

LINE = 115


@dataclass(frozen=True)
class Alternative:
    """The cells in another precision: their cost, and how many of them the budget would pay for."""

    precision: str
    cost: Cost
    n_cells: int


@dataclass(frozen=True)
class Promise:
    """A design and what its first lines say; `remedy` is None where a law will be identified, or no budget would do."""

    draft: Draft
    cost: Cost
    expected: Simulated
    prior: Prior
    target_flops: float
    alternatives: Sequence[Alternative]
    remedy: Remedy | None


def first_lines(promise: Promise) -> str:
    """What a terminal shows, the expectation first."""
    said = [expectation(promise), cells(promise)]
    said += [alternative(promise, one) for one in promise.alternatives]
    said += [law(promise), counts(promise), UNTUNED]
    return "\n".join(line for one in said for line in textwrap.wrap(one, LINE, subsequent_indent="  "))


def expectation(promise: Promise) -> str:
    """The expected intervals, or that there will be no law."""
    told, target = promise.expected, compact(promise.target_flops)
    a, size = told.interval, told.size
    ends = f"a = {told.a:.2f} (95 % interval {a.low or 0:.2f} to {a.high or 0:.2f})"
    if size.low is None or size.high is None:
        reach = f"no interval for the best size at {target} FLOPs"
    else:
        reach = f"N_opt for {target} FLOPs = {_size(size.value)} ({_size(size.low)} to {_size(size.high)})"
    studies = f"{told.n_identified} of {told.n_studies} simulated studies"
    if told.status == IDENTIFIED:
        departure = per_cent(LACK_OF_FIT, decimals=1)
        inexact = f"in {told.n_departing or 'none'} where losses depart from the law by {departure}"
        return f"Expected: {ends}, identified in {studies}, {inexact}; {reach}."
    head = "No law will be identified" if told.status == NOT else "The law will be only weakly identified"
    return f"{head} ({studies} identify it): expected {ends}; {reach}. {_needed(promise)}"


def _size(value: float | None) -> str:
    return number(value) if value is not None and not 1 <= value < 1e13 else short(value or 0.0)


def _needed(promise: Promise) -> str:
    remedy = promise.remedy
    if remedy is None:
        return (
            "The law that is expected has a floor of zero. Fits that find none are weakly identified at any budget, "
            "however narrow the interval."
        )
    noise = promise.prior.noise * remedy.noise
    less = f"runs with a noise of {noise:.2g} in log loss instead of {promise.prior.noise:g}"
    if remedy.budget is None:
        return f"To identify it, {FACTORS[-1]} times the budget would not suffice; {less} would."
    return f"To identify it would take about {remedy.budget:.2g} times the budget, or {less}."


def cells(promise: Promise) -> str:
    """What is trained, and what it costs by the plan."""
    draft, cost = promise.draft, promise.cost
    used = f"{per_cent(cost.share(draft), decimals=1)} of {draft.budget.words}"
    device = "core" if draft.budget.device == CPU else draft.budget.device
    parts = [f"{number(cost.flops)} FLOPs", f"{number(cost.device_hours)} {device}-hours"]
    if draft.budget.kind == "deadline":
        parts.append(f"{number(cost.hours)} h from start to end")
    if draft.budget.price is not None:
        parts.append(f"{cost.device_hours * draft.budget.price:,.0f} in money")
    return f"{described(draft)}. By the plan: {', '.join(parts)}, {used}."


def alternative(promise: Promise, one: Alternative) -> str:
    """Another precision in words."""
    draft = promise.draft
    hours = f"{number(one.cost.device_hours)} {draft.budget.device}-hours"
    n, precision = draft.design.n_cells, draft.budget.precision
    if draft.budget.device_hours is None:
        return f"{one.precision}: the same cells take {hours}."
    if one.n_cells == n:
        return f"{one.precision}: {n} cells; {precision}: {n}. The same cells take {hours} in {one.precision}."
    paid = f"{one.n_cells} cells" if one.n_cells else "too few cells for any law"
    return f"{one.precision}: {paid}; {precision}: {n} (all take {hours} in {one.precision})."


def law(promise: Promise) -> str:
    """What the expectation rests on."""
    prior, draft = promise.prior, promise.draft
    sizes = [float(size) for size in draft.sizes]
    tokens = draft.tokens
    most = prior.seen.decades(sizes[-1], tokens[-1], 6 * sizes[-1] * tokens[-1])
    least = prior.seen.decades(sizes[0], tokens[0], 6 * sizes[0] * tokens[0])
    target = prior.seen.decades(prior.seen.n_params[0], prior.seen.n_tokens[0], promise.target_flops).flops
    beyond = {"N": (least.n_params, most.n_params), "D": (least.n_tokens, most.n_tokens)}
    far = [f"{_decades(value)} in {name}" for name, both in beyond.items() for value in both if value]
    far += [f"{_decades(target)} in the C of N_opt"] if target else []
    where = (
        f"Beyond its runs: {', '.join(far)} (decades)." if far else "All sizes, tokens and FLOPs are within its runs."
    )
    return (
        f"Expected under: {prior.title}. Noise of a run {prior.noise:g} in log loss, 90 % of its variance common to a "
        f"trunk (assumptions). Under another law, the intervals differ. {where}"
    )


def _decades(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def counts(promise: Promise) -> str:
    """The proteins."""
    draft = promise.draft
    whole = draft.subsets[0]
    return (
        f"{whole.n_sequences:,} sequences of {draft.proteins.n_residues:,} residues to train on, "
        f"{whole.n_tokens or 0:,} tokens a pass of {draft.budget.max_length} positions; "
        f"{draft.proteins.n_holdout:,} more for the holdout."
    )


UNTUNED = (
    "Rates and batch are rules that were not tuned on these proteins, and speeds are assumptions: "
    "`plmscale run bracket` checks the rate of the largest size, `plmscale calibrate` measures the speeds."
)


def closing(folder: str, source: Source) -> str:
    """Where everything is, and what to type next."""
    written = f"Written: {folder}/{CONFIGURATION}, models.tsv, subsets.tsv, design.json"
    return f"{written}\n{source.words}\nNext: plmscale plan --directory {folder}"


def record(promise: Promise) -> dict[str, Any]:
    """The promise for programs, so that it can be held beside the fit."""
    told, draft = promise.expected, promise.draft
    return {
        "format_version": 1,
        "budget": {"kind": draft.budget.kind, "amount": draft.budget.amount, "device": draft.budget.device},
        "cells": draft.design.n_cells,
        "flops": promise.cost.flops,
        "device_hours": promise.cost.device_hours,
        "share_of_budget": promise.cost.share(draft),
        "a": {"value": told.a, "low": told.interval.low, "high": told.interval.high},
        "n_opt": {"flops": promise.target_flops, **vars(told.size)},
        "status": told.status,
        "width": told.width,
        "identified_studies": told.n_identified,
        "simulated_studies": told.n_studies,
        "identified_departing_studies": told.n_departing,
        "lack_of_fit": LACK_OF_FIT,
        "law": promise.prior.title,
        "noise": promise.prior.noise,
        "interior_decades": draft.design.interior,
    }
