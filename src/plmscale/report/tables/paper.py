"""The paper beside the study: what it prints, its own procedure on these runs, and this package's rule."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ...estimates import Estimate
from ...presentation.formats import (
    STATUS_WORDS,
    compact,
    is_missing,
    number,
    power_of_ten,
    short,
    sized,
    with_interval,
)
from ...presentation.reasons import words
from ...presentation.schedule_words import schedule_words
from ...presentation.tables import Column, Table
from ...published.paper import NOT_ASKED
from ...results.study_results import Results
from .laws import symbol

DIFFERENCES = {
    "exponent": "The paper: least squares through the whole envelope, optima at the smallest and the largest size "
    "included; a dash where runs enter by their ends alone. Our rule: the compute at which one size takes over from "
    "the next.",
    "kaplan": "The paper: least squares on the loss, constants of either sign. Our rule: in logarithms, positive "
    "constants, Huber loss.",
    "plateau": "The paper: read off its curves. Our rule: the median end of the runs that are flat.",
    "line": "The paper: a straight line of FLOPs against size, drawn until it is negative; it does not say which value "
    "belongs to which level, so they stand in the order printed. Our rule: a power law, C = k·N^p.",
    "size": "The paper: the size at which a polynomial comes to the budget, up to six decades outside its data; a dash "
    "where ours does so at no size or at several. Our rule: the power law, and no number far outside the data.",
    "serrano_35m": "The paper: 35M parameters, UniRef50, stopped at the plateau.",
    "xtrimopglm_100b": "100B parameters, its authors' data and masks.",
    "esm2_15b": "15B parameters, as Chen et al. 2024 report it, with their data and masks.",
    "cramming": "Frey et al. 2024: one day of training, their data and masks.",
}
"""What differs between the number printed and those beside it, by item; of perplexities by their source."""

ITEMS = {
    "exponent": "Exponents a and b",
    "kaplan": "Kaplan's constants",
    "plateau": "Plateau loss",
    "line": "FLOPs to the plateau against size",
    "size": "Optimal sizes",
}
"""Items as a reader calls them, in the order of the rows."""

SOURCES = {
    "serrano_35m": "this paper's 35M run",
    "xtrimopglm_100b": "xTrimoPGLM-100B",
    "esm2_15b": "ESM-2 15B",
    "cramming": "Cramming, 24 h",
}
"""Perplexities by their source, for a reader."""

RUN_WORDS = {
    "perplexity": "Beside it the lowest of this study, {run} ({size} parameters), on its own holdout.",
    "stopped": "Beside it this study's run that stopped at the plateau, {run} ({size} parameters), on its own holdout.",
}


def paper_table(results: Results) -> Table:
    """One row per schedule and number that the paper prints."""
    data = results.findings.paper
    rows = data.to_dict("records")
    shown = pd.DataFrame(
        {
            "quantity": [_quantity(row) for row in rows],
            "schedule": [row["schedule"] for row in rows],
            "paper": [row["paper"] for row in rows],
            "procedure": [_judged(row) for row in rows],
            "value": [_value(row) for row in rows],
            "here": [_here(row) for row in rows],
            "any": [next((x for x in (_procedure(row), _value(row)) if x), None) for row in rows],
        },
        dtype=object,
    )
    columns = (
        Column("Printed", "quantity", width=3.2),
        Column("Schedule", "schedule", "schedule", width=2.2),
        Column("Paper", "paper", "given"),
        Column("The paper's procedure on these runs", "procedure"),
        Column("Our rule (95 % interval)", "value"),
        Column("Here", "here", width=3.6),
    )
    differences = (f"{name}. {DIFFERENCES[item]}" for item, name in ITEMS.items() if item in set(data["item"]))
    notes = (
        *differences,
        "Serrano, Ciudad and Molina 2024, arXiv 2406.07249. The paper prints one value each, without an interval and "
        "without naming the schedule.",
        "Perplexities on different sequences and masks do not rank models.",
    )
    return Table(data.assign(why=[_reason(row) for row in rows]), columns, shown, notes, number="any")


def _quantity(row: Mapping[Any, Any]) -> str:
    item, key = row["item"], row["quantity"]
    if item == "perplexity":
        return f"perplexity, {SOURCES[key]}"
    if item == "line":
        return f"{key} of C against N, {100 * row['level']:g} % of the plateau"
    if item == "size":
        return f"N_opt at {compact(row['flops'])} FLOPs"
    return {"a": "a in N_opt = k·C^a", "b": "b in D_opt = k·C^b", "plateau_loss": "plateau loss (nats)"}.get(
        key, symbol(key)
    )


def _procedure(row: Mapping[Any, Any]) -> str:
    if not is_missing(row["procedure"]):
        one = Estimate(row["procedure"], row["procedure_low"], row["procedure_high"])
        return sized(one) if row["item"] == "size" else with_interval(one)
    if is_missing(row["procedure_log10"]):
        return ""
    return power_of_ten(row["procedure_log10"], negative=row["procedure_sign"] < 0)


def _judged(row: Mapping[Any, Any]) -> str:
    """The procedure's number; a constant has no interval, so the verdict stands beside it where we give no number."""
    found = _procedure(row)
    doubtful = row["item"] == "kaplan" and is_missing(row["value"])
    return f"{found}, {STATUS_WORDS.get(row['status'], row['status'])}" if found and doubtful else found


def _value(row: Mapping[Any, Any]) -> str:
    if is_missing(row["value"]):
        return ""
    one = Estimate(row["value"], row["low"], row["high"])
    if row["item"] == "line":
        return f"p = {with_interval(one)}"
    return sized(one) if row["item"] == "size" else with_interval(one)


def _here(row: Mapping[Any, Any]) -> str:
    """What the row's own numbers need to be understood; what differs in procedure is in the notes."""
    if row["item"] != "perplexity":
        return _verdict(row) if is_missing(row["value"]) else ""
    said = DIFFERENCES[row["quantity"]]
    if is_missing(row["run"]):
        return f"{said} No run of this study was scored on its holdout."
    return f"{said} {RUN_WORDS[row['value_of']].format(run=row['run'], size=short(row['n_params']))}"


def _verdict(row: Mapping[Any, Any]) -> str:
    """Why there is no number of ours, in short: the table of the laws has the reason."""
    if row["why"] is not None and row["why"].code == NOT_ASKED:
        said = _reason(row)
        return said[:1].upper() + said[1:]
    return f"Our rule: {STATUS_WORDS.get(row['status'], row['status'])}."


def _reason(row: Mapping[Any, Any]) -> str:
    return "" if is_missing(row["why"]) else words(row["why"])


def exponents_sentence(paper: pd.DataFrame) -> str:
    """What the paper's own procedure gives here, beside its printed exponents."""
    rows = [row for row in paper.to_dict("records") if row["item"] == "exponent"]
    printed = {row["quantity"]: row["paper"] for row in rows}
    said = [
        f"{schedule_words(schedule)}: "
        + ", ".join(f"{row['quantity']} = {_procedure(row)}" for row in rows if row["schedule"] == schedule)
        for schedule in dict.fromkeys(row["schedule"] for row in rows if not is_missing(row["procedure"]))
    ]
    found = (
        f"By the same procedure these runs give: {'; '.join(said)}."
        if said
        else ("These runs have no envelope for that procedure.")
    )
    return (
        f"The paper prints N_opt ∝ C^{number(printed['a'], digits=2)} and D_opt ∝ C^{number(printed['b'], digits=2)}, "
        f"without intervals, by least squares through the whole envelope, edge optima included; it calls the second "
        f"superlinear, though an exponent below 1 is sublinear. {found} The best size at the edge of a grid is no "
        "optimum."
    )
