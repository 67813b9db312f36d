"""The report of a plan: the page of `plmscale plan`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..presentation.page import render
from ..presentation.page.contents import Badge, Page, Section, figure_block, table_block
from ..presentation.page.text import mathematics, paragraphs, remark
from ..presentation.schedule_words import schedule_short
from ..presentation.tables import Column, Table
from ..provenance import versions

COUNTS = ("n_params", "n_tokens", "batch_tokens", "nodes", "devices_per_node", "micro_batch_tokens", "grad_accum")

LABELS = {
    "by": "Sum by",
    "subset": "Set",
    "n_params": "N (parameters)",
    "n_tokens": "D (tokens)",
    "flops_appendix_e": "C, appendix E (FLOPs)",
    "flops_trained": "C of its own job (FLOPs)",
    "flops_from_scratch": "C, every cell from its start (FLOPs)",
    "batch_tokens": "Batch (tokens)",
    "micro_batch_tokens": "Micro-batch (tokens)",
    "grad_accum": "Accumulation steps",
    "memory_gib": "Memory (GiB)",
    "hours": "Time (h)",
    "device_hours": "Device-hours",
    "longest_hours": "Longest cell (h)",
    "walltime_min": "Walltime (min)",
    "energy_kwh": "Energy (kWh)",
}
"""Columns of a plan for a reader, where the name with blanks is not enough."""

SUMS_BY = {"model": "size", "subset": "set"}
"""What is summed by, in words."""


def write_page(
    headline: str,
    parts: Sequence[tuple[str, str]],
    warnings: Sequence[str],
    tables: Sequence[tuple[str, pd.DataFrame]],
    folder: Path,
) -> None:
    """Write report.html into the folder of a plan, beside its figure.

    Parameters
    ----------
    headline : str
        What the study costs.
    parts : sequence of (str, str)
        Heading and words: recipe, trunks, deadline, budget; those without words are left out.
    warnings : sequence of str
    tables : sequence of (str, DataFrame)
        Title and rows, the sums first.
    folder : Path
    """
    blocks = [table_block(_table(data), name=f"plan_{i}", title=title) for i, (title, data) in enumerate(tables)]
    figure = figure_block(folder / "plan", title="Device-hours of every cell", page=folder)
    said = [(title, text) for title, text in parts if text]
    sections = [Section(f"part-{i}", title, title, [paragraphs(text)]) for i, (title, text) in enumerate(said)]
    sections.append(Section("cells", "Cells", "Every cell", blocks[1:]))
    page = Page(
        "What does this study cost?",
        Badge("plain", "plan"),
        mathematics(headline.replace("`", "")),
        render.written(versions()),
        [blocks[0], figure],
        [remark(text) for text in warnings],
        sections,
    )
    render.write_page(page, folder / "report.html")


def _table(data: pd.DataFrame) -> Table:
    """A table for a reader: words for names."""
    shown = data.copy()
    if "by" in shown:
        of_schedules = shown["by"] == "schedule"
        shown["name"] = shown["name"].where(~of_schedules, shown["name"].map(str).map(schedule_short))
        shown["by"] = shown["by"].replace(SUMS_BY)
    return Table(data, [_column(str(name), kind) for name, kind in data.dtypes.items()], shown)


def _column(name: str, dtype: object) -> Column:
    label = LABELS.get(name, f"{name[:1].upper()}{name[1:]}".replace("_", " "))
    if name == "schedule":
        return Column(label, name, "schedule")
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
        return Column(label, name)
    whole = name in COUNTS or pd.api.types.is_integer_dtype(dtype)
    return Column(label, name, "count" if whole else "number")
