"""TensorBoard's downloads: one file per run and tag, csv (Wall time, Step, Value) or JSON ([[time, step, value]])."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ...errors import InputError
from ...files import read_json
from ..cells import NumberColumn, numbers
from ..metrics import choose_loss, is_loss, matching, refuse_axis, words
from ..table_files import header, read_table
from ..tidy import ImportedRuns, ImportOptions
from .exports import Export, assemble, distinct, step_column

TENSORBOARD_COLUMNS = ["Wall time", "Step", "Value"]
UNTAGGED = "Value"
"""Tag of files that do not say which scalar they hold."""

_NAMED = re.compile(r"(?:run-)?(?P<run>.*?)-tag-(?P<tag>.+?)(?: ?\(\d+\))?")  # a browser's second download ends in (1)
_SMALLEST_JSON = b"[["


class _File(NamedTuple):
    path: Path
    run: str
    tag: str


def tensorboard_files(path: Path) -> list[Path]:
    """Files of one scalar each that TensorBoard's download button wrote, here or below."""
    files = [path] if path.is_file() else sorted([*path.rglob("*.csv"), *path.rglob("*-tag-*.json")])
    return [file for file in files if _is_json(file) or header(file) == TENSORBOARD_COLUMNS]


def read_tensorboard(path: Path, options: ImportOptions) -> ImportedRuns:
    """One run per file of the tag that is the loss: its name is the file's, or its folder's where names repeat."""
    files = _beside_a_loss([_named(file) for file in tensorboard_files(path)])
    tags: dict[str, list[str]] = {}
    for file in files:
        tags.setdefault(file.tag, []).append(_whole_name(file))
    tag = _loss_tag(tags, files, path, options)
    if words(tag)[:1] == ["epoch"]:  # Keras counts epochs where others count steps
        raise refuse_axis("epoch", source=str(path))
    own = [file for file in files if file.tag == tag]
    names = distinct([file.path for file in own], path, [file.run for file in own])
    exports = [Export(name, _curve(file.path), file.path) for name, file in zip(names, own, strict=True)]
    runs = assemble(exports, source=str(path), kind="tensorboard", options=options, loss=tag)
    others = [name for name in tags if name != tag]
    notes = [f"Tags that are not the loss were not read: {', '.join(others[:8])}."] if others else []
    return ImportedRuns(runs.frame, runs.source, runs.format, (*notes, *runs.notes), tag)


def _loss_tag(tags: dict[str, list[str]], files: Sequence[_File], path: Path, options: ImportOptions) -> str:
    runs = list(dict.fromkeys(_whole_name(file) for file in files))
    if UNTAGGED in tags:
        wanted = options.loss_column
        if not wanted or matching(wanted, tags, source=str(path), what="tag") != UNTAGGED or len(tags) > 1:
            named = [str(file.path) for file in files if file.tag == UNTAGGED]
            raise InputError(
                f"{path}: {named[0]} does not say which scalar it holds. Name files run-NAME-tag-TAG.csv as "
                f"TensorBoard does, or say that they are losses with --loss-column {UNTAGGED}."
            )
        return UNTAGGED
    return choose_loss(tags, runs=runs, wanted=options.loss_column, source=str(path), what="tag")


def _named(file: Path) -> _File:
    stem = file.name.removesuffix(file.suffix)
    match = _NAMED.fullmatch(stem)
    if match:
        return _File(file, match["run"] or file.parent.name, match["tag"])
    return _File(file, file.parent.name, stem) if is_loss(stem) else _File(file, stem.removeprefix("run-"), UNTAGGED)


def _beside_a_loss(files: Sequence[_File]) -> list[_File]:
    """Files that are named after their scalar alone, where one beside them is a loss: `s8/loss.csv`, `s8/lr.csv`."""
    known = {file.path.parent for file in files if file.tag != UNTAGGED}
    return [
        _File(file.path, file.path.parent.name, file.path.stem)
        if file.tag == UNTAGGED and file.path.parent in known
        else file
        for file in files
    ]


def _whole_name(file: _File) -> str:
    return f"{file.path.parent}/{file.run}"


def _is_json(file: Path) -> bool:
    if file.suffix.lower() != ".json" or "-tag-" not in file.name:
        return False
    with file.open("rb") as opened:
        return opened.read(200).replace(b" ", b"").replace(b"\n", b"").startswith(_SMALLEST_JSON)


def _curve(file: Path) -> pd.DataFrame:
    """Rows with `step` and `loss`, in the order of wall time."""
    table = _json_table(file) if file.suffix.lower() == ".json" else read_table(file)
    time = numbers(table, "Wall time", NumberColumn(str(file), "Wall time"))
    rows = pd.DataFrame({"step": step_column(table, "Step", str(file)), "loss": table["Value"]}, index=table.index)
    rows.attrs.update(table.attrs)
    return rows if np.isnan(time).any() else rows.iloc[np.argsort(time, kind="stable")]


def _json_table(file: Path) -> pd.DataFrame:
    rows = list(_triples(file, read_json(file)))
    if not rows:
        raise InputError(f"{file}: it has no rows.")
    return pd.DataFrame(rows, columns=pd.Index(TENSORBOARD_COLUMNS), index=range(1, len(rows) + 1), dtype=object)


def _triples(file: Path, value: Any) -> Iterator[list[Any]]:
    for i, row in enumerate(value if isinstance(value, list) else [value], start=1):
        if not isinstance(row, list) or len(row) != len(TENSORBOARD_COLUMNS):
            raise InputError(f"{file}, row {i}: {str(row)[:60]!r} is not [wall time, step, value].")
        yield row
