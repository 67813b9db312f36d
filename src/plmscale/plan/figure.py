"""The plan as a heat map: device-hours of every cell, sizes by sets, a panel per schedule."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..presentation.figure_page import page
from ..presentation.figure_style import (
    FONT_SIZE,
    footnote,
    schedule_panels,
    write_on_pages,
)
from ..presentation.formats import number
from ..presentation.schedule_words import schedule_title
from ..study.study import Study

ROW, AROUND = 0.27, 1.3
"""Inches that a row of cells takes, and title, axis and labels around them."""

DARK = 0.45
"""Share of the colour scale from which numbers are white."""

MOST_NUMBERS, MOST_IN_COLUMN = 400, 6
"""Cells beyond which numbers would overlap, and sets in a column of a journal."""

MOST_LEVEL = 5
"""Sets whose names stand level side by side."""


def draw_plan(study: Study, table: pd.DataFrame, folder: Path) -> None:
    """Draw device-hours per cell, seeds added up, as plan.svg, .pdf and .png in `folder` and, narrow, in its `column/`.

    Each is written atomically.

    Parameters
    ----------
    study : Study
    table : pandas.DataFrame
        See `plmscale.plan.plan.plan`.
    folder : Path
    """
    schedules = list(dict.fromkeys(table["schedule"]))
    models = [model.name for model in study.models if model.name in set(table["model"])]
    subsets = {schedule: _subsets(study, table, schedule) for schedule in schedules}
    hours = {name: _hours(table, name, models=models, subsets=subsets[name]) for name in schedules}
    low, high = (f([f(values) for values in hours.values()]) for f in (np.nanmin, np.nanmax))
    norm = LogNorm(float(low), max(float(high), float(low) * 1.01))
    colours = mpl.colormaps["viridis_r"]

    def draw() -> Figure:
        figure, axes = schedule_panels(len(schedules), height=AROUND + ROW * len(models))
        for ax, schedule in zip(axes, schedules, strict=True):
            values = hours[schedule]
            _panel(ax, values, colours=colours, norm=norm)
            ax.set_title(schedule_title(schedule))
            ax.set_xlabel(f"{number(float(np.nansum(values)))} device-hours in all")
            names = subsets[schedule]
            ax.set_xticks(range(len(names)), names, rotation=30 if len(names) > MOST_LEVEL else 0)
            ax.set_yticks(range(len(models)), models)
        footnote(figure, [_note(study, table)])
        return figure

    write_on_pages(draw, folder, name="plan")


def _subsets(study: Study, table: pd.DataFrame, schedule: str) -> list[str]:
    """Sets of a schedule in the study's order: a trunk has one, whatever the passes of its branches."""
    here = set(table.loc[table["schedule"] == schedule, "subset"])
    return [subset.name for subset in study.subsets if subset.name in here]


def _hours(table: pd.DataFrame, schedule: str, *, models: list[str], subsets: list[str]) -> NDArray[np.float64]:
    """Device-hours of a schedule, shape (models, subsets); NaN where there is no cell."""
    values = np.full((len(models), len(subsets)), np.nan)
    for row in table.loc[table["schedule"] == schedule].to_dict("records"):
        place = models.index(row["model"]), subsets.index(row["subset"])
        values[place] = np.nansum([values[place], row["device_hours"]])
    return values


def _panel(ax: Axes, values: NDArray[np.float64], *, colours: Colormap, norm: LogNorm) -> None:
    ax.imshow(values, cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if values.size > MOST_NUMBERS or (page().stacked and values.shape[1] > MOST_IN_COLUMN):
        return
    for (row, column), value in np.ndenumerate(values):
        missing = bool(np.isnan(value))
        text = "–" if missing else number(float(value))
        colour = "0.5" if missing else "white" if norm(value) > DARK else "black"
        ax.text(column, row, text, ha="center", va="center", fontsize=FONT_SIZE, color=colour)


def _note(study: Study, table: pd.DataFrame) -> str:
    measured = sorted(set(table["speed_from"]) - {"assumed"})
    speed = f"speed {' and '.join(measured)}" if measured else "speed assumed"
    if measured and "assumed" in set(table["speed_from"]):
        speed += ", of some sizes assumed"
    left_out = " – is not trained: by the tables, or by the budget." if study.left_out else ""
    return f"Device-hours on {study.config.hardware.name}, {speed}; darker is dearer, on a logarithmic scale.{left_out}"
