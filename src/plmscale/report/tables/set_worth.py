"""What the tokens of one set are worth in those of another, as a table."""

from typing import Any

import pandas as pd

from ...estimates import Estimate
from ...presentation.formats import with_interval
from ...presentation.reasons import words
from ...presentation.schedule_words import schedule_title
from ...presentation.tables import Column, Table
from ...results.study_results import Results

COLUMNS = (
    Column("Schedule", "schedule", "schedule"),
    Column("Set", "first"),
    Column("Against", "second"),
    Column("Pairs of runs", "n_pairs", "count"),
    Column("Difference on the holdout (nats)", "difference", "loss"),
    Column(
        "Its tokens are worth (× those of the other, 95 % interval)", "worth", "number", ("worth_low", "worth_high")
    ),
    Column("Why no number", "reason", width=4.0),
)
NOTE = (
    "Pairs of runs of one size and seed on sets whose tokens differ by at most 10 %. Worth above 1: the first set "
    "teaches as much as so many times its tokens of the second, by the token term of Chinchilla's law. The "
    "interval holds that of the law and the scatter over sizes."
)


def set_worth_table(results: Results) -> Table:
    """One row per schedule and pair of sets of equal count (`plmscale.compare.set_worth`)."""
    found = results.findings.set_worth
    reasons = ["" if why is None else words(why) for why in found["why"]]
    data = found.drop(columns="why").assign(reason=pd.Series(reasons, index=found.index, dtype=object))
    sentences = [_sentence(row) for row in found.to_dict("records") if row["worth"] is not None]
    return Table(data, COLUMNS, notes=(NOTE, *sentences))


def _sentence(row: dict[Any, Any]) -> str:
    worth = with_interval(Estimate(row["worth"], row["worth_low"], row["worth_high"]))
    return (
        f"{schedule_title(row['schedule'])}: tokens of {row['first']} are worth {worth} times those of {row['second']}."
    )
