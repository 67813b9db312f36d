"""Curves of loss against step, as trackers export them, joined with a table that says what each run was."""

import json
import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ...errors import InputError
from ..fields import FIELDS
from ..table_files import NumberColumn, numbers, texts
from ..tidy import ImportedRuns, ImportOptions, fields_of, tidy

FLOPS_PER_STEP = "flops_per_step"
"""Column of the describing table: FLOPs of one step of the export (1e9 where steps count GFLOPs)."""

WANTED = "run, n_params, and tokens_per_step or flops_per_step"


class Export(NamedTuple):
    """One curve: rows with `step` and `loss`, and `n_tokens` or `flops` where the export has them."""

    run: str
    rows: pd.DataFrame
    path: Path


def assemble(exports: Sequence[Export], *, source: str, kind: str, options: ImportOptions) -> ImportedRuns:
    """Curves with the sizes and tokens that the table `options.describe` gives them.

    Parameters
    ----------
    exports : sequence of Export
        Names differ.
    source, kind : str
        See `plmscale.runs.tidy.tidy`.
    options : ImportOptions
        `describe`: one row per run; `run` is the name of the export, without its folder if that is unambiguous.

    Raises
    ------
    InputError
        If a run has no row in the table, or no size can be found; the message names the runs.
    """
    described = _described(options.describe)
    parts, unknown = [], []
    for export in exports:
        facts = described.get(export.run) or described.get(export.run.rpartition("/")[2]) or {}
        # Weights beside the export say the size as well.
        facts = dict(facts)
        if not facts.get("n_params"):
            facts["n_params"] = str(weights_in(export.path.parent) or "")
        if not facts["n_params"] or not _has_progress(export.rows, facts):
            unknown.append(export.run)
            continue
        parts.append(_with_facts(export, facts, source))
    if unknown:
        raise InputError(
            f"{source}: the export does not say how large these runs are, or what a step is: {', '.join(unknown[:8])}"
            f"{', …' * (len(unknown) > 8)}. Give a table with --describe (columns {WANTED}; group, schedule, seed)."
        )
    table = pd.concat(parts, ignore_index=True)
    left_out = [name for name in described if not any(name in (e.run, e.run.rpartition("/")[2]) for e in exports)]
    runs = tidy(table.set_axis(table.pop("line")), source=source, kind=kind, options=ImportOptions(flops=options.flops))
    notes = [f"The describing table names runs that are not there: {', '.join(left_out[:8])}."] if left_out else []
    return ImportedRuns(runs.frame, runs.source, runs.format, (*notes, *runs.notes))


def weights_in(folder: Path) -> int | None:
    """Parameters in `model*.safetensors` of a folder, from the headers; None where there is none."""
    total = 0
    for path in sorted(folder.glob("model*.safetensors")):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        total += sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total or None


def common_part(names: Sequence[str]) -> tuple[str, str]:
    """What all names begin and end with, up to a separator: the parts that tell runs apart by nothing."""
    if len(names) < 2:
        return "", ""
    head = _common(names)
    tail = _common([name[::-1] for name in names])[::-1]
    return head, tail


def _common(names: Sequence[str]) -> str:
    short = min(names, key=len)
    k = next((i for i, letter in enumerate(short) if any(name[i] != letter for name in names)), len(short) - 1)
    end = max((i for i in range(k) if short[i] in "-_/. "), default=-1)
    return short[: end + 1]


def _described(table: pd.DataFrame | None) -> dict[str, dict[str, str]]:
    """Rows by run, cells by field."""
    if table is None:
        return {}
    found = fields_of([str(name) for name in table.columns])
    if "run" not in found:
        raise InputError(f"the describing table has no column `run`; it has {', '.join(map(str, table.columns))}.")
    kept = {field: texts(table, names[0]) for field, names in found.items()}
    if FLOPS_PER_STEP in table:
        kept[FLOPS_PER_STEP] = texts(table, FLOPS_PER_STEP)
    facts = {key: column for key, column in kept.items() if key != "run"}
    return {run: {key: column[i] for key, column in facts.items()} for i, run in enumerate(kept["run"])}


def _has_progress(rows: pd.DataFrame, facts: dict[str, str]) -> bool:
    per_step = any(facts.get(name) for name in ("batch_tokens", FLOPS_PER_STEP))
    return per_step or any(name in rows for name in ("n_tokens", "flops"))


def _with_facts(export: Export, facts: dict[str, str], source: str) -> pd.DataFrame:
    rows = export.rows.assign(run=export.run, line=export.rows.index)
    for name, per_step in (("n_tokens", "batch_tokens"), ("flops", FLOPS_PER_STEP)):
        if name not in rows and facts.get(per_step):
            cell = pd.DataFrame({per_step: [facts[per_step]]}, index=pd.Index([export.run]))
            factor = numbers(cell, per_step, NumberColumn(f"{source}, describing table", per_step, suffixes=True))[0]
            rows[name] = rows["step"].astype(float) * factor
    for name, value in facts.items():
        if name in FIELDS and name not in ("run", "loss", "step") and value:
            rows[name] = value
    return rows
