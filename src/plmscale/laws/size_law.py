"""The optimal size at any compute, read off a fit's JSON: inside the law's range with its interval, outside nothing.

Every fit is asked for the optimal size at half decades of compute from its smallest run to `REACH` times its largest
(`details["size_law"]`); between them the answer is interpolated in logarithms, which is exact for power laws. So a law
can be applied later, to models that the fit has never seen, without its resamples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..estimates import Status
from ..runs.curves import Curve, usable
from ..runs.extent import EXTRAPOLATED, INSIDE, REACH, Extent
from ..study.catalog import SIZE_LAWS
from .fit import Fit, FitSettings

__all__ = ["REACH", "SizeAt", "SizeLaw", "VERDICTS", "asked_more", "best_law", "set_apart"]

STEPS_PER_DECADE = 2

VERDICTS = ("identified", "weakly_identified")
"""Statuses with numbers, the better one first."""


@dataclass(frozen=True)
class SizeAt:
    """The optimal size at one compute.

    Attributes
    ----------
    position : str
        `plmscale.runs.extent.INSIDE` or `EXTRAPOLATED`.
    n_params, low, high : float
        Parameters with the ends of the 95 % interval; None where the law has no interval.
    n_tokens, tokens_low, tokens_high : float, optional
        What the compute buys at these sizes, by the FLOPs that the runs count.
    """

    position: str
    n_params: float
    low: float | None
    high: float | None
    n_tokens: float | None = None
    tokens_low: float | None = None
    tokens_high: float | None = None


@dataclass(frozen=True)
class SizeLaw:
    """A fitted law as a function from compute to size.

    Attributes
    ----------
    fit, schedule, status, reason, caveat : str
        Which law it is, its verdict and the sentence with it; what is said beside its numbers.
    rows : sequence of dict
        `plmscale.laws.budgets.optimal_sizes` at rising `flops`.
    flops : tuple of float
        Least and most compute of a run.
    seen : Extent, optional
        Sizes, tokens and FLOPs of the runs; None for a fit of an earlier version, whose rows say what is inside.
    """

    fit: str
    schedule: str
    status: Status
    reason: str
    rows: Sequence[Mapping[str, Any]]
    flops: tuple[float, float]
    caveat: str = ""
    seen: Extent | None = None

    @property
    def range(self) -> tuple[float, float] | None:
        """Least and most FLOPs at which `at` has an answer; None where it has none at all."""
        known = [float(row["flops"]) for row in self.rows if row["n_params"] is not None]
        return (known[0], known[-1]) if known else None

    def at(self, flops: float) -> SizeAt | None:
        """The optimal size at a compute; None outside the law's range."""
        i = int(np.searchsorted([row["flops"] for row in self.rows], flops))
        pair = self.rows[max(i - 1, 0) : i + 1]
        if i == len(self.rows) or (i == 0 and flops < self.rows[0]["flops"]):
            return None
        if any(row["n_params"] is None for row in pair):
            return None
        value, *rest = (_interpolated(pair, key, flops) for key in _KEYS)
        beyond = not self.flops[0] <= flops <= self.flops[1]
        if self.seen is None or value is None or rest[2] is None:
            beyond = beyond or any(row["status"] != INSIDE for row in pair)
        else:
            beyond = beyond or self.seen.decades(value, rest[2], flops).furthest > 0
        return SizeAt(EXTRAPOLATED if beyond else INSIDE, value or math.nan, *rest)


_KEYS = ("n_params", "n_params_low", "n_params_high", "n_tokens", "n_tokens_low", "n_tokens_high")


def _interpolated(pair: Sequence[Mapping[str, Any]], key: str, flops: float) -> float | None:
    if any(row[key] is None for row in pair):
        return None
    at = np.log([row["flops"] for row in pair])
    return float(np.exp(np.interp(math.log(flops), at, np.log([row[key] for row in pair]))))


def asked_more(settings: FitSettings, curves: Sequence[Curve]) -> FitSettings:
    """The settings with the half decades of compute behind their own budgets."""
    return replace(settings, budgets=(*settings.budgets, *_half_decades(curves)))


def set_apart(fit: Fit, curves: Sequence[Curve], *, settings: FitSettings) -> Fit:
    """The fit with the answers to `asked_more` moved from `optimal_sizes` to `size_law`."""
    rows = fit.details.get("optimal_sizes")
    if not rows:
        return fit
    own, more = rows[: len(settings.budgets)], rows[len(settings.budgets) :]
    law = None
    if fit.status in VERDICTS:
        seen = Extent.of(usable(curves)[0], whole=fit.name != "chinchilla")
        law = {"rows": more, "flops": list(_range(curves)), "seen": seen and seen.to_json()}
    return replace(fit, details={**fit.details, "optimal_sizes": own, "size_law": law})


def _range(curves: Sequence[Curve]) -> tuple[float, float]:
    ends = [float(curve.flops[-1]) for curve in curves if curve.flops.size and curve.flops[-1] > 0]
    return (min(ends), max(ends)) if ends else (math.nan, math.nan)


def _half_decades(curves: Sequence[Curve]) -> list[float]:
    low, high = _range(curves)
    if math.isnan(low):
        return []
    first = math.floor(math.log10(low) * STEPS_PER_DECADE)
    last = math.ceil(math.log10(high * REACH) * STEPS_PER_DECADE)
    return [10 ** (k / STEPS_PER_DECADE) for k in range(first, last + 1)]


def best_law(
    fits: Mapping[str, Mapping[str, Fit]], *, name: str | None = None, schedule: str | None = None
) -> SizeLaw | None:
    """The law with the best verdict; among equals the first of `SIZE_LAWS`, then the first schedule.

    Parameters
    ----------
    fits : mapping
        Fit by method and schedule.
    name, schedule : str, optional
        Only this method, only this schedule.

    Returns
    -------
    SizeLaw or None
        None where no law is identified.
    """
    found = [
        (VERDICTS.index(fit.status), SIZE_LAWS.index(method), own, fit)
        for method in SIZE_LAWS
        if name in (None, method)
        for own, fit in fits.get(method, {}).items()
        if schedule in (None, own) and fit.status in VERDICTS and fit.details.get("size_law")
    ]
    if not found:
        return None
    _, _, own, fit = min(found, key=lambda one: one[:2])
    law = fit.details["size_law"]
    flops, seen = (law["flops"][0], law["flops"][1]), Extent.from_json(law.get("seen"))
    return SizeLaw(fit.name, own, fit.status, fit.reason, _with_asked(law["rows"], fit), flops, fit.caveat, seen)


def _with_asked(rows: Sequence[Mapping[str, Any]], fit: Fit) -> list[Mapping[str, Any]]:
    """The half decades and the budgets that were asked: at those the law answers what the table of them says."""
    asked = [row for row in fit.details.get("optimal_sizes", ()) if row["n_params"] is not None]
    others = [row for row in rows if not any(math.isclose(row["flops"], one["flops"]) for one in asked)]
    return sorted((*others, *asked), key=lambda row: row["flops"])
