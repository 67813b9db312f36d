"""Learning rates as a table, and warnings of sizes whose fitted runs were trained beside their optimum."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..laws.rates.found import NO_SWEEP, RateFindings, Rates
from ..presentation.formats import short, with_interval
from ..presentation.reasons import told, words
from ..presentation.schedule_words import schedule_title
from ..presentation.tables import Column, Table
from ..results.analysed import LawResults

COLUMNS = (
    Column("Schedule", "schedule", "schedule"),
    Column("N (parameters)", "n_params", "count"),
    Column("Set", "subset"),
    Column("D (tokens)", "n_tokens", "number"),
    Column("Rates", "n_rates", "count"),
    Column("Lowest", "lowest", "given"),
    Column("Highest", "highest", "given"),
    Column("Optimum (95 % interval)", "optimum", "number", ("optimum_low", "optimum_high")),
    Column("Status", "status"),
    Column("Rate of the fitted run", "fitted", "given"),
    Column("What it costs (nats)", "penalty", "number"),
    Column("By the rule (95 % interval)", "rule", "number", ("rule_low", "rule_high")),
    Column("Why no optimum", "reason", width=4.0),
)
NAMES = ("schedule", "n_params", "subset", "n_tokens", "n_rates", "lowest", "highest", "did_not_finish", "best")
NAMES += ("optimum", "optimum_low", "optimum_high", "loss", "curvature", "status", "reason", "fitted", "penalty")
NAMES += ("rule", "rule_low", "rule_high")


def rates_table(results: LawResults) -> Table:
    """One row per size, set and length of a schedule that has a sweep; those without a sweep by the rule alone."""
    rows = [_row(row) for one in results.rates for row in one.rows]
    notes = [f"{schedule_title(one.rates.schedule)}: {rule_sentence(one.rates)}" for one in results.rates]
    note = (
        "The optimum is the vertex of a parabola of the loss in log rate; it counts between the rates tried alone. "
        "Laws use the run with the best rate of each sweep."
    )
    data = pd.DataFrame(rows, columns=pd.Index(NAMES), dtype=object)
    return Table(data, COLUMNS, notes=(note, *notes, *off_optimum(results.rates)))


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its reason in words, where there was a sweep."""
    return {**row, **({} if row["status"] == NO_SWEEP else told(row["why"]))}


def rule_sentence(rates: Rates) -> str:
    """The rule with its intervals, or why there is none."""
    rule = rates.rule
    if rule is None:
        return f"no rule of the learning rate: {words(rates.why) if rates.why else 'no sweep'}."
    tokens = "" if rule.d.value == 0 else f"·D^−d, d = {with_interval(rule.d)}"
    return (
        f"best learning rate = {rule.k:.3g}·N^−c{tokens}, c = {with_interval(rule.c)}, from {rule.n_sweeps} sweeps of "
        f"{short(rule.sizes[0])} to {short(rule.sizes[1])} parameters."
    )


def off_optimum(findings: Sequence[RateFindings]) -> list[str]:
    """A sentence per size whose fitted runs were trained beside their best learning rate, or may have been."""
    return [
        f"{schedule_title(one.schedule)}, {short(one.n_params)} parameters: {words(one.why)}"
        for found in findings
        for one in found.off
    ]
