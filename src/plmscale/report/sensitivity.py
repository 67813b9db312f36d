"""Table and figure of what the exponents owe to choices (`plmscale.laws.confidence.sensitivity`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..estimates import Estimate
from ..laws.confidence.choices import CONVENTIONS, OUTLIER_RULES
from ..laws.fit import NO_FIT, Fit
from ..laws.size_law import VERDICTS
from ..presentation.figure_page import page
from ..presentation.formats import FIT_TITLES, is_missing, with_interval
from ..presentation.reasons import words
from ..presentation.schedule_words import schedule_title
from ..presentation.tables import Column, Table
from ..reasons import Reason
from ..results.analysed import LawResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..presentation.figure_style import SizeScale

HEADLINES = ("envelope", "isoflop", "chinchilla")
"""Fits whose exponent a may be the headline, the first identified one is."""

USUAL = {"flops": CONVENTIONS[0], "outliers": OUTLIER_RULES[0]}
"""Choices that are not mentioned in a sentence."""

MARKERS = ("o", "s", "^")
ROW_HEIGHT, AROUND = 0.22, 1.6
"""Inches of a row of the forest, and of what stands above and below the rows."""

STACKED_ROW_HEIGHT, STACKED_AROUND = 0.4, 2.9
"""The same in a column of a journal, where the name of a row takes two lines, and the legend five."""


def headline(fits: dict[str, Fit]) -> tuple[str, Estimate] | None:
    """Name and exponent a of the first fit that stands, identified ones before weakly identified ones."""
    for status in ("identified", "weakly_identified"):
        for name in HEADLINES:
            fit = fits.get(name, NO_FIT)
            if fit.status == status and "a" in fit.estimates:
                return name, fit.estimates["a"]
    return None


def of_standing_laws(results: LawResults) -> pd.DataFrame:
    """The exponents by choices of the laws that stand; of others why there is no number."""
    data = results.sensitivity
    if data.empty:
        return data
    of_each = zip(data["law"], data["schedule"], strict=True)
    stands = [results.fits.get(law, {}).get(schedule, NO_FIT).status in VERDICTS for law, schedule in of_each]
    without = pd.Series([not one for one in stands], index=data.index) & data["a"].notna()
    why = data["why"].astype(object).mask(without, Reason("law_not_identified"))
    shown = data.drop(columns=["law", "why"]).assign(reason=["" if is_missing(one) else words(one) for one in why])
    shown.loc[without, ["a", "b"]] = np.nan
    return shown


def sensitivity_table(results: LawResults, *, groups: str = "Schedule") -> Table:
    """One row per schedule, estimator, space, FLOP count and outlier rule; the spread below it.

    `groups` is what a reader calls the groups of runs.
    """
    columns = (
        Column(groups, "schedule", "schedule"),
        Column("Estimator", "estimator"),
        Column("Space", "space"),
        Column("FLOPs", "flops"),
        Column("Outliers", "outliers"),
        Column("a (N_opt)", "a", "number"),
        Column("b (D_opt)", "b", "number"),
        Column("Points", "n_points", "count"),
        Column("Why none", "reason"),
    )
    data = of_standing_laws(results)
    shown = data.astype(object).where(data.notna(), None)
    notes = tuple(f"{schedule_title(name)}: {spread_sentence(results, name)}" for name in results.schedules)
    return Table(shown, columns, notes=notes, number="a")


def forest(results: LawResults, sizes: "SizeScale") -> "Figure":
    """Exponent a by every estimator and space, one panel per schedule; the headline and its interval as a band."""
    # The table and its sentence are written without drawing anything: matplotlib takes a second to import.
    from ..presentation.figure_style import OKABE_ITO, legend_above, marker_entry, name_left_out, panels

    del sizes  # sizes are not shown
    data = of_standing_laws(results)
    known = data.dropna(subset=["a"])
    drawn = set(known["schedule"])
    schedules = [schedule for schedule in results.schedules if schedule in drawn] or results.schedules
    rows = list(dict.fromkeys(zip(known["estimator"], known["space"], strict=True)))
    n_rows = max(len(rows), 4)
    row_height, around = (STACKED_ROW_HEIGHT, STACKED_AROUND) if page().stacked else (ROW_HEIGHT, AROUND)
    figure, (row,) = panels(1, len(schedules), height=around + row_height * n_rows, sharey=True)
    for ax, schedule in zip(row, schedules, strict=True):
        ax.set_title(schedule_title(schedule), loc="right" if page().stacked else "left")
        _panel(ax, known.loc[known["schedule"] == schedule, :], headline(_fits(results, schedule)), rows=rows)
    colours = [marker_entry("o", label=f"C: {name}", color=OKABE_ITO[i]) for i, name in enumerate(CONVENTIONS)]
    rules = [marker_entry(MARKERS[i], label=name, mfc="none", mec="0.3") for i, name in enumerate(OUTLIER_RULES)]
    legend_above(figure, [*colours, *rules])
    name_left_out(figure, "No estimator has an exponent", (one for one in results.schedules if one not in schedules))
    return figure


def choices_lines(results: LawResults, schedule: str) -> list[str]:
    """`spread_sentence` for a summary; nothing before the choices have been varied, nor where no
    law stands, whose exponents would be nobody's.
    """
    if results.sensitivity.empty or headline(_fits(results, schedule)) is None:
        return []
    return [f"Choices: {spread_sentence(results, schedule)}"]


def _fits(results: LawResults, schedule: str) -> dict[str, Fit]:
    return {name: results.fits.get(name, {}).get(schedule, NO_FIT) for name in HEADLINES}


def spread_sentence(results: LawResults, schedule: str) -> str:
    """Headline of one schedule with its interval, and how far it moves with the choices; which ones are at the ends."""
    first = headline(_fits(results, schedule))
    words = f"{FIT_TITLES[first[0]]}, a = {with_interval(first[1])}" if first else "no law is identified"
    data = of_standing_laws(results)
    known = data.loc[(data["schedule"] == schedule) & data["a"].notna(), :].reset_index(drop=True)
    if known.empty:
        return f"{words}; no design of the analysis gives an exponent."
    values = known["a"].to_numpy(dtype=float)
    low, middle, high = float(values.min()), float(np.median(values)), float(values.max())
    lowest, highest = (known.loc[int(values.argsort()[i]), :] for i in (0, -1))
    return (
        f"{words}; over {len(known)} designs of the analysis a goes from {low:.2f} ({_design(lowest)}) to {high:.2f} "
        f"({_design(highest)}), median {middle:.2f}."
    )


def _design(row: pd.Series) -> str:
    """The choices of a design that are not the usual ones."""
    flops = "" if row["flops"] == USUAL["flops"] else f", C {row['flops']}"
    outliers = "" if row["outliers"] == USUAL["outliers"] else f", {row['outliers']}"
    return f"{row['estimator']}, {row['space']}{flops}{outliers}"


def _panel(
    ax: "Axes", known: pd.DataFrame, first: tuple[str, Estimate] | None, *, rows: Sequence[tuple[str, str]]
) -> None:
    from ..presentation.figure_style import OKABE_ITO, empty

    if known.empty:
        empty(ax, "No estimator has an exponent on these runs.")
        return
    if first is not None and first[1].value is not None:
        if first[1].low is not None and first[1].high is not None:
            ax.axvspan(first[1].low, first[1].high, color="0.9", lw=0, zorder=0)
        ax.axvline(first[1].value, color="0.3", lw=0.9, zorder=1)
    for (name, space, flops, outliers), a in zip(_designs(known), known["a"], strict=True):
        shift = 0.22 * (CONVENTIONS.index(flops) - (len(CONVENTIONS) - 1) / 2)
        shift += 0.12 * (OUTLIER_RULES.index(outliers) - 1)
        colour = OKABE_ITO[CONVENTIONS.index(flops)]
        marker = MARKERS[OUTLIER_RULES.index(outliers)]
        ax.plot([a], [rows.index((name, space)) + shift], marker, color=colour, mfc="none", ms=3.5, mew=0.9, zorder=3)
    between = ",\n" if page().stacked else ", "
    ax.set_yticks(range(len(rows)), [f"{name}{between}{space}" for name, space in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    low, high = np.min(known["a"]), np.max(known["a"])
    pad = 0.08 * max(float(high - low), 0.05)
    ax.set_xlim(float(low) - pad, float(high) + pad)
    ax.grid(axis="y", lw=0.4, color="0.9")
    ax.set_xlabel(r"a in $N_\mathrm{opt} \propto C^a$")


def _designs(data: pd.DataFrame) -> Sequence[tuple[str, str, str, str]]:
    return list(zip(data["estimator"], data["space"], data["flops"], data["outliers"], strict=True))
