"""What repeated data are worth, as a table."""

from typing import Any

import pandas as pd

from ...presentation.formats import verdict
from ...presentation.schedule_words import schedule_title
from ...presentation.tables import Column, Table
from ...results.analysed import LawResults

NAMES = ("schedule", "epochs", "worth", "worth_low", "worth_high", "last", "last_low", "last_high", "inside", "status")


def repeated_table(results: LawResults) -> Table:
    """One row per schedule and number of passes, of the laws of repeated data that stand."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for schedule, fit in results.fits.get("repeated", {}).items():
        if not fit.details.get("applies", False):
            continue
        notes.append(f"{schedule_title(schedule)}, {verdict(fit)}")
        rows += [{"schedule": schedule, "status": fit.status} | dict(row) for row in fit.details.get("effective", ())]
        if over := fit.details.get("overfitting"):
            wanted = "want" if over["wanted"] else "do not want"
            notes.append(
                f"{schedule_title(schedule)}: the runs {wanted} a penalty P·√R·N/U beside this law (drop of the "
                f"likelihood {over['drop']:.1f}, one term needs {over['limit']:.1f}; AICc "
                f"{over['aicc_gain']:+.1f} for it)."
            )
    columns = (
        Column("Schedule", "schedule", "schedule"),
        Column("Passes", "epochs", "count"),
        Column("Worth, in passes over new data (95 % interval)", "worth", "number", ("worth_low", "worth_high")),
        Column("Worth of the next token (95 % interval)", "last", "number", ("last_low", "last_high")),
        Column("Within the runs", "inside"),
    )
    note = "Passes beyond those of any run are what the law says, and nobody saw."
    return Table(pd.DataFrame(rows, columns=pd.Index(NAMES), dtype=object), columns, notes=(note, *notes))
