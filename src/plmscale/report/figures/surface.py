"""The parametric law as a surface: contours of the loss with the efficient frontier, and what it leaves unexplained."""

import math
import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ...laws.budgets import TokenCost
from ...laws.chinchilla import cheapest_size
from ...laws.fit import NO_FIT, Fit
from ...laws.loss_law import chinchilla_of
from ...laws.solvers.chinchilla import ChinchillaLaw
from ...presentation.axis_labels import COMPUTE, RATIO, SIZE
from ...presentation.figure_style import (
    FONT_SIZE,
    OKABE_ITO,
    SizeScale,
    empty,
    leftmost,
    legend_above,
    line_entry,
    log_ticks,
    marker_entry,
    name_left_out,
    panels,
    schedule_panels,
    sentence,
)
from ...presentation.formats import FIT_TITLES, STATUS_WORDS
from ...presentation.schedule_words import schedule_title, schedule_words
from ...results.analysed import LawResults
from ...runs.curves import usable
from .laws import predicted

Array = NDArray[np.float64]

GRID = 120
N_LEVELS = 12
N_FRONTIER = 60
MARGIN = 1.3
"""Factor by which the contours go beyond the runs, in size and in compute."""

NOT_IDENTIFIED = (0, (4, 3))
"""Dashes of a frontier."""

LAWS = ("chinchilla", "kaplan")
TITLE_WIDTH = 26
"""Characters of a line of the title of a panel of residuals."""

ENOUGH_FOR_MEDIANS = 25
"""Runs of which fifths have a median that says something."""


def contours(results: LawResults, sizes: SizeScale) -> Figure:
    """Loss of the parametric law over compute and size, the runs, and the best size of each budget (the frontier).

    A schedule has a panel where its law has a best point, identified or not; the others are named below.
    """
    fits = {schedule: results.fits.get("chinchilla", {}).get(schedule, NO_FIT) for schedule in results.schedules}
    laws = {schedule: chinchilla_of(fit, optimum=True) for schedule, fit in fits.items() if fit.points}
    shown = [schedule for schedule, law in laws.items() if law is not None]
    figure, axes = schedule_panels(max(len(shown), 1), height=4.2)
    if not shown:
        empty(axes[0], f"{FIT_TITLES['chinchilla']}: no schedule has a law to draw.")
        return figure
    known = [schedule for schedule in shown if chinchilla_of(fits[schedule], optimum=False) is not None]
    for ax, schedule in zip(axes, shown, strict=True):
        fit, law = fits[schedule], chinchilla_of(fits[schedule], optimum=schedule not in known)
        assert law is not None
        ax.set_title(schedule_title(schedule))
        cost = TokenCost(usable([curve for curve in results.curves if curve.schedule == schedule])[0])
        _surface(ax, law, fit, cost=cost, sizes=sizes, identified=schedule in known)
    lines = [line_entry(color="black", label="efficient frontier")] if known else []
    if len(known) < len(shown):
        lines.append(line_entry(color="black", ls=NOT_IDENTIFIED, label="frontier of a law that is not identified"))
    legend_above(figure, [marker_entry("o", label="end of a run, its colour the loss measured"), *lines])
    name_left_out(figure, "No law to draw", (one for one in results.schedules if one not in shown))
    return figure


def _surface(ax: Axes, law: ChinchillaLaw, fit: Fit, *, cost: TokenCost, sizes: SizeScale, identified: bool) -> None:
    del sizes  # size is the vertical axis here
    n_params, flops, loss = (np.array([row[key] for row in fit.points]) for key in ("n_params", "flops", "loss"))
    c = np.geomspace(flops.min() / MARGIN, flops.max() * MARGIN, GRID)
    n = np.geomspace(n_params.min() / MARGIN, n_params.max() * MARGIN, GRID)
    surface = law.loss(n[:, None], c[None, :] / cost(n)[:, None])
    # Levels between the losses that were measured; beyond them the law says what nobody saw.
    low, high = float(loss.min()), float(np.quantile(loss, 0.95))
    levels = np.geomspace(low, max(high, low * 1.001), N_LEVELS)
    shades = mpl.colormaps["viridis"]
    norm = LogNorm(low, max(high, low * 1.001))
    # Before the contours: their labels are placed on the axes as they are then.
    ax.set(xscale="log", yscale="log", xlim=(c[0], c[-1]), ylim=(n[0], n[-1]))
    lines = ax.contour(c, n, surface, levels=levels, cmap=shades, norm=norm, linewidths=0.8, zorder=2)
    # As many decimals as keep the labels of neighbouring lines apart.
    decimals = max(2, math.ceil(-math.log10(levels[2] - levels[0])))
    texts = ax.clabel(
        lines, levels=levels[::2], fontsize=FONT_SIZE, fmt=f"%.{decimals}f", inline_spacing=2, colors="black", zorder=6
    )
    for text in texts or ():
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
    ax.scatter(flops, n_params, c=loss, cmap=shades, norm=norm, s=16, edgecolor="white", linewidth=0.4, zorder=4)
    budgets = np.geomspace(c[0], c[-1], N_FRONTIER)
    best = np.array([cheapest_size(law, float(budget), cost=cost) for budget in budgets])
    inside = np.where((best >= n[0]) & (best <= n[-1]), best, np.nan)
    ax.plot(budgets, inside, color="black", lw=1.5, ls="-" if identified else NOT_IDENTIFIED, zorder=5)
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis, prefixes=True)
    ax.set_xlabel(COMPUTE)
    ax.set_ylabel(SIZE)


def residuals(results: LawResults, sizes: SizeScale) -> Figure:
    """Measured minus predicted final loss of the parametric laws, per cent, against tokens per parameter.

    A schedule has panels where one of the laws has a best point, identified or not; the others are named below.
    """
    known = {s: [_predicted(n, results.fits.get(n, {}).get(s, NO_FIT)) for n in LAWS] for s in results.schedules}
    schedules = [schedule for schedule, found in known.items() if any(found)] or results.schedules
    figure, rows = panels(len(schedules), len(LAWS), height=1.4 + 2.5 * len(schedules), sharey=True)
    any_run = False
    for row, schedule in zip(rows, schedules, strict=True):
        for ax, name in zip(row, LAWS, strict=True):
            fit = results.fits.get(name, {}).get(schedule, NO_FIT)
            whose = "" if len(results.schedules) == 1 else f", {schedule_words(schedule)}"
            ax.set_title(textwrap.fill(f"{FIT_TITLES[name]}{whose}", TITLE_WIDTH))
            any_run = _residual_panel(ax, name, fit, sizes) or any_run
        for ax in leftmost(row):
            ax.set_ylabel("Measured ÷ law − 1 (%)")
    if any_run:
        sizes.legend(figure, [ax for row in rows for ax in row])
        fits = [results.fits.get(name, {}).get(schedule, NO_FIT) for name in LAWS for schedule in schedules]
        handles: list[Any] = []
        if any(len(fit.points) >= ENOUGH_FOR_MEDIANS for fit in fits):
            handles.append(line_entry(color=OKABE_ITO[1], lw=1.2, label="median of a fifth of the runs"))
        if any(
            results.fits.get(name, {}).get(s, NO_FIT).status == "not_identified" for name in LAWS for s in schedules
        ):
            handles.append(marker_entry("o", label="hollow: best point of a law that is not identified", mfc="none"))
        legend_above(figure, handles)
    name_left_out(figure, "No law to draw", (one for one in results.schedules if one not in schedules))
    return figure


def _predicted(name: str, fit: Fit) -> tuple[Array, Array, Array] | None:
    """`predicted` of a law, of its best point if it is not identified; None where no run has a prediction."""
    found = predicted(name, fit, optimum=False) or predicted(name, fit, optimum=True)
    return found if found is not None and len(found[0]) else None


def _residual_panel(ax: Axes, name: str, fit: Fit, sizes: SizeScale) -> bool:
    identified, found = predicted(name, fit, optimum=False), _predicted(name, fit)
    if found is None:
        # The vertical axis is shared: its ticks stay.
        ax.set_xticks([])
        sentence(ax, f"{FIT_TITLES[name]}: {STATUS_WORDS[fit.status]}.")
        return False
    n_params, loss, law = found
    ratio = np.array([row["n_tokens"] for row in fit.points]) / n_params
    error = 100 * (loss / law - 1)
    for x, y, size in zip(ratio, error, n_params, strict=True):
        look = {"mfc": sizes[size], "mec": "white"} if identified else {"mfc": "none", "mec": sizes[size]}
        ax.plot([x], [y], "o", ms=4.5, mew=0.6, zorder=3, **look)
    ax.axhline(0, color="0.3", lw=0.9, zorder=2)
    order = np.argsort(ratio)
    if len(order) >= ENOUGH_FOR_MEDIANS:
        groups = np.array_split(order, 5)
        middle = [float(np.exp(np.mean(np.log(ratio[group])))) for group in groups]
        ax.plot(middle, [float(np.median(error[group])) for group in groups], color=OKABE_ITO[1], lw=1.2, zorder=4)
    ax.set_xscale("log")
    log_ticks(ax.xaxis)
    ax.set_xlabel(RATIO)
    return True
