"""Weights & Biases: a chart's CSV export, one column per run."""

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ...errors import InputError
from ..cells import NumberColumn, numbers, texts
from ..metrics import axis_kind, choose_loss, refuse_axis
from ..table_files import header, read_table
from ..tidy import ImportedRuns, ImportOptions
from .exports import Export, assemble, step_column

_COLUMN = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<bound>__MIN|__MAX)?")


class _Column(NamedTuple):
    name: str
    run: str
    metric: str


def wandb_columns(path: Path) -> list[_Column]:
    """Columns of a chart's CSV export without its bounds; empty where the file is none."""
    names = header(path) if path.is_file() else []
    found = []
    for name in names[1:]:
        match = _COLUMN.fullmatch(name)
        if not match:
            return []
        if not match["bound"] and match["metric"].strip() not in ("_step", "_runtime", "_timestamp"):
            found.append(_Column(name, match["run"].strip(), match["metric"].strip()))
    return found


def wandb_metrics(path: Path) -> dict[str, list[str]]:
    """Metrics of a chart's CSV export, each with its columns."""
    found: dict[str, list[str]] = {}
    for column in wandb_columns(path):
        found.setdefault(column.metric, []).append(column.name)
    return found


def read_wandb(path: Path, options: ImportOptions) -> ImportedRuns:
    """A chart's CSV: one column per run (`name - metric`), the first the horizontal axis (Step, tokens or FLOPs)."""
    columns = wandb_columns(path)
    twice = [column for i, column in enumerate(columns) if column in columns[:i]]
    if twice:
        raise InputError(
            f"{path}: several runs are called {twice[0].run!r}. Names of runs have to differ: rename them in Weights & "
            "Biases, or show their ID as the name, and export the chart again."
        )
    metrics: dict[str, list[str]] = {}
    for column in columns:
        metrics.setdefault(column.metric, []).append(column.run)
    runs = list(dict.fromkeys(column.run for column in columns))
    metric = choose_loss(metrics, runs=runs, wanted=options.loss_column, source=str(path))
    table = read_table(path)
    axis = str(table.columns[0])
    kind = axis_kind(axis)
    if kind is None:
        raise refuse_axis(axis, source=str(path))
    exports = [
        Export(column.run, _rows(table, axis, kind, column.name, str(path)), path)
        for column in columns
        if column.metric == metric
    ]
    return assemble(exports, source=str(path), kind="wandb", options=options, loss=metric)


def _rows(table: pd.DataFrame, axis: str, kind: str, column: str, source: str) -> pd.DataFrame:
    counts = NumberColumn(source, axis, counts=True)
    position = step_column(table, axis, source) if kind == "step" else numbers(table, axis, counts)
    rows = pd.DataFrame({kind: position, "loss": table[column]}, index=table.index)
    return rows.iloc[[i for i, text in enumerate(texts(table, column)) if text]]
