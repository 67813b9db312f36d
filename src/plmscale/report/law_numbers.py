"""The numbers of laws as lines of plain text: constants with their intervals, and optimal sizes at budgets."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..laws.fit import Fit
from ..laws.size_law import VERDICTS, best_law
from ..presentation.formats import FIT_TITLES, MISSING, compact, short, with_interval
from ..study.catalog import SIZE_LAWS
from .law_lines import paragraph
from .tables.laws import symbol

CONSTANTS = {
    "envelope": ("n_prefactor", "d_prefactor"),
    "isoflop": ("n_prefactor", "d_prefactor"),
    "chinchilla": ("E", "A", "B", "alpha", "beta"),
    "kaplan": ("N_c", "D_c"),
}
"""Constants that the lines of `plmscale.report.law_lines` leave out; with them a law can be written down."""


def number_lines(fits: Mapping[str, Fit]) -> list[str]:
    """Constants of every law that stands, and its optimal sizes: at the largest run, and at the budgets asked for."""
    lines: list[str] = []
    for name, fit in fits.items():
        if fit.status not in VERDICTS:
            continue
        known = [(key, fit.estimates[key]) for key in CONSTANTS.get(name, ()) if key in fit.estimates]
        said = [f"{symbol(key)} = {with_interval(one)}" for key, one in known if one.value is not None]
        if said:
            lines += paragraph(f"Constants, {FIT_TITLES[name]}: {'; '.join(said)}.")
        if name in SIZE_LAWS and (sizes := list(_sizes(name, fit))):
            lines += paragraph(f"Sizes, {FIT_TITLES[name]}: {'; '.join(sizes)}.")
    return lines


def _sizes(name: str, fit: Fit) -> Iterator[str]:
    law = best_law({name: {"": fit}})
    if law is not None and law.range is not None:
        flops, where = law.flops[1], "the most of a run"
        if law.at(flops) is None:
            flops, where = law.range[1], "the most at which it has a size"
        if (at := law.at(flops)) is not None:
            size, tokens = _words(at.n_params, at.low, at.high), _words(at.n_tokens, at.tokens_low, at.tokens_high)
            yield f"at {compact(flops)} FLOPs, {where}, N_opt = {size}, D_opt = {tokens}, {at.position}"
    beyond = []
    for row in fit.details.get("optimal_sizes", ()):
        if row["n_params"] is None:
            beyond.append(f"{compact(row['flops'])} ({row['status']})")
            continue
        size, tokens = _of(row, "n_params"), _of(row, "n_tokens")
        yield f"at {compact(row['flops'])} FLOPs N_opt = {size}, D_opt = {tokens}, {row['status']}"
    if beyond:
        yield f"none at {', '.join(beyond)}"


def _of(row: Mapping[str, Any], key: str) -> str:
    return _words(row[key], row[f"{key}_low"], row[f"{key}_high"])


def _words(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return MISSING
    return short(value) if low is None or high is None else f"{short(value)} ({short(low)}–{short(high)})"
