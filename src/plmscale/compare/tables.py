"""Tables of comparisons for reading and print."""

from collections.abc import Callable

import pandas as pd

from ..presentation.formats import FIT_TITLES, is_missing
from ..presentation.schedule_words import schedule_short
from ..presentation.tables import Column, Table
from ..report.tables.laws import symbol
from .arms import convention_words

PAIR = (Column("First", "first", "schedule"), Column("Second", "second", "schedule"))
INTERVAL = ("low", "high")
NOTE = (
    "First − second, with the 95 % interval of independent errors. They differ only if that interval excludes 0, which "
    "the overlap of two intervals does not tell."
)

ONCE = "What branches of a trunk have in common is counted once: of a branch what comes after its trunk."


def _shown(data: pd.DataFrame) -> pd.DataFrame:
    shown = data.assign(fit=data["fit"].map(FIT_TITLES.__getitem__))
    return shown.assign(parameter=shown["parameter"].map(symbol)) if "parameter" in shown else shown


def exponents_table(data: pd.DataFrame) -> Table:
    """`plmscale.compare.contrasts.exponents` of all comparisons."""
    columns = (
        Column("Compared by", "by"),
        Column("Arm", "arm", "schedule"),
        Column("Fit", "fit"),
        Column("Parameter", "parameter"),
        Column("Value (95 % interval)", "value", "number", INTERVAL),
        Column("Status", "status"),
    )
    rows = data.to_dict("records")
    notes = dict.fromkeys(f"{schedule_short(row['arm'])}: {row['caveat']}" for row in rows if row["caveat"])
    return Table(data, columns, _shown(data), tuple(notes), number="value")


def differences_table(data: pd.DataFrame) -> Table:
    """`plmscale.compare.contrasts.differences` of all comparisons."""
    columns = (
        *PAIR,
        Column("Fit", "fit"),
        Column("Parameter", "parameter"),
        Column("Difference (95 % interval)", "value", "number", INTERVAL),
        Column("Verdict", "verdict"),
        Column("Why no number", "reason", width=4.0),
    )
    return Table(data, columns, _shown(data), (NOTE,), number="value")


def sizes_table(data: pd.DataFrame) -> Table:
    """`plmscale.compare.contrasts.sizes` of all comparisons."""
    columns = (
        *PAIR,
        Column("Fit", "fit"),
        Column("C (FLOPs)", "flops", "compact"),
        Column("N_opt of the first", "first_value", "short", ("first_low", "first_high")),
        Column("N_opt of the second", "second_value", "short", ("second_low", "second_high")),
        Column("Ratio (95 % interval)", "ratio_value", "number", ("ratio_low", "ratio_high")),
        Column("Verdict", "verdict"),
    )
    note = "The ratio is first ÷ second; they differ if its interval excludes 1."
    return Table(data, columns, _shown(data), (note,), number="first_value")


def losses_table(data: pd.DataFrame) -> Table:
    """`plmscale.compare.matched.paired` of all comparisons."""
    columns = (
        *PAIR,
        Column("Loss", "kind"),
        Column("Runs matched", "n_pairs", "count"),
        Column("Sizes", "n_models", "count"),
        Column("Difference (nats, 95 % interval)", "value", "number", INTERVAL),
        Column("Verdict", "verdict"),
        Column("Why no interval", "reason", width=4.0),
    )
    note = "First − second: negative where the first is better. Interval: Student's t over sizes."
    return Table(data, columns, notes=(note,))


def runs_table(data: pd.DataFrame) -> Table:
    """`plmscale.compare.matched.matched` of all comparisons."""
    columns = (
        *PAIR,
        Column("Loss", "kind"),
        Column("Model", "model"),
        Column("Set", "subset"),
        Column("Seed", "seed", "count"),
        Column("D of the first", "tokens_first", "short"),
        Column("D of the second", "tokens_second", "short"),
        Column("Loss of the first (nats)", "loss_first", "loss"),
        Column("Loss of the second (nats)", "loss_second", "loss"),
        Column("Difference (nats)", "difference", "number"),
    )
    return Table(data, columns)


def costs_table(data: pd.DataFrame) -> Table:
    """`plmscale.compare.contrasts.costs` of all comparisons."""
    columns = (
        Column("Compared by", "by"),
        Column("Arm", "arm", "schedule"),
        Column("Runs", "runs", "count"),
        Column("Finished", "finished", "count"),
        Column("Trunks", "trunks", "count"),
        Column("Tokens trained", "n_tokens", "short"),
        Column("FLOPs", "flops", "number"),
        Column("FLOPs by", "convention"),
        Column("Device-hours", "device_hours", "number"),
        Column("Jobs timed", "timed", "count"),
    )
    shown = data.assign(convention=[None if is_missing(c) else convention_words(c) for c in data["convention"]])
    return Table(data, columns, shown, notes=(ONCE,) if data["trunks"].to_numpy(dtype=float).any() else ())


TABLES: dict[str, tuple[str, Callable[[pd.DataFrame], Table]]] = {
    "exponents": ("Parameters of the laws, side by side", exponents_table),
    "differences": ("Differences between parameters of the laws", differences_table),
    "optimal_sizes": ("Optimal sizes per compute budget, side by side", sizes_table),
    "matched_losses": ("Difference in loss of matched runs", losses_table),
    "matched_runs": ("Matched runs", runs_table),
    "costs": ("Cost", costs_table),
}
"""Title and maker of each table, by file name."""
