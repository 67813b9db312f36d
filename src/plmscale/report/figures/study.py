"""The figures of a finished study. Figures 1 to 3 are those of Serrano et al. 2024 (arXiv 2406.07249)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...laws.fit import NO_FIT, Fit
from ...presentation.axis_labels import COMPUTE, SIZE, loss_label
from ...presentation.figure_rc import FONT_SIZE
from ...presentation.figure_style import (
    OKABE_ITO,
    SetMarks,
    SizeScale,
    empty,
    footnote,
    leftmost,
    legend_above,
    legend_below,
    line_entry,
    log_ticks,
    name_left_out,
    panels,
    schedule_panels,
    sentence,
)
from ...presentation.formats import STATUS_WORDS, number, with_interval
from ...presentation.schedule_words import schedule_title
from ...published.figure import of_study as published_models
from ...results.analysed import LawResults
from ...results.study_results import Results
from ...runs.curves import Curve
from ..envelope_lines import envelope_line
from ..forecast import forecast_figure
from ..loss_axis import loss_range, outside
from ..sensitivity import forest
from .isoflop import isoflop_profiles
from .laws import compute_optimal, parametric_fit
from .learning_rates import rates_figure
from .repeated import repeated_figure
from .surface import contours, residuals

ROOM_FOR_SENTENCE = 0.4
"""Share of a panel's height that a sentence at its top takes."""

FEWEST_POINTS = 10
"""Points that an envelope needs to be a line."""

LARGEST_GAP = 0.02
"""Budgets without a run that a line of the envelope leads across, as a share of the range of log FLOPs."""

UNIGRAM: dict[str, Any] = {"color": "0.3", "lw": 0.9, "ls": (0, (4, 3))}
NOT_FITTED: dict[str, Any] = {"color": "black", "lw": 1.0, "ls": (0, (1, 1.5))}
"""Lines of what guessing by frequency gives, and of the part of the envelope that no fit uses."""


def set_marks(results: LawResults) -> SetMarks:
    """Markers of the sets that models are trained on."""
    return SetMarks(results.sets)


def loss_vs_flops(results: LawResults, sizes: SizeScale, *, schedule: str) -> Figure:
    """A schedule (figures 1 and 2: the paper's): smoothed loss of its runs against FLOPs, and the envelope."""
    figure, ((ax,),) = panels(1, 1, height=4.4)
    curves = [c for c in results.curves if c.schedule == schedule and c.flops.size]
    fit = results.fits.get("envelope", {}).get(schedule, NO_FIT)
    ax.set_title(schedule_title(schedule))
    if not curves:
        empty(ax, "No run of this schedule has an evaluation.")
        return figure
    marks = set_marks(results)
    for curve in curves:
        colour = sizes[curve.n_params]
        look = {"ms": 2, "color": colour, "alpha": 0.3, "mew": 0, "rasterized": True}
        ax.plot(curve.flops, curve.raw_loss, ".", gid=f"{curve.run}, measured", **look)
        ax.plot(curve.flops, curve.loss, color=colour, lw=1.1, zorder=3, gid=f"{curve.run}, smoothed")
        end = (curve.flops[-1:], curve.loss[-1:])
        ax.plot(*end, marks[curve.subset], color=colour, ms=4.5, mec="white", mew=0.5, zorder=6)
    lines = _draw_envelope(ax, fit)
    entropy = results.unigram_entropy
    notes = _loss_axis(ax, curves, entropy=entropy)
    sizes.legend(figure, [ax])
    several = len(results.sets) > 1
    legend_above(figure, marks.handles(curve.subset for curve in curves) if several else [])
    if entropy is not None and not outside(entropy, ax.get_ylim()):
        lines.append(line_entry(label=f"unigram entropy, {entropy:.3f} nats", **UNIGRAM))
    legend_below(ax, lines, columns=2)
    ends = f"Markers: ends of runs{', by training set' * several}."
    footnote(figure, [" ".join([ends, *notes])])
    return figure


def _draw_envelope(ax: Axes, fit: Fit) -> list[Line2D]:
    """The lowest loss that a budget reaches, black where its size is an optimum among smaller and larger ones."""
    points = envelope_line(fit)
    if len(points) < FEWEST_POINTS:  # runs with one evaluation each: a budget here and there, and no line
        return []
    rows = _with_gaps([(point.flops, point.loss, point.used) for point in points])
    flops, loss, counted = (np.array(column) for column in zip(*rows, strict=True))
    # Dotted, so that the runs that it follows stay visible.
    ax.plot(flops, np.where(counted, np.nan, loss), zorder=5, gid="envelope, not fitted", **NOT_FITTED)
    ax.plot(flops, np.where(counted, loss, np.nan), color="black", lw=1.5, zorder=5, gid="envelope")
    handles = []
    if any(point.used for point in points):
        handles.append(line_entry(color="black", label="envelope"))
    if not all(point.used for point in points):
        handles.append(line_entry(label="envelope, not fitted", **NOT_FITTED))
    return handles


def _with_gaps(rows: list[tuple[float, float, bool]]) -> list[tuple[float, float, bool]]:
    """The points of the envelope with a missing one where budgets in between have none: no line leads across."""
    widest = (rows[-1][0] / rows[0][0]) ** LARGEST_GAP
    drawn = rows[:1]
    for before, row in pairwise(rows):
        if row[0] / before[0] > widest:
            drawn.append((before[0], float("nan"), before[2]))
        drawn.append(row)
    return drawn


def _loss_axis(ax: Axes, curves: Sequence[Curve], *, entropy: float | None) -> list[str]:
    """Limits that show where models differ, and the unigram entropy. Returns what a reader must be told."""
    ends = loss_range(curves)
    visible = [curve.flops[curve.loss <= ends[1]] for curve in curves]
    shown = np.concatenate([flops for flops in visible if flops.size])
    ax.set_ylim(*ends)
    if shown.max() > shown.min():
        ax.set_xlim(shown.min() / 1.15, shown.max() * 1.15)
    ax.set_xscale("log")
    log_ticks(ax.xaxis)
    if entropy is not None:
        _level_of_guessing(ax, entropy, words=f"unigram entropy, {entropy:.3f} nats")
    ax.set_xlabel(COMPUTE)
    ax.set_ylabel(loss_label(masked=entropy is not None))
    start = max(curve.initial_loss for curve in curves)
    if start <= ends[1]:
        return []
    return [f"The axis is cut: runs start at up to {number(start)} nats, above {ends[1]:.2f} nothing is shown."]


def _level_of_guessing(ax: Axes, value: float, *, words: str) -> None:
    """What guessing by frequency gives: a line, or its words at the edge beyond which it lies."""
    where = outside(value, ax.get_ylim())
    if not where:
        ax.axhline(value, zorder=2, **UNIGRAM)
        return
    arrow, place = ("↑", 0.985) if where == "above" else ("↓", 0.015)
    look: dict[str, Any] = {"ha": "right", "va": "top" if where == "above" else "bottom", "color": UNIGRAM["color"]}
    ax.text(0.99, place, f"{arrow} {words}", transform=ax.transAxes, fontsize=FONT_SIZE, **look)


def plateau(results: LawResults, sizes: SizeScale) -> Figure:
    """Figure 3: FLOPs to reach levels of the plateau against size, one panel per schedule."""
    del sizes  # size is the horizontal axis here
    fits = {schedule: results.fits.get("plateau", {}).get(schedule, NO_FIT) for schedule in results.schedules}
    schedules = [schedule for schedule, fit in fits.items() if fit.points] or results.schedules
    figure, axes = schedule_panels(len(schedules), height=4.0)
    drawn = False
    for ax, schedule in zip(axes, schedules, strict=True):
        ax.set_title(schedule_title(schedule))
        drawn = _plateau_panel(ax, fits[schedule]) or drawn
    if drawn:
        legend_above(figure, [line_entry(label="power law"), line_entry(label="straight line", lw=0.7, ls=":")])
    name_left_out(figure, "No plateau", (one for one in fits if one not in schedules))
    return figure


def _plateau_panel(ax: Axes, fit: Fit) -> bool:
    """Points per run and level; lines only where the fit stands. Returns whether there is a line."""
    if not fit.points:
        empty(ax, f"Plateau: {STATUS_WORDS[fit.status]}.")
        return False
    has_numbers = fit.status in ("identified", "weakly_identified")
    drawn, handles = False, []
    for i, level in enumerate(fit.details["levels"]):
        colour, marker = OKABE_ITO[i % len(OKABE_ITO)], "os^Dv"[i % 5]
        points = [point for point in fit.points if point["level"] == level["level"]]
        sizes, flops = ([point[key] for point in points] for key in ("n_params", "flops"))
        handles += ax.plot(
            sizes, flops, marker, color=colour, ms=4.5, mew=0, alpha=0.75, label=_level_label(level, fit)
        )
        if has_numbers and level["loglog"]:
            ax.plot(*_line(level["loglog"]), color=colour, lw=1.5)
            ax.plot(*_line(level["linear"]), color=colour, lw=0.7, ls=":")
            drawn = True
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.margins(0.1)
    ax.set_xlabel(SIZE)
    ax.set_ylabel("C to reach the level (FLOPs)")
    legend_below(ax, handles, title="Share of the way to the plateau")
    if not has_numbers:
        low, high = ax.get_ylim()
        ax.set_ylim(low, low * (high / low) ** (1 / (1 - ROOM_FOR_SENTENCE)))
        sentence(ax, f"Plateau: {STATUS_WORDS[fit.status]}.", top=True)
    log_ticks(ax.xaxis, prefixes=True)
    log_ticks(ax.yaxis)
    return drawn


def _level_label(level: Mapping[str, Any], fit: Fit) -> str:
    share = f"{100 * level['level']:g}"
    exponent = fit.estimates.get(f"exponent_{share}")
    law = ""
    if exponent and exponent.value is not None:
        value, _, ends = with_interval(exponent).partition(" ")
        law = rf": $C \propto N^{{{value}}}$ {ends}".rstrip()
    return f"{share} %, {level['target_loss']:.3f} nats{law}"


def _line(line: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Points of a line inside the data; a straight line may fall below zero, which a logarithmic axis cannot show."""
    sizes, flops = (np.array([point[key] for point in line["line"]], dtype=float) for key in ("n_params", "flops"))
    return sizes, np.where(flops > 0, flops, np.nan)


def holdout_perplexity(results: Results, sizes: SizeScale) -> Figure:
    """Perplexity of every finished run on the holdout, against its training FLOPs."""
    table, marks = results.findings.cells, set_marks(results)
    figure, axes = schedule_panels(len(results.schedules), height=3.8, sharey=True)
    unigram = float(np.exp(results.stats["unigram_entropy"]))
    any_run = False
    for ax, schedule in zip(axes, results.schedules, strict=True):
        ax.set_title(schedule_title(schedule))
        rows = table.loc[(table["schedule"] == schedule) & table["holdout_perplexity"].notna()]
        if rows.empty:
            ax.set_xticks([])
            sentence(ax, "No run of this schedule was evaluated on the holdout.", top=True)
            continue
        any_run = True
        for n_params, own in rows.sort_values("flops").groupby("n_params"):
            colour = sizes[float(n_params)]  # type: ignore[arg-type]
            ax.plot(own["flops"], own["holdout_perplexity"], color=colour, lw=0.6, alpha=0.5)
            for one in own.to_dict("records"):
                x, y = [one["flops"]], [one["holdout_perplexity"]]
                ax.plot(x, y, marks[one["subset"]], color=colour, ms=5.5, mec="white", mew=0.5, gid=one["run"])
        ax.set_xscale("log")
        log_ticks(ax.xaxis)
    for ax in axes:
        ax.set_xlabel(COMPUTE)
        ax.margins(y=0.12)
    for ax in axes:  # the last, when the panels, which share their axis, have all their points
        _level_of_guessing(ax, unigram, words=f"unigram perplexity, {unigram:.2f}")
    for row in (axes[i : i + 2] for i in range(0, len(axes), 2)):
        for ax in leftmost(row):
            ax.set_ylabel("Holdout perplexity")
    if any_run:
        sizes.legend(figure, axes)
    drawn = not outside(unigram, axes[0].get_ylim())
    line = [line_entry(label=f"unigram perplexity, {unigram:.2f}", **UNIGRAM)] if drawn else []
    shown = table.loc[table["holdout_perplexity"].notna(), "subset"]
    legend_above(figure, [*marks.handles(shown if any_run else []), *line])
    return figure


DRAWERS: dict[str, Callable[[Results, SizeScale], Figure]] = {
    "plateau": plateau,
    "compute_optimal": compute_optimal,
    "isoflop": isoflop_profiles,
    "contours": contours,
    "residuals": residuals,
    "parametric_fit": parametric_fit,
    "holdout_perplexity": holdout_perplexity,
    "sensitivity": forest,
    "learning_rates": rates_figure,
    "repeated_data": repeated_figure,
    "published_models": published_models,
    "forecast": forecast_figure,
}
"""The figures of `plmscale.study.catalog.FIGURES` besides the one per schedule."""
