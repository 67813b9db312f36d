"""What was predicted before it was trained, beside what came: a table, a figure and a sentence."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..estimates import Estimate
from ..forecast.words import inside, sentences
from ..presentation.axis_labels import SIZE, loss_label
from ..presentation.figure_style import (
    LEFT_OUT,
    SizeScale,
    empty,
    legend_above,
    line_entry,
    log_ticks,
    marker_entry,
    schedule_panels,
)
from ..presentation.formats import is_missing, number, with_interval
from ..presentation.schedule_words import schedule_title
from ..presentation.tables import Column, Table
from ..results.study_results import Results

COLUMNS = (
    Column("Schedule", "schedule", "schedule"),
    Column("Size", "model"),
    Column("Set", "subset"),
    Column("N (parameters)", "n_params", "short"),
    Column("D (tokens)", "n_tokens", "short"),
    Column("C, × the largest fitted", "beyond_flops", "number"),
    Column("D, × the largest fitted", "beyond_tokens", "number"),
    Column("Predicted loss (nats, 95 % interval of a run)", "loss", "loss", ("low", "high")),
    Column("Loss that came (nats)", "observed", "loss"),
    Column("Error (%)", "error_percent", "number"),
    Column("Inside the interval", "inside_words"),
)


def forecast_table(results: Results) -> Table:
    """One row per cell that was predicted, in the order of the grid."""
    found = results.findings.forecast
    percent = [None if is_missing(one) else 100 * float(one) for one in found["error"]]
    words = [inside(row) for row in found.to_dict("records")]
    columns = {"error_percent": percent, "inside_words": words}
    data = found.assign(**{key: pd.Series(ones, index=found.index, dtype=object) for key, ones in columns.items()})
    return Table(data, COLUMNS, notes=tuple(sentences(results.findings.forecast, results.findings.forecast_sizes)))


def forecast_figure(results: Results, sizes: SizeScale) -> Figure:
    """Predicted losses with the intervals of a run, and the losses that came, against size; a panel per schedule."""
    cells = results.findings.forecast
    predicted = cells.loc[cells["loss"].notna()]
    schedules = list(dict.fromkeys(predicted["schedule"]))
    figure, axes = schedule_panels(max(len(schedules), 1), height=3.8)
    if not schedules:
        empty(axes[0], "Nothing was predicted before it was trained.")
        return figure
    for ax, schedule in zip(axes, schedules, strict=True):
        _panel(ax, predicted.loc[predicted["schedule"] == schedule], sizes)
        ax.set_title(schedule_title(schedule))
    legend_above(
        figure,
        [
            line_entry(label="predicted, 95 % interval of a run", lw=4, alpha=0.35),
            marker_entry("o", label="came, inside"),
            marker_entry("o", label="came, outside", mfc="none", mec=LEFT_OUT),
        ],
    )
    return figure


def _panel(ax: Axes, own: pd.DataFrame, sizes: SizeScale) -> None:
    for row in own.to_dict("records"):
        n, colour = float(row["n_params"]), sizes[int(row["n_params"])]
        if not is_missing(row["low"]) and not is_missing(row["high"]):
            ax.plot([n, n], [row["low"], row["high"]], color=colour, lw=5, alpha=0.35, solid_capstyle="butt", zorder=2)
        ax.plot([n], [row["loss"]], "_", color=colour, ms=11, mew=1.6, zorder=3)
        if not is_missing(row["observed"]):
            face, edge = (colour, "white") if row["inside"] else ("none", LEFT_OUT)
            ax.plot([n], [row["observed"]], "o", ms=5, zorder=4, mfc=face, mec=edge)
    ax.set_xscale("log")
    log_ticks(ax.xaxis, prefixes=True)
    ax.set_xlabel(SIZE)
    ax.set_ylabel(loss_label(masked=True))


def forecast_lines(results: Results) -> list[str]:
    """Sentences for the summary, with the interval of every loss; none without a forecast."""
    lines = sentences(results.findings.forecast, results.findings.forecast_sizes)
    for row in results.findings.forecast.to_dict("records"):
        if not is_missing(row["loss"]) and not is_missing(row["observed"]) and row["inside"] is False:
            interval = with_interval(Estimate(row["loss"], row["low"], row["high"]))
            lines.append(f"Outside: {row['run']}, {interval} nats predicted, {number(row['observed'], digits=4)} came.")
    return lines
