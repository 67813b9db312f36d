"""Figures of a comparison: exponents with their differences, envelopes in one overlay, and matched runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..presentation.axis_labels import COMPUTE, SIZE, loss_label
from ..presentation.figure_page import page
from ..presentation.figure_style import (
    FONT_SIZE,
    OKABE_ITO,
    empty,
    footnote,
    legend_above,
    line_entry,
    log_ticks,
    marker_entry,
    panels,
    schedule_panels,
)
from ..presentation.formats import FIT_TITLES, is_missing
from ..presentation.schedule_words import schedule_short
from ..runs.curves import usable
from .arms import Arm, Comparison, apart
from .contrasts import DIFFER, pair_name

FOREST = ("envelope", "isoflop", "chinchilla")
"""Laws with exponents of the optimal size and tokens."""

LINE_STYLES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
ROW_HEIGHT, TWO_LINES = 0.19, 0.32
"""Inches of a row of the forest, and of one whose name takes two lines."""
LONGEST = 35
"""Letters of a name in one line."""
N_ENVELOPE = 300

KIND_TITLES = {"training": "Training loss at equal tokens", "holdout": "Holdout loss"}


def looks(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """Colour by what is compared and line style by schedule, by label of the arm."""
    keys = list(dict.fromkeys(arm.key(comparison.by) for arm in comparison.arms))
    schedules = list(dict.fromkeys(arm.schedule for arm in comparison.arms)) if comparison.by != "schedule" else []
    found = {}
    for arm in comparison.arms:
        line = LINE_STYLES[schedules.index(arm.schedule) % len(LINE_STYLES)] if schedules else "-"
        found[arm.label] = {"color": OKABE_ITO[keys.index(arm.key(comparison.by)) % len(OKABE_ITO)], "ls": line}
    return found


def exponents_figure(comparison: Comparison, values: pd.DataFrame, contrasts: pd.DataFrame) -> Figure:
    """Forest: exponents a and b by law and arm (left), and their differences by pair of arms (right).

    Parameters
    ----------
    comparison : Comparison
    values, contrasts : DataFrame
        `plmscale.compare.contrasts.exponents` and `plmscale.compare.contrasts.differences`.
    """
    laws = max(len(set(values["fit"]) & set(FOREST)), 1)
    n_rows = (max(len(comparison.arms), len(comparison.pairs)) + 1.4) * laws
    longest = max((len(pair_name(one.label, other.label)) for one, other in comparison.pairs), default=0)
    row_height = TWO_LINES if longest > LONGEST and not page().stacked else ROW_HEIGHT
    figure, grid = panels(2, 2, height=0.9 + 2 * (0.5 + row_height * n_rows))
    colours = looks(comparison)
    for (left, right), key in zip(grid, ("a", "b"), strict=True):
        own = values.loc[(values["parameter"] == key) & values["fit"].isin(FOREST)]
        rows = [(row, colours[row["arm"]]["color"], schedule_short(row["arm"])) for row in own.to_dict("records")]
        _forest(left, rows)
        symbol = {"a": "N", "b": "D"}[key]
        left.set_xlabel(rf"{key} in ${symbol}_\mathrm{{opt}} \propto C^{key}$")
        own = contrasts.loc[(contrasts["parameter"] == key) & contrasts["fit"].isin(FOREST)]
        rows = [(row, "0.2", _pair(row, long=longest > LONGEST)) for row in own.to_dict("records")]
        _forest(right, rows, hollow=True)
        right.axvline(0, color="0.3", lw=0.9, ls=(0, (4, 3)), zorder=1)
        right.set_xlabel(f"Difference in {key}")
    entries = [marker_entry("o", label="the interval excludes 0", color="0.2")]
    entries.append(marker_entry("o", label="it does not: not told apart", mfc="white", mec="0.2"))
    legend_above(figure, entries)
    footnote(figure, ["Bars: 95 % intervals."])
    return figure


def _pair(row: dict[Any, Any], *, long: bool) -> str:
    """The name of a pair; in two lines if names are long, and by its labels where no room is for that."""
    if long and page().stacked:
        return f"{row['first']} − {row['second']}"
    return pair_name(row["first"], row["second"]).replace(" − ", "\n− " if long else " − ")


def _forest(ax: Axes, rows: Sequence[tuple[dict[Any, Any], str, str]], *, hollow: bool = False) -> None:
    """Values with intervals, one row each, under a heading per law."""
    labels, at = [], -1.0
    for name in dict.fromkeys(row["fit"] for row, _, _ in rows):
        at += 1.4
        ax.axhline(at - 0.7, color="0.85", lw=0.6)
        labels.append((at, rf"$\bf{{{FIT_TITLES[name]}}}$"))
        for row, colour, label in (one for one in rows if one[0]["fit"] == name):
            at += 1
            labels.append((at, label))
            _bar(ax, row, at, colour=colour, filled=not hollow or row["verdict"] == DIFFER)
    if not labels:
        empty(ax, "No law with this exponent was fitted.")
        return
    ax.set_yticks([y for y, _ in labels], [text for _, text in labels])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(at + 0.6, -0.4)
    ax.grid(axis="y", visible=False)
    if not any(not is_missing(row["value"]) for row, _, _ in rows):
        ax.set_xticks([])


def _bar(ax: Axes, row: dict[Any, Any], at: float, *, colour: str, filled: bool) -> None:
    if is_missing(row["value"]):
        words = row.get("status") or "no number"
        ax.text(0.02, at, words, transform=ax.get_yaxis_transform(), va="center", color="0.45", fontsize=FONT_SIZE - 1)
        return
    ends = [None if is_missing(row[key]) else float(row[key]) for key in ("low", "high")]
    for end in ends:
        if end is not None:
            ax.plot([float(row["value"]), end], [at, at], color=colour, lw=1.4, zorder=2)
    ax.plot([row["value"]], [at], "o", ms=4.5, color=colour, mfc=colour if filled else "white", mew=1.1, zorder=3)


def envelopes_figure(comparison: Comparison) -> Figure:
    """Lowest smoothed loss at each budget, a line per arm; a panel per study where their scales differ."""
    groups = _on_one_scale(comparison.arms)
    figure, axes = schedule_panels(len(groups), height=3.8)
    colours = looks(comparison)
    for ax, arms in zip(axes, groups, strict=True):
        if len(groups) > 1:
            ax.set_title(", ".join(dict.fromkeys(arm.study for arm in arms)))
        for i, arm in enumerate(arms):
            # Thinner and thinner: a line that lies on another leaves its edges visible.
            ax.plot(*envelope_of(arm), lw=max(2.2 - 0.3 * i, 1.0), **colours[arm.label])
        _log_axes(ax)
    legend_above(figure, [line_entry(label=schedule_short(name), **look) for name, look in colours.items()])
    notes = ["Lowest smoothed loss of any run that costs no more than the budget."]
    notes += ["A panel each: FLOPs or losses of these studies are not on one scale."] if len(groups) > 1 else []
    footnote(figure, notes)
    return figure


def _log_axes(ax: Axes) -> None:
    ax.set(xscale="log", xlabel=COMPUTE, ylabel=loss_label(masked=False))
    if ax.lines and any(np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any() for line in ax.lines):
        # Most of the first fall is alike in all; what matters is where they end.
        ends = [np.asarray(line.get_ydata(), dtype=float) for line in ax.lines]
        lowest = min(float(np.nanmin(loss)) for loss in ends if np.isfinite(loss).any())
        middle = max(float(np.nanmedian(loss)) for loss in ends if np.isfinite(loss).any())
        top = middle + 0.3 * (middle - lowest + 0.01)
        ax.set_ylim(lowest - 0.05 * (middle - lowest + 0.01), top)
        shown = [
            np.asarray(line.get_xdata(), dtype=float)[loss <= top] for line, loss in zip(ax.lines, ends, strict=True)
        ]
        flops = np.concatenate(shown)
        ax.set_xlim(flops.min() / 1.3, flops.max() * 1.3)
    log_ticks(ax.xaxis)


def _on_one_scale(arms: Sequence[Arm]) -> list[list[Arm]]:
    groups: list[list[Arm]] = []
    for arm in arms:
        for group in groups:
            if not any(apart(group[0].setup, arm.setup, scale) for scale in ("compute", "loss")):
                group.append(arm)
                break
        else:
            groups.append([arm])
    return groups


def envelope_of(arm: Arm) -> tuple[np.ndarray, np.ndarray]:
    """FLOPs and the lowest smoothed loss (nats) that they reach, both (n,); it never rises."""
    curves = usable(arm.curves)[0]
    if not curves:
        return np.array([]), np.array([])
    grid = np.geomspace(min(c.flops[0] for c in curves), max(c.flops[-1] for c in curves), N_ENVELOPE)
    # Ends of runs, too: one that was evaluated once, as a branch may be, lies between two budgets of the grid.
    flops = np.unique([*grid, *(float(c.flops[-1]) for c in curves)])
    losses = np.array([curve.loss_at(flops) for curve in curves])
    lowest = np.minimum.accumulate(np.where(np.isfinite(losses), losses, np.inf).min(axis=0))
    return flops, np.where(np.isfinite(lowest), lowest, np.nan)


def matched_figure(comparison: Comparison, runs: pd.DataFrame) -> Figure:
    """Difference in loss of matched runs against size, training loss and holdout loss.

    Parameters
    ----------
    comparison : Comparison
    runs : DataFrame
        `plmscale.compare.matched.matched`.
    """
    figure, ((left, right),) = panels(1, 2, height=3.6)
    pairs = [(first.label, second.label) for first, second in comparison.pairs]
    shown: dict[str, Line2D] = {}
    for ax, (kind, title) in zip((left, right), KIND_TITLES.items(), strict=True):
        ax.set_title(title)
        own = runs.loc[runs["kind"] == kind]
        if own.empty:
            empty(ax, "No two runs match.")
            continue
        for i, (first, second) in enumerate(pairs):
            colour, marker = OKABE_ITO[i % len(OKABE_ITO)], "os^Dv"[i % 5]
            of_pair = (own["first"] == first) & (own["second"] == second)
            points = own.loc[of_pair, ["n_params", "difference"]].astype(float)
            # Beside each other, where pairs of many arms have the same sizes.
            x = points["n_params"] * 1.03 ** (i - (len(pairs) - 1) / 2)
            ax.plot(x, points["difference"], marker, color=colour, ms=4, mew=0, alpha=0.75)
            shown[pair_name(first, second)] = marker_entry(marker, label=pair_name(first, second), color=colour)
        ax.axhline(0, color="0.3", lw=0.9, ls=(0, (4, 3)), zorder=1)
        ax.set(xscale="log", xlabel=SIZE, ylabel=loss_label("Difference in loss", masked=False))
        ax.margins(0.1)
        log_ticks(ax.xaxis, prefixes=True)
    legend_above(figure, list(shown.values()))
    return figure
