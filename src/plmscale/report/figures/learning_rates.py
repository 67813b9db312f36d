"""Sweeps of the learning rate: loss against rate of each size, and the best rate against size."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...laws.rates.found import INSIDE, Rates, Sweep
from ...presentation.axis_labels import SIZE, loss_label
from ...presentation.figure_style import (
    LEFT_OUT,
    OKABE_ITO,
    SizeScale,
    empty,
    legend_above,
    line_entry,
    log_ticks,
    marker_entry,
    panels,
)
from ...presentation.schedule_words import schedule_title
from ...results.analysed import LawResults

N_LINE = 60


def rates_figure(results: LawResults, sizes: SizeScale) -> Figure:
    """Final loss against learning rate with parabolas (left), and the optima against size with their rule (right)."""
    found = [one.rates for one in results.rates]
    rows = max(len(found), 1)
    figure, axes = panels(rows, 2, height=0.8 + 3.1 * rows)
    if not found:
        for ax in axes[0]:
            empty(ax, "No size was trained at several learning rates.")
        return figure
    for row, rates in zip(axes, found, strict=True):
        for ax in row:
            ax.set_title(schedule_title(rates.schedule))
        _losses(row[0], rates, sizes)
        masked = results.unigram_entropy is not None
        row[0].set_ylabel(loss_label("Loss above the lowest of its sweep", masked=masked))
        _optima(row[1], rates, sizes)
    sizes.legend(figure, [ax for row in axes for ax in row])
    entries = [
        marker_entry("o", label="end of a run"),
        line_entry(label="parabola about the best rate"),
        marker_entry("D", label="optimum, 95 % interval", mec="white", ms=6),
        marker_entry("v", label="best rate tried, at the edge", mfc="none", mec=LEFT_OUT, ms=6),
    ]
    if any(rates.rule is not None for rates in found):
        entries.append(line_entry(label="rule over sizes", color=OKABE_ITO[1]))
    legend_above(figure, entries)
    return figure


def _losses(ax: Axes, rates: Rates, sizes: SizeScale) -> None:
    for sweep in rates.sweeps:
        colour = sizes[sweep.n_params]
        # Lengths and sets lie far apart: what counts is how much a rate costs against the best of its own sweep.
        floor = float(sweep.losses.min())
        if sweep.status == INSIDE and sweep.parabola is not None:
            floor = sweep.parabola.floor
            at = np.linspace(np.log(sweep.rates.min()), np.log(sweep.rates.max()), N_LINE)
            ax.plot(np.exp(at), sweep.parabola.at(at) - floor, color=colour, lw=1.0, zorder=2)
        ax.plot(sweep.rates, sweep.losses - floor, "o", color=colour, ms=3.5, mec="white", mew=0.4, zorder=3)
    highest = max(float(np.ptp(sweep.losses)) for sweep in rates.sweeps)
    ax.set_ylim(-0.05 * highest, 1.1 * highest)
    ax.set_xscale("log")
    log_ticks(ax.xaxis)
    ax.set_xlabel("Learning rate")


def _optima(ax: Axes, rates: Rates, sizes: SizeScale) -> None:
    for sweep in rates.sweeps:
        _optimum(ax, sweep, colour=sizes[sweep.n_params])
    n = np.array([sweep.n_params for sweep in rates.sweeps], dtype=float)
    if rates.rule is not None:
        at = np.geomspace(n.min(), n.max(), N_LINE)
        tokens = float(np.sqrt(rates.rule.tokens[0] * rates.rule.tokens[1]))
        ends = [rates.rule.at(float(one), tokens) for one in at]
        value, low, high = np.array([(one.value, one.low, one.high) for one in ends], dtype=float).T
        ax.plot(at, value, color=OKABE_ITO[1], lw=1.5, zorder=2)
        ax.fill_between(at, low, high, color=OKABE_ITO[1], alpha=0.15, lw=0)
    ax.set_xscale("log")
    ax.set_yscale("log")
    log_ticks(ax.xaxis, prefixes=True)
    log_ticks(ax.yaxis)
    ax.set_xlabel(SIZE)
    ax.set_ylabel("Best learning rate")


def _optimum(ax: Axes, sweep: Sweep, *, colour: Any) -> None:
    one = sweep.optimum
    if one.value is None:
        ax.plot([sweep.n_params], [sweep.best], "v", mfc="none", mec=LEFT_OUT, ms=5, zorder=3)
        return
    # An end that is open goes as far as rates were tried.
    low = float(sweep.rates.min()) if one.low is None else one.low
    high = float(sweep.rates.max()) if one.high is None else one.high
    ax.plot([sweep.n_params] * 2, [low, high], color=colour, lw=0.9, zorder=3)
    ax.plot([sweep.n_params], [one.value], "D", color=colour, ms=4.5, mec="white", mew=0.5, zorder=4)
