"""Figures of the fitted laws: optimal size and tokens against compute, and losses against the parametric laws."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ...estimates import Estimate
from ...laws.budgets import TokenCost
from ...laws.chinchilla import cheapest_size
from ...laws.fit import NO_FIT, Fit
from ...laws.loss_law import chinchilla_of, kaplan_loss, kaplan_of
from ...presentation.figure_style import (
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
    schedule_title,
)
from ...presentation.formats import FIT_TITLES, STATUS_WORDS, verdict, with_interval
from ...results.analysed import LawResults
from ...runs.curves import usable

Array = NDArray[np.float64]

METHODS = {"envelope": OKABE_ITO[0], "isoflop": OKABE_ITO[1], "chinchilla": OKABE_ITO[2]}
"""Methods that give an optimal size at every budget, and their colours."""

N_LINE = 60
# Points of the envelope lie on a few staircases: more of them than this only make the file larger.
MAX_POINTS = 150


class OptimalQuantity(NamedTuple):
    """One of the two panels: the column of the points, the exponent and the prefactor of the law."""

    column: str
    exponent: str
    prefactor: str
    label: str


SIDES = (
    OptimalQuantity("n_params", "a", "n_prefactor", r"$N_\mathrm{opt}$ (parameters)"),
    OptimalQuantity("n_tokens", "b", "d_prefactor", r"$D_\mathrm{opt}$ (tokens)"),
)


def compute_optimal(results: LawResults, sizes: SizeScale) -> Figure:
    """Optimal size (left) and tokens (right) against training FLOPs by three methods, a row per schedule."""
    del sizes  # size is the vertical axis here
    schedules = results.schedules
    figure, rows = panels(len(schedules), 2, height=0.8 + 3.1 * len(schedules))
    reasons = []
    for row, schedule in zip(rows, schedules, strict=True):
        fits = {name: results.fits.get(name, {}).get(schedule, NO_FIT) for name in METHODS}
        cost = TokenCost(usable([curve for curve in results.curves if curve.schedule == schedule])[0])
        for ax, side in zip(row, SIDES, strict=True):
            ax.set_title(schedule_title(schedule))
            _optimal_panel(ax, fits, side=side, cost=cost)
        reasons += [
            f"{schedule}, {FIT_TITLES[name]}, {verdict(fit)}"
            for name, fit in fits.items()
            if fit.status != "identified" or fit.caveat
        ]
    legend_above(figure, _point_entries(results))
    footnote(figure, list(dict.fromkeys(reasons)))
    return figure


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


def _optimal_panel(ax: Axes, fits: dict[str, Fit], *, side: OptimalQuantity, cost: TokenCost) -> None:
    envelope, isoflop = fits["envelope"], fits["isoflop"]
    left_out = [row for row in envelope.excluded if row.get("flops") is not None]
    flops = np.array([row["flops"] for row in (*envelope.points, *left_out)], dtype=float)
    if not flops.size:
        empty(ax, f"No point on the envelope. Envelope {verdict(envelope)}")
        return
    _scatter(ax, left_out, side, marker="o", ms=2.5, mfc="none", color=LEFT_OUT, mew=0.6)
    _scatter(ax, envelope.points, side, marker=".", ms=3, color=METHODS["envelope"], alpha=0.5, mew=0)
    _scatter(ax, isoflop.points, side, marker="D", ms=5, color=METHODS["isoflop"], mec="white", mew=0.6)
    at = np.geomspace(flops.min(), flops.max(), N_LINE)
    handles = []
    for name, fit in fits.items():
        value = fit.estimates.get(side.exponent, Estimate(None))
        words = f"{side.exponent} = {with_interval(value)}" if value.value is not None else STATUS_WORDS[fit.status]
        line = _law(name, fit, side=side, at=at, cost=cost)
        if line is not None:
            # The exponent's interval, turned about the middle of the budgets: how steep, not how high.
            ax.plot(at, line, color=METHODS[name], lw=1.5, zorder=4)
            turn = at / np.sqrt(at[0] * at[-1])
            if value.value is not None and value.low is not None and value.high is not None:
                ends = [line * turn ** (end - value.value) for end in (value.low, value.high)]
                ax.fill_between(at, np.minimum(*ends), np.maximum(*ends), color=METHODS[name], alpha=0.15, lw=0)
        colour = METHODS[name] if line is not None else "none"
        handles.append(line_entry(color=colour, label=f"{FIT_TITLES[name]}: {words}"))
    legend_below(ax, handles)
    ax.set_xscale("log")
    ax.set_yscale("log")
    log_ticks(ax.xaxis)
    log_ticks(ax.yaxis, prefixes=True)
    ax.set_xlabel("C (training FLOPs)")
    ax.set_ylabel(side.label)


def _scatter(ax: Axes, rows: Sequence[Any], side: OptimalQuantity, **look: Any) -> None:
    kept = [(row["flops"], row[side.column]) for row in rows if row.get(side.column) is not None]
    kept = kept[:: max(1, len(kept) // MAX_POINTS)]
    if kept:
        ax.plot(*zip(*kept, strict=True), ls="", **look)


def _law(name: str, fit: Fit, *, side: OptimalQuantity, at: Array, cost: TokenCost) -> Array | None:
    """Optimal size or tokens at the budgets `at`; None where the law is not identified."""
    exponent = fit.estimates.get(side.exponent)
    if exponent is None or exponent.value is None:
        return None
    if name != "chinchilla":
        prefactor = fit.estimates[side.prefactor].value
        return None if prefactor is None else prefactor * at**exponent.value
    law = chinchilla_of(fit)
    if law is None:
        return None
    best = np.array([cheapest_size(law, float(flops), cost=cost) for flops in at])
    return best if side.column == "n_params" else at / cost(best)


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
    notes, any_run, statuses = [], False, set()
    for ax, name in zip(row, ("kaplan", "chinchilla"), strict=True):
        fits = {s: results.fits.get(name, {}).get(s, NO_FIT) for s in results.schedules}
        ax.set_title(FIT_TITLES[name])
        any_run = _parametric_panel(ax, name, fits, sizes) or any_run
        statuses |= {fit.status for fit in fits.values()}
        notes += [f"{FIT_TITLES[name]}, {schedule}, {verdict(fit)}" for schedule, fit in fits.items()]
    if any_run:
        sizes.legend(figure, row)
        handles = [marker_entry(MARKERS[i], label=schedule) for i, schedule in enumerate(results.schedules)]
        hollow = marker_entry("o", label="hollow: best point of a law that is not identified", mfc="none")
        legend_above(figure, [*handles, *([hollow] if "not_identified" in statuses else [])])
        footnote(figure, notes)
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
        empty(ax, " ".join(f"{schedule}: {verdict(fit)}" for schedule, fit in fits.items()))
        return False
    pad = 0.05 * max(max(ends) - min(ends), 0.02)
    limits = (min(ends) - pad, max(ends) + pad)
    ax.plot(limits, limits, color="0.3", lw=0.9, ls=(0, (4, 3)), zorder=2)
    ax.set(xlim=limits, ylim=limits, xlabel="Final loss (nats)", ylabel="Loss by the law (nats)")
    ax.set_box_aspect(1)
    if all(fit.status in ("not_identified", "failed") for fit in fits.values()):
        ax.set_title(f"{FIT_TITLES[name]}, not identified")
    return True
