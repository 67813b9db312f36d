"""Advice as text and as a table."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..files import atomic
from ..presentation.formats import compact, is_missing, number, short, with_interval
from ..presentation.tables import Column, Table, to_markdown, to_tsv
from ..study.catalog import ADVICE_TARGETS
from .advice import Advice, own_interval

SHOWN = 20
"""Candidates of a schedule that a reader is shown; the tsv has all."""
LINE = 110

COLUMNS = (
    Column("Schedule", "schedule", "schedule"),
    Column("Place in the plan", "order", "count"),
    Column("Size", "model"),
    Column("N (parameters)", "n_params", "short"),
    Column("Set", "subset"),
    Column("D (tokens)", "n_tokens", "short"),
    Column("D/N", "tokens_per_param", "number"),
    Column("What it is", "kind"),
    Column("C (FLOPs)", "flops", "number"),
    Column("Device-hours", "device_hours", "number"),
    Column("Interval narrower (%)", "narrower_percent", "number"),
    Column("% per device-hour", "percent_per_hour", "number"),
)


def write_advice(found: Mapping[str, Advice], *, tsv: Path, md: Path) -> str:
    """Write the candidates of every schedule, and the advice in words above them.

    Parameters
    ----------
    found : mapping of str to Advice
        By schedule.
    tsv, md : Path
        All candidates at full precision; words and the best candidates of each schedule.

    Returns
    -------
    str
        The words.
    """
    md.unlink(missing_ok=True)
    words = text_of(found)
    table = candidate_table(found)
    page = f"# Next best cells\n\n```text\n{words}```\n\n{to_markdown(table, title='Candidates')}"
    for path, text in ((tsv, to_tsv(table)), (md, page)):
        with atomic(path) as partial:
            partial.write_text(text, encoding="utf-8")
    return words


def text_of(found: Mapping[str, Advice]) -> str:
    """The advice of every schedule in words."""
    return "\n".join(advice_text(advice, title=schedule) for schedule, advice in found.items())


def advice_text(advice: Advice, *, title: str) -> str:
    """What to train next, in words, lines of at most `LINE` characters."""
    lines = [f"Runs: {title}"]
    if advice.reason:
        lines += _paragraph(f"No advice: {advice.reason}")
    elif advice.spread:
        lines += _paragraph(
            f"The law is not identified: {advice.spread} A ranking by it would be a ranking by a poorly known law. "
            f"Instead a spread of sizes and lengths, each cell at most a sixth of the budget; then ask again."
        )
        lines += [_cell_line(row) for row in advice.plan.to_dict("records")]
    else:
        lines += _paragraph(asked(advice))
        lines += _paragraph(planned(advice))
        lines += [_cell_line(row, advice) for row in advice.plan.to_dict("records")]
    for warning in advice.warnings:
        lines += _paragraph(f"Warning: {warning}")
    return "\n".join(lines) + "\n"


def planned(advice: Advice) -> str:
    """What the cells below cost, and what the answer's interval becomes with them."""
    if advice.plan.empty:
        return "No cell within the budget would narrow it by as much as 0.1 %."
    hours, most = sum(float(one) for one in advice.plan["device_hours"]), advice.question.device_hours
    n_cells = len(advice.plan)
    cells = "The cell below costs" if n_cells == 1 else f"The {n_cells} cells below cost"
    return (
        f"{cells} {number(hours)} of {number(most)} device-hours; {'it becomes' if n_cells == 1 else 'after them'} "
        f"{_plus_minus(advice, advice.half_width_after)}, if Chinchilla's law holds."
    )


def asked(advice: Advice) -> str:
    """The quantity that was asked for as the runs give it, with its interval."""
    target, value = advice.question.target, advice.value
    now = _plus_minus(advice, advice.half_width)
    by = "by Chinchilla's law fitted to the runs (delta method)"
    if target.name == "a":
        own = own_interval(advice)
        given = f"; the fit's own interval is {with_interval(own)}" if own is not None else ""
        return f"The {ADVICE_TARGETS['a']} is {number(value)}, {now}, {by}{given}."
    what = {"n_opt": "optimal size", "loss": "lowest loss"}[target.name]
    shown = short(math.exp(value)) if target.name == "n_opt" else f"{number(math.exp(value), digits=4)} nats"
    return f"The {what} at {compact(target.at_flops)} FLOPs is {shown}, {now}, {by}."


def _plus_minus(advice: Advice, half: float) -> str:
    """An interval in words: logarithms as factors, small ones as per cent."""
    if not advice.question.target.logarithmic:
        return f"± {number(half)}"
    return f"± {number(100 * half)} %" if half < 0.1 else f"within a factor of {number(math.exp(min(half, 700.0)))}"


def _cell_line(row: Mapping[Any, Any], advice: Advice | None = None) -> str:
    where = f" of {row['subset']}" if row["subset"] else ""
    shape = f", {row['row']}" if row["row"] else ""
    then = f", then {_plus_minus(advice, float(row['half_width']))}" if advice else ""
    return (
        f"  {int(row['order']):3d}. N {short(float(row['n_params'])):>6} ({row['model']}{shape}), "
        f"D {short(float(row['n_tokens'])):>6}{where}: {number(float(row['device_hours']))} device-hours, "
        f"{row['kind']}{then}"
    )


PLAN = (
    Column("Schedule", "schedule", "schedule"),
    Column("Order", "order", "count"),
    Column("What it is", "kind"),
    Column("Size", "model"),
    Column("N (parameters)", "n_params", "short"),
    Column("Set", "subset"),
    Column("D (tokens)", "n_tokens", "short"),
    Column("D/N", "tokens_per_param", "number"),
    Column("C (FLOPs)", "flops", "number"),
    Column("Device-hours", "device_hours", "number"),
    Column("Then the answer is known to", "then"),
)


def plan_table(found: Mapping[str, Advice]) -> Table:
    """The cells to train of every schedule, in their order; columns in which no row has anything are left out."""
    parts = [
        one.plan.assign(
            schedule=schedule,
            then=None if one.spread else [_plus_minus(one, float(half)) for half in one.plan["half_width"]],
        ).astype(object)
        for schedule, one in found.items()
        if not one.plan.empty
    ]
    data = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=pd.Index([c.key for c in PLAN]))
    return Table(data, _filled(PLAN, data))


def _filled(columns: Sequence[Column], shown: pd.DataFrame) -> list[Column]:
    return [one for one in columns if not all(is_missing(value) for value in shown[one.key])]


def candidate_table(found: Mapping[str, Advice]) -> Table:
    """All candidates of all schedules as data, the best `SHOWN` of each for a reader."""
    parts = [one.table.assign(schedule=schedule).astype(object) for schedule, one in found.items()]
    data, shown = (pd.concat(some, ignore_index=True) for some in (parts, [part.head(SHOWN) for part in parts]))
    notes = (
        "Narrower: expected fall of the width of the target's 95 % interval by this cell alone, a mean over the fitted "
        "law and its resamples; empty where the law is not identified.",
    )
    first = ["schedule", "order"]
    columns = [*first, *(name for name in data.columns if name not in first)]
    return Table(data.reindex(columns=columns), _filled(COLUMNS, shown), shown=shown, notes=notes)


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, LINE, initial_indent="  ", subsequent_indent="    ")
