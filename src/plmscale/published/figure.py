"""Figure of the published models: tokens per parameter against size, 20:1, and the optimum of a fitted law."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..presentation.axis_labels import RATIO, SIZE
from ..presentation.figure_labels import place_labels
from ..presentation.figure_page import page
from ..presentation.figure_style import (
    BEYOND,
    FONT_SIZE,
    OKABE_ITO,
    SizeScale,
    empty,
    legend_above,
    line_entry,
    log_ticks,
    marker_entry,
    panels,
)
from ..results.findings import LawLine, Published
from ..results.study_results import Results
from .models import (
    CHINCHILLA_RATIO,
    COUNTS,
    law_parts,
)

LOOKS = {"seen": ("o", OKABE_ITO[0]), "unique": ("s", OKABE_ITO[1]), "325": ("^", OKABE_ITO[2])}
"""Marker and colour of each count; a model is named at the first of them that it has."""

HEIGHT = {"page": 6.2, "column": 7.6}
"""Inches by page: it takes that many to name the models apart."""

MARGIN = 0.08


def published_figure(published: Published) -> Figure:
    """Tokens per parameter of published models by three counts against their size; hollow where not verified."""
    line = published.line
    figure, ((ax,),) = panels(1, 1, height=1)
    figure.set_size_inches(page().several, HEIGHT[page().name])
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in published.models.to_dict("records")]
    known = [row for row in rows if any(row[f"ratio_{count}"] for count in LOOKS)]
    if not known:
        empty(ax, "No published model has a count of tokens.")
        return figure
    drawn = _points(ax, known)
    ax.axhline(CHINCHILLA_RATIO, color="0.3", lw=0.9, ls=(0, (4, 3)), zorder=2)
    _axes(ax, np.array([*drawn, *line.middle], dtype=float))
    _law(ax, published)
    legend_above(figure, _legend(line, drawn))
    figure.draw_without_rendering()  # settles the layout: labels are placed in pixels
    figure.set_layout_engine("none")
    place_labels(ax, [_label(row) for row in known], obstacles=drawn, size=FONT_SIZE)
    return figure


def of_study(results: Results, sizes: SizeScale) -> Figure:
    """The figure of a study: its own list of published models and its own law with the best verdict."""
    del sizes  # size is the horizontal axis here
    return published_figure(results.findings.published)


def _points(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Draw the counts of every model, joined by a line; returns where they are."""
    drawn = []
    for row in rows:
        ratios = {count: row[f"ratio_{count}"] for count in LOOKS if row[f"ratio_{count}"]}
        ax.plot([row["n_params"]] * 2, [min(ratios.values()), max(ratios.values())], color="0.8", lw=0.8, zorder=1)
        for count, ratio in ratios.items():
            marker, colour = LOOKS[count]
            face = "white" if row[f"unverified_{count}"] else colour
            gid = f"{row['name']}, {COUNTS[count]}"
            ax.plot([row["n_params"]], [ratio], marker, ms=5, mfc=face, mec=colour, mew=1.0, zorder=4, gid=gid)
            drawn.append((row["n_params"], ratio))
    return drawn


def _law(ax: Axes, published: Published) -> None:
    for inside, points in law_parts(published):
        look: dict[str, Any] = {"lw": 1.6} if inside else {"lw": 1.3, "ls": BEYOND}
        gid = f"optimum of the law{'' if inside else ', beyond the data'}"
        ax.plot(*points.T, color="black", zorder=3, gid=gid, **look)
    line = published.line
    if line.low.size and line.high.size:
        band = np.concatenate([line.low, line.high[::-1]])
        ax.fill(*band.T, color="0.6", alpha=0.35, lw=0, zorder=1, gid="optimum of the law, 95 % interval")


def _axes(ax: Axes, shown: NDArray[np.float64]) -> None:
    """Limits about the points and the law's line: its band may be wider by decades, and is cut."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = shown.min(axis=0), shown.max(axis=0)
    room = (high / low) ** MARGIN
    ax.set_xlim(low[0] / room[0], high[0] * room[0])
    ax.set_ylim(low[1] / room[1], high[1] * room[1])
    ax.set_xlabel(SIZE)
    ax.set_ylabel(RATIO)
    log_ticks(ax.xaxis, prefixes=True)
    log_ticks(ax.yaxis)


def _legend(line: LawLine, drawn: Sequence[tuple[float, float]]) -> list[Any]:
    entries = [marker_entry(LOOKS[count][0], label=words, color=LOOKS[count][1]) for count, words in COUNTS.items()]
    entries.append(marker_entry("o", label="hollow: not verified", mfc="white"))
    entries.append(line_entry(label="20 tokens per parameter", color="0.3", lw=0.9, ls=(0, (4, 3))))
    if line.middle.size:
        entries.append(line_entry(label="optimum of the law, 95 % interval", color="black", lw=1.6))
        entries.append(line_entry(label="the same beyond the data", color="black", lw=1.3, ls=BEYOND))
    return entries if drawn else []


def _label(row: Mapping[str, Any]) -> tuple[float, float, str]:
    count = next(count for count in LOOKS if row[f"ratio_{count}"])
    return row["n_params"], row[f"ratio_{count}"], row["name"]
