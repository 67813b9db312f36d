"""Figures of the fitted laws: optimal size and tokens against compute, and losses against the parametric laws."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ...estimates import Estimate
from ...laws.fit import NO_FIT, Fit
from ...laws.loss_law import chinchilla_of, kaplan_loss, kaplan_of
from ...presentation.axis_labels import COMPUTE, OPTIMAL_SIZE, OPTIMAL_TOKENS, loss_label, with_subscripts
from ...presentation.figure_page import page
from ...presentation.figure_style import (
    BEYOND,
    LEFT_OUT,
    MARKERS,
    OKABE_ITO,
    SizeScale,
    empty,
    footnote,
    legend_above,
    legend_below,
    line_entry,
    log_ticks,
    marker_entry,
    panels,
)
from ...presentation.formats import FIT_TITLES, STATUS_WORDS, with_interval
from ...presentation.schedule_words import schedule_title
from ...results.analysed import LawResults
from ..law_curves import LawCurve, Quantity, law_curves

Array = NDArray[np.float64]

METHODS = {"envelope": OKABE_ITO[0], "isoflop": OKABE_ITO[1], "chinchilla": OKABE_ITO[2]}
"""Methods that give an optimal size at every budget, and their colours."""

ROW_HEIGHT, ENTRY_HEIGHT = 2.5, 0.15
"""Inches of a row of two panels, and of a line of the legend below it."""

# Points of the envelope lie on a few staircases: more of them than this only make the file larger.
MAX_POINTS = 60


class OptimalQuantity(NamedTuple):
    """One of the two panels: the column of the points, the exponent of the law, and the label of the axis."""

    column: Quantity
    exponent: str
    label: str


SIDES = (OptimalQuantity("n_params", "a", OPTIMAL_SIZE), OptimalQuantity("n_tokens", "b", OPTIMAL_TOKENS))


def compute_optimal(results: LawResults, sizes: SizeScale) -> Figure:
    """Optimal size (left) and tokens (right) against training FLOPs by three methods, a row per schedule.

    A column of a journal has no room for schedules without a law where another has one.
    """
    del sizes  # size is the vertical axis here
    found = {s: {name: results.fits.get(name, {}).get(s, NO_FIT) for name in METHODS} for s in results.schedules}
    drawn = {s: {name: law_curves(fit, s) for name, fit in fits.items()} for s, fits in found.items()}
    with_line = [schedule for schedule, curves in drawn.items() if any(curves.values())]
    schedules = with_line if page().stacked and with_line else results.schedules
    entries = sum(one is not None for curves in drawn.values() for one in curves.values())
    figure, rows = panels(len(schedules), 2, height=0.8 + ROW_HEIGHT * len(schedules) + ENTRY_HEIGHT * entries)
    beyond = any(not one["n_params"].inside.all() for curves in drawn.values() for one in curves.values() if one)
    for row, schedule in zip(rows, schedules, strict=True):
        fits, curves = found[schedule], drawn[schedule]
        for ax, side in zip(row, SIDES, strict=True):
            ax.set_title(schedule_title(schedule))
            _optimal_panel(ax, fits, side=side, curves={k: v[side.column] if v else None for k, v in curves.items()})
    dashed = [line_entry(label="beyond the data", color="0.35", ls=BEYOND)] if beyond else []
    legend_above(figure, [*_point_entries(results), *dashed])
    footnote(figure, list(_without_line(found, drawn)))
    return figure


def _without_line(found: Mapping[str, Mapping[str, Fit]], drawn: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A sentence for each verdict with the methods that have no line: "Not identified, no line: …"."""
    named: dict[str, list[str]] = {}
    for schedule, fits in found.items():
        without: dict[str, list[str]] = {}
        for name, fit in fits.items():
            if drawn[schedule][name] is None:
                without.setdefault(STATUS_WORDS[fit.status], []).append(FIT_TITLES[name])
        for status, methods in without.items():
            named.setdefault(status, []).append(f"{schedule_title(schedule)} ({', '.join(methods)})")
    for status, schedules in named.items():
        yield f"{status.capitalize()}, no line: {'; '.join(schedules)}."


def _point_entries(results: LawResults) -> list[Line2D]:
    """Legend of the kinds of points that there are."""
    envelopes, isoflops = (list(results.fits.get(name, {}).values()) for name in ("envelope", "isoflop"))
    entries = []
    if any(fit.points for fit in envelopes):
        entries.append(marker_entry(".", label="envelope point", color=METHODS["envelope"]))
    if any("flops" in row for fit in envelopes for row in fit.excluded):
        hollow = {"ms": 3.5, "mfc": "none", "color": LEFT_OUT}
        entries.append(marker_entry("o", label="envelope point left out of the fit", **hollow))
    if any(fit.points for fit in isoflops):
        entries.append(marker_entry("D", label="IsoFLOP vertex", color=METHODS["isoflop"]))
    return entries


def _optimal_panel(
    ax: Axes, fits: dict[str, Fit], *, side: OptimalQuantity, curves: dict[str, LawCurve | None]
) -> None:
    envelope, isoflop = fits["envelope"], fits["isoflop"]
    left_out = [row for row in envelope.excluded if row.get("flops") is not None]
    if not (envelope.points or left_out):
        empty(ax, f"No point on the envelope: {STATUS_WORDS[envelope.status]}.")
        return
    _scatter(ax, left_out, side, "envelope, left out", marker="o", ms=2.5, mfc="none", color=LEFT_OUT, mew=0.6)
    _scatter(ax, envelope.points, side, "envelope", marker=".", ms=3, color=METHODS["envelope"], alpha=0.5, mew=0)
    _scatter(ax, isoflop.points, side, "IsoFLOP", marker="D", ms=5, color=METHODS["isoflop"], mec="white", mew=0.6)
    handles = []
    for name, fit in fits.items():
        if (curve := curves[name]) is not None:
            law_line(ax, curve, name=FIT_TITLES[name], color=METHODS[name])
            value = fit.estimates.get(side.exponent, Estimate(None))
            label = f"{FIT_TITLES[name]}: {side.exponent} = {with_interval(value)}"
            handles.append(line_entry(color=METHODS[name], label=label))
    if handles:
        legend_below(ax, handles)
    ax.set_xscale("log")
    ax.set_yscale("log")
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis, prefixes=True)
    ax.set_xlabel(COMPUTE)
    ax.set_ylabel(with_subscripts(side.label))


def law_line(ax: Axes, curve: LawCurve, *, name: str, color: str) -> None:
    """A law with the band of its 95 % interval; dashed where size, tokens or compute are beyond those of the runs."""
    for inside, part in curve.parts():
        look: dict[str, Any] = {"lw": 1.5} if inside else {"lw": 1.2, "ls": BEYOND}
        gid = f"{name}, law{'' if inside else ', beyond the data'}"
        ax.plot(curve.flops[part], curve.value[part], color=color, zorder=4, gid=gid, **look)
    known = np.isfinite(curve.low) & np.isfinite(curve.high)
    if known.any():
        at, low, high = curve.flops[known], curve.low[known], curve.high[known]
        ax.fill_between(at, low, high, color=color, alpha=0.15, lw=0, gid=f"{name}, 95 % interval")


def _scatter(ax: Axes, rows: Sequence[Any], side: OptimalQuantity, gid: str, **look: Any) -> None:
    kept = [(row["flops"], row[side.column]) for row in rows if row.get(side.column) is not None]
    kept = kept[:: max(1, len(kept) // MAX_POINTS)]
    if kept:
        ax.plot(*zip(*kept, strict=True), ls="", gid=gid, **look)


def predicted(name: str, fit: Fit, *, optimum: bool) -> tuple[Array, Array, Array] | None:
    """Sizes, losses and predicted losses of the points of a fit; None where there is no law to predict with."""
    n_params, n_tokens, loss = (np.array([p[key] for p in fit.points]) for key in ("n_params", "n_tokens", "loss"))
    if name == "chinchilla":
        law = chinchilla_of(fit, optimum=optimum)
        return None if law is None else (n_params, loss, law.loss(n_params, n_tokens))
    constants = kaplan_of(fit, optimum=optimum)
    return None if constants is None else (n_params, loss, kaplan_loss(n_params, n_tokens, constants=constants))


def parametric_fit(results: LawResults, sizes: SizeScale) -> Figure:
    """Final losses against those of Kaplan's and Chinchilla's laws; hollow where a law is not identified."""
    figure, (row,) = panels(1, 2, height=3.5)
    any_run, statuses = False, set()
    for ax, name in zip(row, ("kaplan", "chinchilla"), strict=True):
        fits = {s: results.fits.get(name, {}).get(s, NO_FIT) for s in results.schedules}
        ax.set_title(FIT_TITLES[name])
        any_run = _parametric_panel(ax, name, fits, sizes) or any_run
        for what, write in (("Final loss", ax.set_xlabel), ("Loss by the law", ax.set_ylabel)):
            label = loss_label(what, masked=results.unigram_entropy is not None)
            write(label.replace(" (", "\n(") if page().stacked else label)  # its unit is wider than a panel there
        statuses |= {fit.status for fit in fits.values()}
    if any_run:
        sizes.legend(figure, row)
        handles = [
            marker_entry(MARKERS[i], label=schedule_title(schedule)) for i, schedule in enumerate(results.schedules)
        ]
        hollow = marker_entry("o", label="hollow: best point of a law that is not identified", mfc="none")
        legend_above(figure, [*handles, *([hollow] if "not_identified" in statuses else [])])
    return figure


def _parametric_panel(ax: Axes, name: str, fits: dict[str, Fit], sizes: SizeScale) -> bool:
    """Points of every schedule that has a law or a best point; returns whether there is one."""
    ends = []
    for i, fit in enumerate(fits.values()):
        identified = predicted(name, fit, optimum=False)
        found = identified or predicted(name, fit, optimum=True)
        if found is None or not len(found[0]):
            continue
        for n_params, loss, law in zip(*found, strict=True):
            look = (
                {"mfc": sizes[n_params], "mec": "white", "mew": 0.4}
                if identified
                else {"mfc": "none", "mec": sizes[n_params]}
            )
            # The same size and set under two schedules often have one loss: the second lies inside the first.
            ax.plot([loss], [law], MARKERS[i], ms=7 - 2.5 * min(i, 1), **look, zorder=3)
        ends += [found[1].min(), found[1].max(), found[2].min(), found[2].max()]
    if not ends:
        empty(
            ax, " ".join(f"{schedule_title(schedule)}: {STATUS_WORDS[fit.status]}." for schedule, fit in fits.items())
        )
        return False
    pad = 0.05 * max(max(ends) - min(ends), 0.02)
    limits = (min(ends) - pad, max(ends) + pad)
    ax.plot(limits, limits, color="0.3", lw=0.9, ls=(0, (4, 3)), zorder=2)
    ax.set(xlim=limits, ylim=limits)
    ax.set_box_aspect(1)
    if all(fit.status in ("not_identified", "failed") for fit in fits.values()):
        ax.set_title(f"{FIT_TITLES[name]}, not identified")
    return True
