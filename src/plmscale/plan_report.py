"""The compute plan as files: cells, sums, and a paragraph in words."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from .files import atomic
from .plan import plan, plan_summary
from .study import Study


def write_plan(study: Study, counted: Mapping[str, int], *, cells: Path, summary: Path, text: Path) -> str:
    """Write the plan of a study.

    Parameters
    ----------
    study : Study
    counted : mapping of str to int
        Exact tokens of the sets that exist already.
    cells, summary : Path
        One row per cell, and sums per schedule and for the study, tab-separated.
    text : Path
        The same for reading, as Markdown.

    Returns
    -------
    str
        The text.
    """
    table = plan(study, counted)
    sums = plan_summary(table, study.config.hardware)
    words = plan_text(study, table, sums)
    for path, content in (
        (cells, table.to_csv(sep="\t", index=False)),
        (summary, sums.to_csv(sep="\t", index=False)),
        (text, words),
    ):
        with atomic(path) as partial:
            partial.write_text(content)
    return words


def plan_text(study: Study, table: pd.DataFrame, sums: pd.DataFrame) -> str:
    """The plan in Markdown: a paragraph, the sums, and the cells."""
    hardware, total = study.config.hardware, sums.iloc[-1]
    estimated = sorted(set(table.loc[table["tokens_from"] == "estimate", "subset"]))
    note = (
        f"Tokens of {', '.join(estimated)} are estimates from subsets.tsv; the plan counts them once the sets exist."
        if estimated
        else "Tokens are counted."
    )
    cost = f", {total['cost']:,.0f} at {hardware.price_per_device_hour:g} an hour" if "cost" in sums else ""
    late = table.loc[table["hours"] > hardware.target_hours]
    slow = (
        f" {len(late)} cells need longer than the {hardware.target_hours:g} h aimed at, even on "
        f"{hardware.max_nodes} × {hardware.devices_per_node} devices."
        if len(late)
        else ""
    )
    paragraph = (
        f"{int(total['cells'])} cells, {total['flops_appendix_e']:.3g} FLOPs (appendix E at {study.config.max_length} "
        f"positions), "
        f"{_cell(float(total['device_hours']))} device-hours on {hardware.name} at {hardware.peak_flops:.3g} FLOP/s "
        f"peak and {hardware.mfu:.0%} utilisation{cost}. The longest cell takes {total['longest_hours']:.3g} h.{slow} "
        f"The utilisation is an assumption. {note}"
    )
    cells = _markdown(table.reindex(columns=CELL_COLUMNS))
    return f"# Compute plan\n\n{paragraph}\n\n## Sums\n\n{_markdown(sums)}\n\n## Cells\n\n{cells}\n"


CELL_COLUMNS = [
    "model",
    "subset",
    "schedule",
    "seed",
    "n_params",
    "n_tokens",
    "flops_appendix_e",
    "flops_6nd",
    "nodes",
    "devices_per_node",
    "device_hours",
    "walltime_min",
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
