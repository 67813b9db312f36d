"""IsoFLOP profiles: at equal compute, loss against size, the parabola through it and its floor."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...laws.fit import NO_FIT, Fit
from ...laws.isoflop import window
from ...presentation.axis_labels import SIZE, loss_label
from ...presentation.figure_style import (
    LEFT_OUT,
    SizeScale,
    empty,
    legend_above,
    legend_below,
    line_entry,
    log_ticks,
    marker_entry,
    name_left_out,
    schedule_panels,
)
from ...presentation.formats import STATUS_WORDS, given, number
from ...presentation.schedule_words import schedule_title
from ...results.analysed import LawResults

Array = NDArray[np.float64]

N_LINE = 60
# Room above the valleys, as a share of their range: the far ends of the valleys, and budgets that no size had begun to
# use, lie much higher and would press the floors together.
HEADROOM = 0.3


def isoflop_profiles(results: LawResults, sizes: SizeScale) -> Figure:
    """Loss against size at each budget (a colour), the fitted parabolas and their vertices; a panel per schedule."""
    del sizes  # size is the horizontal axis here
    fits = {schedule: results.fits.get("isoflop", {}).get(schedule, NO_FIT) for schedule in results.schedules}
    schedules = [schedule for schedule, fit in fits.items() if profiles_of(fit)] or results.schedules
    figure, axes = schedule_panels(len(schedules), height=4.2 if len(schedules) == 1 else 4.6)
    kinds: set[str] = set()
    for ax, schedule in zip(axes, schedules, strict=True):
        ax.set_title(schedule_title(schedule))
        # Two rows of budgets under a panel that has the page to itself, as many as fit under one that has not.
        kinds |= _panel(ax, fits[schedule], columns=5 if len(schedules) == 1 else 3)
        if ax.lines:
            ax.set_ylabel(loss_label(masked=results.unigram_entropy is not None))
    entries = {
        "run": marker_entry("o", label="run at this budget", ms=4),
        "parabola": line_entry(label="parabola through the sizes about the best"),
        "vertex": marker_entry("D", label="vertex", mfc="black", mec="white", ms=6),
        "left out": marker_entry("D", label="vertex left out of the fit", mfc="none", mec=LEFT_OUT, ms=6),
    }
    legend_above(figure, [entry for kind, entry in entries.items() if kind in kinds])
    name_left_out(figure, "No budget at which sizes can be compared", (one for one in fits if one not in schedules))
    return figure


def profiles_of(fit: Fit) -> list[Mapping[str, Any]]:
    """Budgets of a fit at which sizes were evaluated."""
    return [profile for profile in fit.details.get("profiles", ()) if profile["runs"]]


def _panel(ax: Axes, fit: Fit, *, columns: int) -> set[str]:
    """Draw the profiles of one schedule; returns the kinds of marks drawn."""
    profiles = profiles_of(fit)
    if not profiles:
        empty(ax, f"IsoFLOP: {STATUS_WORDS[fit.status]}.")
        return set()
    colours = [mpl.colormaps["plasma"](0.85 * i / max(len(profiles) - 1, 1)) for i in range(len(profiles))]
    kinds, handles, span = {"run"}, [], float(fit.details.get("span", 0.0))
    for colour, profile in zip(colours, profiles, strict=True):
        runs = sorted(profile["runs"], key=lambda run: (run["n_params"], run["loss"]))
        n_params, loss = (np.array([run[key] for run in runs], dtype=float) for key in ("n_params", "loss"))
        gid = f"runs at {number(profile['flops'])} FLOPs"
        ax.plot(n_params, loss, "o", ms=3.5, color=colour, mew=0, alpha=0.8, zorder=3, gid=gid)
        handles.append(line_entry(color=colour, label=given(float(format(profile["flops"], ".1e")))))
        kinds |= _vertex(ax, profile, colour, span=span)
    ax.set_ylim(*loss_range(profiles, span=span))
    ax.set_xscale("log")
    ax.margins(x=0.04)
    log_ticks(ax.xaxis, prefixes=True)
    legend_below(ax, handles, columns=min(columns, len(handles)), title="C (training FLOPs)")
    ax.set_xlabel(SIZE)
    return kinds


def _vertex(ax: Axes, profile: Mapping[str, Any], colour: Any, *, span: float) -> set[str]:
    """The parabola of the fit about its vertex, which is marked."""
    line = parabola(profile, span=span)
    if line is None:
        return set()
    flops = number(profile["flops"])
    ax.plot(*line, color=colour, lw=1.0, alpha=0.9, zorder=2, gid=f"parabola at {flops} FLOPs")
    used = not profile["reason"]
    look: dict[str, Any] = {"mfc": "none", "mec": LEFT_OUT}
    if used:
        look = {"mfc": "black", "mec": "white", "mew": 0.8, "zorder": 6}
    gid = f"vertex at {flops} FLOPs{'' if used else ', left out'}"
    ax.plot([profile["n_params"]], [profile["loss"]], "D", ms=6, gid=gid, **look)
    return {"parabola", "vertex" if used else "left out"}


def parabola(profile: Mapping[str, Any], *, span: float) -> tuple[Array, Array] | None:
    """Sizes and losses of a profile's parabola over the sizes that it goes through; None where there is none.

    The fit records vertex, floor and curvature: loss = floor + curvature · log(N / vertex)².
    """
    floor, vertex, curvature = profile["loss"], profile["n_params"], profile["curvature"]
    if floor is None or vertex is None or not np.isfinite(floor):
        return None
    n_params = _fitted(profile["runs"], span=span)
    x = np.geomspace(n_params.min(), n_params.max(), N_LINE)
    return x, floor + curvature * np.log(x / vertex) ** 2


def _fitted(runs: Sequence[Mapping[str, Any]], *, span: float) -> Array:
    """Sizes that the parabola goes through."""
    n_params, loss = (np.array([run[key] for run in runs], dtype=float) for key in ("n_params", "loss"))
    return np.unique(n_params[window(n_params, loss, span=span)])


def loss_range(profiles: Sequence[Mapping[str, Any]], *, span: float) -> tuple[float, float]:
    """Losses that an axis shows: the valleys that were fitted, without them the lowest runs; what lies above is cut."""
    fitted = [p for p in profiles if p["loss"] is not None and np.isfinite(p["loss"])] or list(profiles)
    losses = []
    for profile in fitted:
        near = _fitted(profile["runs"], span=span)
        losses += [run["loss"] for run in profile["runs"] if run["n_params"] in near]
    low = min(run["loss"] for profile in profiles for run in profile["runs"])
    height = max(max(losses) - low, 0.02)
    return low - 0.06 * height, max(losses) + HEADROOM * height
