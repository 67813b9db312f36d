"""Laws of the optimal size as lines with bands: every figure draws, and every table prints, these numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..laws.budgets import INSIDE
from ..laws.fit import Fit
from ..laws.size_law import SizeLaw, best_law

Array = NDArray[np.float64]
Quantity = Literal["n_params", "n_tokens"]

N_LINE = 49
"""Budgets at which a law is drawn, besides those that were asked."""


@dataclass(frozen=True)
class LawCurve:
    """An optimal quantity at rising compute, arrays of shape (n,).

    Attributes
    ----------
    flops, value : ndarray
    low, high : ndarray
        Ends of the 95 % interval; NaN where there is none.
    inside : ndarray of bool
        Whether size, tokens and compute are within those of the runs: what is not is drawn dashed.
    asked : ndarray of bool
        Whether somebody asked for the optimum at this budget: a row of the table of optimal sizes.
    """

    flops: Array
    value: Array
    low: Array
    high: Array
    inside: NDArray[np.bool_]
    asked: NDArray[np.bool_]

    def parts(self) -> Iterator[tuple[bool, slice]]:
        """Stretches inside and beyond the data, each with the first point of the next, so that the line is whole."""
        ends = [0, *(np.flatnonzero(np.diff(self.inside.astype(int))) + 1), len(self.inside)]
        for start, end in zip(ends[:-1], ends[1:], strict=True):
            yield bool(self.inside[start]), slice(start, min(end + 1, len(self.inside)))


def law_curves(fit: Fit, schedule: str) -> dict[Quantity, LawCurve] | None:
    """Optimal size and tokens of a law over the compute of the runs and the budgets asked; None without a law."""
    law = best_law({fit.name: {schedule: fit}})
    if law is None or law.range is None:
        return None
    asked = [float(row["flops"]) for row in asked_rows(fit)]
    low, high = law.range[0], min(max(law.flops[1], *asked, law.range[0]), law.range[1])
    flops = np.unique([*np.geomspace(low, high, N_LINE)[1:-1], low, high, *(c for c in asked if low <= c <= high)])
    found = [(float(c), one) for c in flops if (one := law.at(float(c))) is not None]
    at = np.array([c for c, _ in found])
    inside = np.array([one.position == INSIDE for _, one in found], dtype=bool)
    table = {key: np.array([getattr(one, key) for _, one in found], dtype=float) for key in _KEYS}
    marks = np.isin(at, asked)
    return {
        "n_params": LawCurve(at, table["n_params"], table["low"], table["high"], inside, marks),
        "n_tokens": LawCurve(at, table["n_tokens"], table["tokens_low"], table["tokens_high"], inside, marks),
    }


_KEYS = ("n_params", "low", "high", "n_tokens", "tokens_low", "tokens_high")


def asked_rows(fit: Fit) -> list[Mapping[str, Any]]:
    """Rows of the table of optimal sizes that have a number."""
    return [row for row in fit.details.get("optimal_sizes", ()) if row.get("n_params") is not None]


def headline_law(fits: Mapping[str, Mapping[str, Fit]]) -> tuple[SizeLaw, Fit] | None:
    """The law with the best verdict and its fit: what a summary and a page answer by."""
    law = best_law(fits)
    return None if law is None else (law, fits[law.fit][law.schedule])
