"""The plan on a terminal: at most 25 lines, the headline last."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..presentation.formats import number

LINES = 25
"""Most lines: what a terminal of the old size shows with a prompt."""

WIDTH = 110
"""Columns that sentences are wrapped to."""


def brief(sums: pd.DataFrame, *, sentences: Sequence[str], headline: str, folder: Path) -> str:
    """The sums by size, the remarks, the files of the whole plan, and the headline.

    Parameters
    ----------
    sums : pandas.DataFrame
        See `plmscale.plan.plan.plan_summary`.
    sentences : sequence of str
        Warnings and remarks on trunks, deadline and budget; shortened to fit the lines.
    headline : str
        Cells, FLOPs, device-hours.
    folder : Path
        Of the plan's files.

    Returns
    -------
    str
        At most `LINES` lines.
    """
    closing = [f"The whole plan, cell by cell: {folder / 'plan.md'}, plan.svg, cells.tsv, summary.tsv.", ""]
    closing += textwrap.wrap(headline, WIDTH)
    said = [line for sentence in sentences for line in textwrap.wrap(sentence, WIDTH)]
    room = LINES - len(closing) - 1
    sizes = sums.loc[sums["by"] == "model", :]
    rows = _table(sizes) if len(sizes) + 1 <= room else []
    said = _shortened(said, room - len(rows) - bool(rows))
    blocks = [block for block in (rows, said) if block]
    return "\n".join([*(line for block in blocks for line in [*block, ""]), *closing])


def _shortened(lines: list[str], room: int) -> list[str]:
    return lines if len(lines) <= room else [*lines[: max(room - 1, 0)], "… (more in plan.md)"]


def _table(sizes: pd.DataFrame) -> list[str]:
    columns = {"size": "name", "cells": "cells", "FLOPs": "flops_appendix_e", "device-hours": "device_hours"}
    columns |= {"longest cell (h)": "longest_hours"}
    rows = [list(columns)]
    for row in sizes.to_dict("records"):
        values = [row[key] for key in columns.values()]
        rows.append([str(values[0]), str(values[1]), *(number(float(value)) for value in values[2:])])
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
