"""Repeated data: what passes over one set are worth, and losses against passes beside the law."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ...estimates import Estimate
from ...laws.fit import Fit
from ...laws.repeated import worth
from ...laws.solvers.chinchilla import ChinchillaLaw
from ...laws.solvers.repeated import RepeatedLaw
from ...presentation.axis_labels import loss_label
from ...presentation.figure_style import (
    OKABE_ITO,
    SizeScale,
    empty,
    legend_above,
    legend_below,
    line_entry,
    log_ticks,
    marker_entry,
    panels,
)
from ...presentation.formats import number, with_interval
from ...presentation.schedule_words import schedule_title
from ...results.analysed import LawResults

N_LINE = 80
# Passes are drawn this far beyond those of the longest run, and no further than anyone would ask.
BEYOND, MOST_PASSES = 2.0, 100.0


def repeated_figure(results: LawResults, sizes: SizeScale) -> Figure:
    """Worth of passes in new data with its interval (left); final losses against passes and the law (right)."""
    found = {
        schedule: fit
        for schedule, fit in results.fits.get("repeated", {}).items()
        if fit.details.get("applies", False) and fit.points
    }
    rows = max(len(found), 1)
    figure, axes = panels(rows, 2, height=1.2 + 3.1 * rows)
    if not found:
        for ax in axes[0]:
            empty(ax, "No run has seen its training set more than once.")
        return figure
    for row, (schedule, fit) in zip(axes, found.items(), strict=True):
        for ax in row:
            ax.set_title(schedule_title(schedule))
        _worth(row[0], fit)
        _losses(row[1], fit, sizes)
        row[1].set_ylabel(loss_label("Final loss", masked=results.unigram_entropy is not None))
    sizes.legend(figure, [row[1] for row in axes])
    legend_above(figure, [marker_entry("o", label="end of a run"), line_entry(label="law, by size and unique tokens")])
    return figure


def _worth(ax: Axes, fit: Fit) -> None:
    most = float(fit.details["most_epochs"])
    at = np.geomspace(1.0, min(BEYOND * most, MOST_PASSES), N_LINE)
    ax.plot(at, at, color="0.5", lw=0.9, ls=(0, (4, 3)))
    handles = [line_entry(label="as much as new data", color="0.5", lw=0.9, ls=(0, (4, 3)))]
    r_d = fit.estimates["r_d"]
    if fit.details.get("effective"):
        value, low, high = (
            np.array([worth(float(n), end) for n in at])
            for end in (
                np.inf if r_d.value is None else r_d.value,
                0.0 if r_d.low is None else r_d.low,
                np.inf if r_d.high is None else r_d.high,
            )
        )
        ax.plot(at, value, color=OKABE_ITO[0], lw=1.5, zorder=3)
        ax.fill_between(at, low, high, color=OKABE_ITO[0], alpha=0.18, lw=0)
        handles.insert(0, line_entry(label=_limit_or_value(r_d), color=OKABE_ITO[0]))
        if most < at[-1]:
            ax.axvline(most, color="0.7", lw=0.9, ls=":", zorder=0)
            handles.append(line_entry(label="most passes of a run", color="0.7", lw=0.9, ls=":"))
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        _ticks(axis)
    ax.set_xlabel("Passes over one set")
    ax.set_ylabel("Worth (passes over new data)")
    legend_below(ax, handles)


def _losses(ax: Axes, fit: Fit, sizes: SizeScale) -> None:
    cells: dict[tuple[float, float], list[tuple[float, float]]] = {}
    for row in fit.points:
        unique = float(row["unique_tokens"]) or float(row["n_tokens"])
        passes = max(float(row["n_tokens"]) / unique, 1.0)
        cells.setdefault((float(row["n_params"]), unique), []).append((passes, float(row["loss"])))
    law = _law(fit.details.get("optimum"))
    for (size, unique), ends in cells.items():
        passes, loss = np.array(sorted(ends)).T
        colour = sizes[int(size)]
        ax.plot(passes, loss, "o", color=colour, ms=3, mec="white", mew=0.4, zorder=3)
        if law is not None and len(ends) > 1:
            at = np.geomspace(passes[0], passes[-1], N_LINE)
            ax.plot(at, law.loss(size, at * unique, unique), color=colour, lw=0.8, alpha=0.8, zorder=2)
    ax.set_xscale("log")
    _ticks(ax.xaxis)
    ax.set_xlabel("Passes over one set")


def _ticks(axis: Axis) -> None:
    """Passes as 1, 2, 5, not as powers of ten."""
    log_ticks(axis)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _limit_or_value(r_d: Estimate) -> str:
    """A value that has no upper end says nothing: where the search happened to stop."""
    if r_d.low is not None and r_d.high is None:
        return f"R_D* ≥ {number(r_d.low)}"
    return f"R_D* = {with_interval(r_d)}"


def _law(values: Any) -> RepeatedLaw | None:
    if not values:
        return None
    e, a, b, alpha, beta = (float(values[key]) for key in ("E", "A", "B", "alpha", "beta"))
    base = ChinchillaLaw(e, a, b, alpha, beta, 0.0)
    return RepeatedLaw(base, float(values["r_d"]), float(values["r_n"]), 0.0, 0.0)
