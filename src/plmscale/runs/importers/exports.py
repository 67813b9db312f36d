"""Curves of loss against step, as trackers export them, joined with a table that says what each run was."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ...errors import InputError
from ..cells import NumberColumn, numbers, texts
from ..fields import FIELDS
from ..ranges import check_range
from ..table_files import header_notes
from ..tidy import ImportedRuns, ImportOptions, fields_of, tidy
from .run_names import with_run_names
from .weights import weights_in

FLOPS_PER_STEP = "flops_per_step"
"""Column of the describing table: FLOPs of one step of the export (1e9 where steps count GFLOPs)."""

WANTED = "run, n_params, and tokens_per_step or flops_per_step"


class Export(NamedTuple):
    """One curve: rows with `loss`, and `step`, `n_tokens` or `flops`; their index is the line of the file."""

    run: str
    rows: pd.DataFrame
    path: Path


def assemble(exports: Sequence[Export], *, source: str, kind: str, options: ImportOptions, loss: str) -> ImportedRuns:
    """Curves with the sizes and tokens that the table `options.describe` gives them.

    Parameters
    ----------
    exports : sequence of Export
        Rows in the order in which they were logged.
    source, kind : str
        See `plmscale.runs.tidy.tidy`.
    options : ImportOptions
        `describe`: one row per run; `run` is the name of the export, without its folder if that is unambiguous.
    loss : str
        What the export calls the loss.

    Raises
    ------
    InputError
        If two exports have one name, a run has no row in the table, or no size can be found; the message names them.
    """
    exports, notes = _once(exports, source)
    empty = [export.run for export in exports if export.rows.empty]
    if empty:
        exports = [export for export in exports if not export.rows.empty]
        notes.append(f"Warning: runs without any evaluation were left out: {', '.join(empty[:8])}.")
    if not exports:
        raise InputError(f"{source}: no run has an evaluation.")
    described = described_runs(options)
    parts, unknown = [], []
    for export in exports:
        facts = dict(described.get(export.run) or described.get(_last(export.run)) or {})
        if not facts.get("n_params") and "n_params" not in export.rows:
            # Weights beside the export say the size as well.
            facts["n_params"] = str(weights_in(export.path.parent) or "")
        if not facts.get("batch_tokens") and "batch_tokens" in export.rows:
            each = set(texts(export.rows, "batch_tokens"))
            facts["batch_tokens"] = each.pop() if len(each) == 1 else ""
        if not (facts.get("n_params") or "n_params" in export.rows) or not _has_progress(export.rows, facts):
            unknown.append(export.run)
            continue
        parts.append(_with_facts(export, facts, source))
        notes += header_notes(export.rows, str(export.path))
    if unknown:
        raise InputError(
            f"{source}: the export does not say how large these runs are, or what a step is: {', '.join(unknown[:8])}"
            f"{', …' * (len(unknown) > 8)}. Give a table with --describe (columns {WANTED}; group, schedule, seed)."
        )
    table = pd.concat(parts, ignore_index=True)
    left_out = [name for name in described if not any(name in (e.run, _last(e.run)) for e in exports)]
    plain = ImportOptions(flops=options.flops, loss_column="loss")
    lines = table.pop("line")
    runs = tidy(table.set_axis(lines), source=source, kind=kind, options=plain, in_time=True, loss=loss)
    if left_out:
        notes.append(f"The describing table names runs that are not there: {', '.join(left_out[:8])}.")
    return replace(runs, notes=(*notes, *runs.notes))


def step_column(table: pd.DataFrame, name: str, source: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Steps of an export: whole numbers from 0, in every row.

    Raises
    ------
    InputError
        For another; file, line and value.
    """
    steps = numbers(table, name, NumberColumn(source, name, counts=True))
    lines = table.index.tolist()
    if np.isnan(steps).any():
        raise InputError(
            f"{source}, line {lines[int(np.argmax(np.isnan(steps)))]}: {name} is empty; it must be a step."
        )
    check_range("step", steps, lines=lines, source=source)
    return steps


def distinct(files: Sequence[Path], root: Path, names: list[str]) -> list[str]:
    """Names that differ: with their folders where they do not by themselves."""
    if len(set(names)) == len(names):
        return names
    folders = [file.relative_to(root).parent.as_posix() if file != root else file.name for file in files]
    full = [f"{folder}/{name}".removeprefix("./") for folder, name in zip(folders, names, strict=True)]
    head, tail = common_part(full)
    return [name[len(head) : len(name) - len(tail) or None] for name in full]


def common_part(names: Sequence[str]) -> tuple[str, str]:
    """What all names begin and end with, up to a separator: the parts that tell runs apart by nothing."""
    if len(set(names)) < 2:
        return "", ""
    head = _common(names)
    tail = _common([name[len(head) :][::-1] for name in names])[::-1]
    return head, tail


def _common(names: Sequence[str]) -> str:
    short = min(names, key=len)
    k = next((i for i, letter in enumerate(short) if any(name[i] != letter for name in names)), len(short) - 1)
    end = max((i for i in range(k) if short[i] in "-_/. "), default=-1)
    return short[: end + 1]


def described_runs(options: ImportOptions) -> dict[str, dict[str, str]]:
    """Rows of the describing table by run, cells by field.

    Raises
    ------
    InputError
        If it names no runs, or one twice.
    """
    table = options.describe
    if table is None:
        return {}
    names = [str(name) for name in table.columns]
    columns = {key: name for key, name in options.columns.items() if name in names}
    columns = dict(with_run_names(table, replace(options, columns=columns), source="the describing table").columns)
    found = fields_of(names, columns)
    if "run" not in found:
        raise InputError(f"the describing table has no column `run`; it has {', '.join(names)}.")
    kept = {field: texts(table, names[0]) for field, names in found.items()}
    if FLOPS_PER_STEP in names:
        kept[FLOPS_PER_STEP] = texts(table, FLOPS_PER_STEP)
    runs = kept.pop("run")
    twice = next((run for run in runs if runs.count(run) > 1), None)
    if twice is not None:
        raise InputError(f"the describing table has several rows for the run {twice!r}; give it one.")
    return {run: {key: column[i] for key, column in kept.items()} for i, run in enumerate(runs)}


def with_described(table: pd.DataFrame, run: str, described: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """A table of runs with the fields that only the describing table has."""
    names = texts(table, run)
    has = fields_of([str(name) for name in table.columns])
    wanted = dict.fromkeys(key for facts in described.values() for key in facts if key in FIELDS and key not in has)
    more = {
        key: [described.get(name, {}).get(key, "") for name in names] for key in wanted if key not in ("loss", "step")
    }
    return table.assign(**{key: pd.Series(cells, index=table.index, dtype=object) for key, cells in more.items()})


def _once(exports: Sequence[Export], source: str) -> tuple[list[Export], list[str]]:
    """Exports whose names differ; a file that is there twice counts once.

    Raises
    ------
    InputError
        If two that differ have one name.
    """
    known: dict[str, Export] = {}
    notes = []
    for export in exports:
        first = known.setdefault(export.run, export)
        if first is export:
            continue
        if not first.rows.reset_index(drop=True).equals(export.rows.reset_index(drop=True)):
            raise InputError(
                f"{source}: two runs are called {export.run!r} ({first.path} and {export.path}). Names of runs have to "
                "differ: rename one, or leave it out."
            )
        notes.append(f"{export.path} is {first.path} once more, and counts once.")
    return list(known.values()), notes


def _last(run: str) -> str:
    return run.rpartition("/")[2]


def _has_progress(rows: pd.DataFrame, facts: dict[str, str]) -> bool:
    per_step = any(facts.get(name) for name in ("batch_tokens", FLOPS_PER_STEP))
    return ("step" in rows and per_step) or any(name in rows for name in ("n_tokens", "flops"))


def _with_facts(export: Export, facts: dict[str, str], source: str) -> pd.DataFrame:
    """Rows of an export with their run, their place, and what the describing table says."""
    rows, n = export.rows, len(export.rows)
    inside = export.path.relative_to(source) if export.path.is_relative_to(source) else export.path
    lines = rows.index.tolist()
    columns: dict[str, Any] = {str(name): rows[name].tolist() for name in rows.columns}
    columns["run"] = [export.run] * n
    columns["line"] = lines if str(export.path) == source else [f"{line} of {inside}" for line in lines]
    for name, per_step in (("n_tokens", "batch_tokens"), ("flops", FLOPS_PER_STEP)):
        if facts.get(name) and name not in columns and n > 1:
            raise InputError(
                f"{source}, describing table: {name} of {export.run!r} is one number, where each evaluation needs its "
                f"own. Give {'tokens_per_step' if name == 'n_tokens' else FLOPS_PER_STEP}."
            )
        if name not in columns and "step" in columns and facts.get(per_step):
            factor = _per_step(facts[per_step], per_step, export.run, source)
            columns[name] = [float(step) * factor for step in columns["step"]]
    for name, value in facts.items():
        if name in FIELDS and name not in ("run", "loss", "step") and value and name not in columns:
            columns[name] = [value] * n
    return pd.DataFrame(columns, dtype=object)


def _per_step(cell: str, name: str, run: str, source: str) -> float:
    table = pd.DataFrame({name: [cell]}, index=pd.Index([run]))
    where = f"{source}, describing table"
    factor = numbers(table, name, NumberColumn(where, name, counts=True))
    check_range("batch_tokens" if name != FLOPS_PER_STEP else "flops", factor, lines=[run], source=where)
    if not factor[0] > 0:
        raise InputError(f"{where}, line {run}: {name} is {cell!r}; it must be positive.")
    return float(factor[0])
