"""Tab-separated tables of sizes, sets and published models: rows that are checked, with their lines."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from ..errors import InputError
from ..files import read_text
from .settings import Settings
from .urls import without_secrets

Row = TypeVar("Row", bound=Settings)

LARGEST = 1 << 20
"""Bytes of the largest table that is read."""

_PLAIN_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SHOWN = 100


def read_rows(path: Path, row_type: type[Row]) -> list[tuple[int, Row]]:
    """Rows of a tab-separated table with their line numbers; lines that begin with # are comments.

    Raises
    ------
    InputError
        For a file that is no such table, and for a row that cannot be used, with file, line, column and value.
    """
    rows: list[tuple[int, Row]] = []
    header: list[str] | None = None
    for line, values in _lines(path):
        if header is None:
            header = _header(path, line, values)
        else:
            rows.append((line, _row(path, line, header, values, row_type)))
    if not rows:
        raise InputError(f"{path}: the table has no rows. Expected columns: {', '.join(row_type.model_fields)}.")
    names: dict[str, int] = {}
    for line, row in rows:
        name = str(getattr(row, "name"))  # noqa: B009  (every row type of these tables has a name)
        if name in names:
            raise InputError(
                f"{path}, line {line}: the name {name!r} is already on line {names[name]}. Names must differ."
            )
        names[name] = line
    return rows


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Cells of each line that has any, comments left out."""
    reader = csv.reader(io.StringIO(read_text(path, largest=LARGEST), newline=""), delimiter="\t", strict=True)
    before = 0
    try:
        for values in reader:
            before = reader.line_num
            if any(v.strip() for v in values) and not values[0].startswith("#"):
                yield reader.line_num, values
    except csv.Error as error:
        raise InputError(f"{path}, line {before + 1}: no row of a tab-separated table: {error}.") from None


def _header(path: Path, line: int, values: list[str]) -> list[str]:
    header = [value.strip() for value in values]
    if twice := [name for i, name in enumerate(header) if name in header[:i]]:
        raise InputError(f"{path}, line {line}: the column {_short(twice[0])} is there twice. Each may be once.")
    return header


def _row(path: Path, line: int, header: list[str], values: list[str], row_type: type[Row]) -> Row:
    if len(values) != len(header):
        raise InputError(
            f"{path}, line {line}: {len(values)} cells, but the header has {len(header)} columns (tab-separated)."
        )
    texts = {k: v.strip() for k, v in zip(header, values, strict=True) if v.strip()}
    cells: dict[str, Any] = dict(texts)
    for name in ("schedules", "subsets", "models"):
        if name in cells:
            cells[name] = [one.strip() for one in cells[name].split(",")]
    row = validated(row_type, cells, what=f"{path}, line {line}")
    for name, text in texts.items():
        value = getattr(row, name)
        if isinstance(value, int | float) and not isinstance(value, bool) and not _PLAIN_NUMBER.fullmatch(text):
            raise InputError(
                f"{path}, line {line}: {name} is {_short(text)}. Write a plain number, such as 25 or 1e-5."
            )
    return row


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def validated(model: type[Row], values: Mapping[str, Any], *, what: str) -> Row:
    """A block of settings with these values.

    Raises
    ------
    InputError
        If a value cannot be used: `what` it is that has the values, and a line for each problem.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{what}:\n" + "\n".join(problems(error, model))) from None


def problems(error: ValidationError, model: type[Settings]) -> list[str]:
    """One line per problem: key, what is wrong, value, and for an unknown key the known ones."""
    lines = []
    for problem in error.errors():
        key = ".".join(str(part)[:80] for part in problem["loc"])
        if not key:  # a rule about several columns of a row
            lines.append(f"  {problem['msg'].removeprefix('Value error, ')}.")
        elif problem["type"] == "extra_forbidden":
            known = known_settings(model, problem["loc"][:-1])
            lines.append(f"  {key}: no such setting. Known here: {', '.join(known)}.")
        elif problem["type"] == "missing":
            lines.append(f"  {key}: is missing.")
        else:
            lines.append(f"  {key}: {problem['msg'].removeprefix('Value error, ')}; found {_short(problem['input'])}.")
    return [without_secrets(line) for line in lines]


def known_settings(model: type[Settings], path: tuple[int | str, ...]) -> list[str]:
    """Names of the settings of the block at `path`."""
    for part in path:
        block = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        if not (isinstance(block, type) and issubclass(block, Settings)):
            return []
        model = block
    return list(model.model_fields)
