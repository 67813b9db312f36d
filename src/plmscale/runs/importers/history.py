"""Histories: tables with a row per logged step and a column per metric, most of whose cells are empty.

Lightning's metrics.csv, Weights & Biases' history (csv, lines of JSON, parquet), MLflow's table of metrics (key, value,
step). A file is a run, or has a column `run`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError
from ..cells import NumberColumn, numbers, texts
from ..metrics import axis_kind, choose_loss, may_be_loss, refuse_axis
from ..table_files import header, header_notes, is_table, read_table
from ..tidy import THREE, ImportedRuns, ImportOptions, fields_of
from .exports import Export, assemble, distinct, step_column
from .run_names import RUNS_TABLE

LONG = {"key", "value", "step"}
"""Columns of a table of metrics that has a row per metric (MLflow)."""
_CALLS = "_step"
"""Weights & Biases' count of calls of `log`, which are not steps of the optimizer where both are there."""
_TIMES = ("_timestamp", "timestamp", "Wall time")
_NO_NAMES = ("metrics", "metric", "history", "wandb-history", "log", "logs", "train_log", "scalars", "0000", "data")
_IDENTITY = ("n_params", "model", "seed", "group", "schedule", "subset", "status", "trunk", "unique_tokens")
_CARRIED = (*_IDENTITY, "batch_tokens", "learning_rate", "lr_fraction")


def history_files(path: Path) -> list[Path]:
    """Histories at a path, or below a folder."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file() and is_table(file))
    return [file for file in files if is_history(header(file))]


def is_history(names: Sequence[str]) -> bool:
    """Whether columns are those of a history: an axis and a loss, and not the columns of a table of runs."""
    if set(names) >= LONG:
        return True
    if set(names) >= RUNS_TABLE or not any(may_be_loss(name) for name in names):
        return False
    found = fields_of(names)
    several = sum(name in found for name in THREE) >= 2
    moving = any(axis_kind(name) for name in names) or any(name in found for name in ("n_tokens", "flops"))
    return moving and not several and not ("n_params" in found and not _steps(names))


def read_history(path: Path, options: ImportOptions) -> ImportedRuns:
    """Runs by file, or by the column `run`."""
    files = history_files(path)
    stems = [_stem(file) for file in files]
    called = [
        file.absolute().parent.name if stem.lower() in _NO_NAMES else stem
        for file, stem in zip(files, stems, strict=True)
    ]
    names = distinct(files, path, called)
    parts = [part for name, file in zip(names, files, strict=True) for part in _parts(name, file, options)]
    metrics: dict[str, list[str]] = {}
    for part in parts:
        for metric in dict.fromkeys(_metrics(part.rows)):
            metrics.setdefault(metric, []).append(part.run)
    wanted = options.loss_column or options.columns.get("loss")
    runs = [part.run for part in parts]
    loss = choose_loss(metrics, runs=runs, wanted=wanted, source=str(path))
    exports, notes = [], []
    for part in parts:
        rows, more = _curve(part, loss, options)
        exports.append(Export(part.run, rows, part.path))
        notes += header_notes(part.rows, str(part.path)) + more
    found = assemble(exports, source=str(path), kind="history", options=options, loss=loss)
    return replace(found, notes=(*dict.fromkeys(notes), *found.notes))


def _stem(file: Path) -> str:
    name = file.name.removesuffix(".gz")
    return name.removesuffix(Path(name).suffix)


def _parts(name: str, file: Path, options: ImportOptions) -> Iterator[Export]:
    """Rows of every run of a file."""
    table = read_table(file)
    names = [str(one) for one in table.columns]
    if set(names) >= LONG:
        table = _wide(table, str(file))
    run = fields_of(names, options.columns).get("run") or [one for one in ("run_uuid",) if one in names]
    if not run:
        yield Export(name, table, file)
        return
    called = texts(table, run[0])
    if "" in called:
        raise InputError(f"{file}, line {table.index[called.index('')]}: {run[0]} is empty. Name the run of every row.")
    for one in dict.fromkeys(called):
        yield Export(one, table.iloc[[i for i, own in enumerate(called) if own == one]], file)


def _wide(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """A column per metric from a row per metric."""
    keys = texts(table, "key")
    taken = [key for key in dict.fromkeys(keys) if key in table.columns or not key]
    if taken:
        raise InputError(f"{source}: a metric is called {taken[0]!r}, as a column of the table is. Rename it.")
    wide = {
        key: pd.Series([cell if own == key else "" for own, cell in zip(keys, table["value"].tolist(), strict=True)])
        for key in dict.fromkeys(keys)
    }
    return table.drop(columns=["key", "value"]).assign(**{key: list(cells) for key, cells in wide.items()})


def _metrics(rows: pd.DataFrame) -> list[str]:
    """Columns that hold something; an axis is no metric."""
    names = [str(name) for name in rows.columns]
    axes = {name for name in names if axis_kind(name)}
    return [name for name in names if name not in axes and any(texts(rows, name))]


def _curve(part: Export, loss: str, options: ImportOptions) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a run that hold the loss, in the order of time, with their place in the training."""
    rows, source = part.rows, str(part.path)
    rows = rows.iloc[[i for i, text in enumerate(texts(rows, loss)) if text]]
    for time in (name for name in _TIMES if name in rows):
        at = numbers(rows, time, NumberColumn(source, time)) if _are_numbers(rows, time) else np.array([np.nan])
        rows = rows if np.isnan(at).any() else rows.iloc[np.argsort(at, kind="stable")]
        break
    names = [str(name) for name in rows.columns if any(texts(rows, str(name)))]
    columns, notes = _place(rows, names, source, options)
    found = fields_of([name for name in names if name != loss], options.columns)
    for key in _CARRIED:
        if key in found and all(texts(rows, found[key][0])):
            columns[key] = found[key][0]
    curve = pd.DataFrame({key: rows[name] for key, name in columns.items()} | {"loss": rows[loss]}, index=rows.index)
    if "step" in columns:
        curve["step"] = step_column(rows, columns["step"], source)
    if columns.get("step") == _CALLS:
        notes.append("_step counts the calls of log: it was taken as the step of the optimizer.")
    return curve, notes


def _place(
    rows: pd.DataFrame, names: Sequence[str], source: str, options: ImportOptions
) -> tuple[dict[str, str], list[str]]:
    """Columns for step, tokens and FLOPs: those that have a cell in every row of the loss."""
    found = fields_of(names, options.columns)
    columns, notes = {}, []
    for kind in ("n_tokens", "flops"):
        could = found.get(kind) or [name for name in names if axis_kind(name) == kind]
        whole = [name for name in could if all(texts(rows, name))]
        if len(whole) > 1 and kind not in options.columns:
            raise InputError(f"{source}: {' and '.join(whole)} may be {kind}. Choose with --map {kind}={whole[0]}.")
        if whole:
            columns[kind] = whole[0]
        elif could:
            notes.append(f"{could[0]} is not in every row of the loss and was not used.")
    steps = [options.columns["step"]] if options.columns.get("step") in names else _steps(names)
    if len(steps) > 1:
        raise InputError(f"{source}: {' and '.join(steps)} may be the step. Choose with --map step={steps[0]}.")
    if steps:
        columns["step"] = steps[0]
    if not columns:
        others = [name for name in names if not may_be_loss(name)]
        raise refuse_axis(others[0] if others else "row", source=source)
    return columns, notes


def _steps(names: Sequence[str]) -> list[str]:
    steps = [name for name in names if axis_kind(name) == "step"]
    return [name for name in steps if name != _CALLS] or steps


def _are_numbers(rows: pd.DataFrame, name: str) -> bool:
    try:
        return bool(np.isfinite(numbers(rows, name, NumberColumn("", name))).all())
    except InputError:
        return False
