"""What was predicted before it was trained, beside what came: a table, a figure and a sentence."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..estimates import Estimate
from ..forecast.words import inside, sentences
from ..presentation.axis_labels import COMPUTE, loss_label
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
from ..runs.curves import Curve

LARGEST_FITTED: dict[str, Any] = {"color": "0.4", "lw": 0.9, "ls": (0, (4, 3))}
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
    """The forecast of a study, see `predicted_and_came`."""
    return predicted_and_came(results.findings.forecast, results.curves, sizes)


def predicted_and_came(cells: pd.DataFrame, curves: Sequence[Curve], sizes: SizeScale) -> Figure:
    """Losses against compute, a panel per schedule: runs fitted, and beyond them what was predicted and what came.

    Parameters
    ----------
    cells : DataFrame
        Of `plmscale.forecast.score.score_cells`.
    curves : sequence of Curve
        All runs.
    sizes : SizeScale
    """
    predicted = cells.loc[cells["loss"].notna()]
    schedules = list(dict.fromkeys(predicted["schedule"]))
    figure, axes = schedule_panels(max(len(schedules), 1), height=3.8)
    if not schedules:
        empty(axes[0], "Nothing was predicted before it was trained.")
        return figure
    for ax, schedule in zip(axes, schedules, strict=True):
        own = predicted.loc[predicted["schedule"] == schedule]
        _runs_fitted(ax, [one for one in curves if one.schedule == schedule], own, sizes)
        _predicted(ax, own, sizes)
        ax.set_xscale("log")
        log_ticks(ax.xaxis)
        ax.set(title=schedule_title(schedule), xlabel=COMPUTE, ylabel=loss_label(masked=True))
    sizes.legend(figure, axes)
    legend_above(figure, _entries(predicted))
    return figure


def _entries(predicted: pd.DataFrame) -> list[Line2D]:
    """Of the legend; of what came only what did."""
    inside = set(predicted.loc[predicted["observed"].notna(), "inside"].eq(True))
    came = {
        True: marker_entry("o", label="came, inside"),
        False: marker_entry("o", label="came, outside", mfc="none", mec=LEFT_OUT),
    }
    return [
        marker_entry(".", label="end of a run, fitted"),
        line_entry(label="largest compute fitted", **LARGEST_FITTED),
        line_entry(label="predicted, 95 % interval of a run", lw=4, alpha=0.35),
        *(entry for which, entry in came.items() if which in inside),
    ]


def _runs_fitted(ax: Axes, curves: Sequence[Curve], predicted: pd.DataFrame, sizes: SizeScale) -> None:
    """Ends of the runs that the forecast rests on; runs of the same schedule that came later are among them."""
    asked = set(predicted["run"])
    for curve in curves:
        if curve.run not in asked and curve.flops.size:
            look = {"color": sizes[curve.n_params], "ms": 7, "alpha": 0.6, "mew": 0}
            ax.plot(curve.flops[-1:], curve.loss[-1:], ".", gid=f"{curve.run}, end", zorder=1, **look)
    for limit in sorted(set((predicted["flops"] / predicted["beyond_flops"]).dropna().round(-3))):
        ax.axvline(limit, gid="largest compute fitted", zorder=0, **LARGEST_FITTED)


def _predicted(ax: Axes, own: pd.DataFrame, sizes: SizeScale) -> None:
    for row in own.to_dict("records"):
        at, colour = float(row["flops"]), sizes[int(row["n_params"])]
        if not is_missing(row["low"]) and not is_missing(row["high"]):
            ax.plot(
                [at, at], [row["low"], row["high"]], color=colour, lw=5, alpha=0.35, solid_capstyle="butt", zorder=2
            )
        ax.plot([at], [row["loss"]], "_", color=colour, ms=11, mew=1.6, zorder=3)
        if not is_missing(row["observed"]):
            face, edge = (colour, "white") if row["inside"] else ("none", LEFT_OUT)
            ax.plot([at], [row["observed"]], "o", ms=5, zorder=4, mfc=face, mec=edge)


def forecast_lines(results: Results) -> list[str]:
    """Sentences for the summary, with the interval of every loss; none without a forecast."""
    lines = sentences(results.findings.forecast, results.findings.forecast_sizes)
    for row in results.findings.forecast.to_dict("records"):
        if not is_missing(row["loss"]) and not is_missing(row["observed"]) and row["inside"] is False:
            interval = with_interval(Estimate(row["loss"], row["low"], row["high"]))
            lines.append(f"Outside: {row['run']}, {interval} nats predicted, {number(row['observed'], digits=4)} came.")
    return lines
