"""The compute plan as files: cells, sums, words and figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ..files import atomic
from ..presentation.tables import frame_to_tsv
from ..study.study import Study
from .brief import brief
from .figure import draw_plan
from .page import write_page
from .plan import Records, plan_summary, whole_plan
from .recipe_words import recipe_words
from .words import budget_words, deadline_words, paragraph, trunk_words


def write_plan(
    study: Study, counted: Mapping[str, int], records: Records, *, folder: Path, warnings: Sequence[str] = ()
) -> str:
    """Write the plan of a study.

    Parameters
    ----------
    study : Study
    counted : mapping of str to int
        Exact tokens of the sets that exist already.
    records : mapping of str to dict
        Usable measurements of speed by size.
    folder : Path
        Gets `cells.tsv`, one row per cell and one per trunk; `summary.tsv`, sums; `plan.md`, both for reading; and
        `plan.svg`, `.pdf`, `.png` and `.csv`; and `report.html` with all of it.
    warnings : sequence of str
        Sentences on measurements that are not used.

    Returns
    -------
    str
        What a terminal shows of it, see `plmscale.plan.brief.brief`.
    """
    table = whole_plan(study, counted, records)
    sums = plan_summary(table, study.config.hardware)
    said = sentences(study, counted, records, table=table, warnings=warnings)
    for name, content in (
        ("cells.tsv", frame_to_tsv(table)),
        ("summary.tsv", frame_to_tsv(sums)),
        ("plan.md", plan_text(said, table=table, sums=sums)),
    ):
        with atomic(folder / name) as partial:
            partial.write_text(content)
    draw_plan(study, table, folder)
    parts = [("Recipe", said.recipe), ("Trunks and branches", said.trunks), ("Deadline", said.deadline)]
    cells = table.reindex(columns=[name for name in CELL_COLUMNS if name in table])
    options = [] if said.options is None else [("What the budget may buy", said.options)]
    tables = [("Sums", sums), *options, ("Cells", cells)]
    write_page(said.headline, [*parts, ("Budget", said.budget)], said.warnings, tables, folder)
    besides = [one for one in (*said.warnings, said.recipe, said.trunks, said.deadline, said.budget) if one]
    return brief(sums, sentences=besides, headline=said.headline, folder=folder)


class Sentences(NamedTuple):
    """What a plan says in words; empty where there is nothing to say.

    `options` are the rows of what a budget may buy, None without a budget.
    """

    headline: str
    warnings: list[str]
    recipe: str
    trunks: str
    deadline: str
    budget: str
    options: pd.DataFrame | None


def sentences(
    study: Study, counted: Mapping[str, int], records: Records, *, table: pd.DataFrame, warnings: Sequence[str] = ()
) -> Sentences:
    """Everything that is said of a plan, computed once: the deadline's is a search."""
    total = plan_summary(table, study.config.hardware).iloc[-1].items()
    budget, options = budget_words(study, table)
    return Sentences(
        headline=paragraph(study, table, {str(name): value for name, value in total}),
        warnings=[f"Warning: {line}" for line in warnings],
        recipe=recipe_words(study),
        trunks=trunk_words(table),
        deadline=deadline_words(study, counted, records) or "",
        budget=budget or "",
        options=options,
    )


def plan_text(said: Sentences, *, table: pd.DataFrame, sums: pd.DataFrame) -> str:
    """The plan in Markdown: paragraphs, sums, and cells."""
    parts = ["# Compute plan", said.headline, *said.warnings]
    if said.recipe:
        parts += ["## Recipe", said.recipe]
    if said.trunks:
        parts += ["## Trunks and branches", said.trunks]
    if said.deadline:
        parts += ["## Deadline", said.deadline]
    if said.options is not None:
        parts += ["## Budget", said.budget, _markdown(said.options)]
    cells = table.reindex(columns=[name for name in CELL_COLUMNS if name in table])
    parts += ["## Sums", _markdown(sums), "## Cells", CELLS_NOTE, _markdown(cells)]
    return "\n\n".join(parts) + "\n"


CELLS_NOTE = (
    "A step's batch is cut into micro-batches at the ends of sequences: micro_batch_tokens × grad_accum × devices is "
    "batch_tokens, up to rounding. Memory is that of one device, in GiB; cells.tsv has it by part, and all FLOP counts."
)

CELL_COLUMNS = [
    "model",
    "subset",
    "schedule",
    "seed",
    "n_params",
    "n_tokens",
    "flops_appendix_e",
    "flops_trained",
    "learning_rate",
    "batch_tokens",
    "nodes",
    "devices_per_node",
    "micro_batch_tokens",
    "grad_accum",
    "memory_gib",
    "hours",
    "device_hours",
    "walltime_min",
    "energy_kwh",
    "cost",
]
"""Columns of the plan's table for reading; cells.tsv has all."""


def _markdown(table: pd.DataFrame) -> str:
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    """A number for reading: whole ones with thousands, others to four digits, only great ones as powers."""
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e3 <= value < 1e9 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
