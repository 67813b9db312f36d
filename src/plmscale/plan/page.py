"""The report of a plan: the page of `plmscale plan`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..presentation.page import render
from ..presentation.page.contents import Badge, Block, Page, Section, figure_block, table_block
from ..presentation.page.text import mathematics, paragraphs, remark
from ..presentation.tables import Column, Table
from ..provenance import versions

COUNTS = ("n_params", "n_tokens", "batch_tokens", "nodes", "devices_per_node", "micro_batch_tokens", "grad_accum")


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
    rest: list[Block] = list(blocks[1:])
    sections.append(Section("cells", "Cells", "Every cell", rest))
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
    return Table(data, [_column(str(name), kind) for name, kind in data.dtypes.items()])


def _column(name: str, dtype: object) -> Column:
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
        return Column(name.replace("_", " "), name)
    whole = name in COUNTS or pd.api.types.is_integer_dtype(dtype)
    return Column(name.replace("_", " "), name, "count" if whole else "number")
