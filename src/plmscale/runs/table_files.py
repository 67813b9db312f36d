"""Tables as people and programs write them: text with any separator, lines of JSON, parquet.

Cells of text files stay text, so that a message can show what is written there; `plmscale.runs.cells` reads numbers.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ..errors import InputError
from .cells import lines_in_words
from .json_rows import json_rows

TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
TABLE_SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, ".parquet")

LARGEST_TABLE = 2**29
"""Bytes of the largest table of runs that is read, uncompressed."""

SEPARATORS = ",;\t"
REPEATED_HEADER = "repeated_header"
"""Attribute of a table: lines on which the header stood again, which were skipped."""

_HEAD = 2**18
_NAMED = {";": "semicolon", ",": "comma", "\t": "tab"}
_OTHER_FILES = {
    b"PK\x03\x04": "a zip file or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"%PDF": "a PDF",
    b"SQLite format 3": "a SQLite database",
}
_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def is_table(path: Path) -> bool:
    """Whether a file name is that of a table."""
    return path.name.lower().removesuffix(".gz").endswith(TABLE_SUFFIXES)


def read_table(path: Path) -> pd.DataFrame:
    """A table of text (csv, tsv, `;`), lines of JSON (both plain or gzip), or parquet.

    Returns
    -------
    DataFrame
        Its index is the line of the file, or the row of a parquet file. Rows without any value are left out.

    Raises
    ------
    InputError
        If the file is absent, empty, no table, or a row has not the cells of the header.
    """
    found = _parsed(path, _content(path))
    if not found.rows:
        raise InputError(f"{path}: the table has no rows.")
    columns = {name: [row[i] for row in found.rows] for i, name in enumerate(found.names)}
    table = pd.DataFrame(columns, index=pd.Index(found.lines), dtype=object)
    table.attrs[REPEATED_HEADER] = found.repeated
    return table


def header(path: Path) -> list[str]:
    """Names of the columns of a table, without reading it all; empty where the file is no table.

    Raises
    ------
    InputError
        If the file is in no encoding that is read.
    """
    try:
        start = _content(path, most=LARGEST_TABLE if _is_json(path) else _HEAD)
    except InputError as error:
        if isinstance(error.__cause__, UnicodeError):
            raise
        return []
    try:
        return list(_parsed(path, start, rows=False).names)
    except InputError:
        return []


def header_notes(table: pd.DataFrame, source: str) -> list[str]:
    """A sentence on headers that stood again within a table."""
    lines = table.attrs.get(REPEATED_HEADER) or []
    return [f"{source}: the header stands again ({lines_in_words(lines)}) and was skipped there."] if lines else []


def frame_as_table(frame: pd.DataFrame, *, source: str) -> pd.DataFrame:
    """A data frame as `read_table` gives it: names as text and once each, named levels of the index as columns."""
    if any(name is not None for name in frame.index.names):
        try:
            frame = frame.reset_index()
        except ValueError as error:
            raise InputError(f"{source}: an index has the name of a column ({error}). Rename one of them.") from error
    names = ["/".join(map(str, name)) if isinstance(name, tuple) else str(name).strip() for name in frame.columns]
    _check_names(names, source)
    return frame.set_axis(names, axis=1).set_axis(pd.RangeIndex(1, len(frame) + 1), axis=0)


class _Parsed(NamedTuple):
    names: Sequence[str]
    rows: list[list[Any]]
    lines: list[int]
    repeated: list[int]


class _Text(NamedTuple):
    text: str
    """Decoded, without its byte-order mark."""
    whole: bool
    """Whether it is the whole file."""


def _content(path: Path, *, most: int = LARGEST_TABLE) -> _Text | pd.DataFrame:
    """The text of a file, or the frame of a parquet file."""
    if not path.is_file():
        raise InputError(f"{path} does not exist, or is no file.")
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start == b"PAR1" or path.name.lower().endswith(".parquet"):
            return _parquet(path, rows=most > _HEAD)
        with path.open("rb") as raw:
            packed = start[:2] == b"\x1f\x8b"
            data = (gzip.GzipFile(fileobj=raw) if packed else raw).read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a table that can be read ({error}). Give csv, tsv, jsonl or parquet.") from error
    if len(data) > LARGEST_TABLE:
        raise InputError(f"{path}: the table is larger than {LARGEST_TABLE >> 20} MiB. Write it as several.")
    return _Text(_decoded(path, data[:most], whole=len(data) <= most), len(data) <= most)


def _is_json(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(JSON_SUFFIXES)


def _parquet(path: Path, *, rows: bool) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if not rows:
            return pq.read_schema(path).empty_table().to_pandas()
        return pd.read_parquet(path)
    except (ValueError, OSError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a parquet file that can be read ({error}). Write it again.") from error


def _decoded(path: Path, data: bytes, *, whole: bool) -> str:
    for start, what in _OTHER_FILES.items():
        if data.startswith(start):
            raise InputError(f"{path}: this is {what}. Save the table as csv.")
    mark = next((name for start, name in _MARKS.items() if data.startswith(start)), "")
    if mark or b"\0" in data:
        what = mark or ("UTF-16" if data[:64].count(0) >= len(data[:64]) // 4 > 0 else "no text (it holds NUL bytes)")
        raise InputError(f"{path}: the file is {what}. Save it as UTF-8.") from UnicodeError(what)
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        if not whole and error.end >= len(data) - 4:  # cut within a letter
            return data[: error.start].removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        line = len(re.findall(rb"\r\n?|\n", data[: error.start])) + 1
        raise InputError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; the file is Latin-1 or Windows-1252 "
            "perhaps. Save it as UTF-8."
        ) from error


def _parsed(path: Path, content: _Text | pd.DataFrame, *, rows: bool = True) -> _Parsed:
    if isinstance(content, pd.DataFrame):
        frame = frame_as_table(content, source=str(path))
        columns = [frame[name].astype(object).tolist() for name in frame.columns]
        return _Parsed(list(frame.columns), [list(row) for row in zip(*columns, strict=True)], frame.index.tolist(), [])
    if _is_json(path):
        found = json_rows(content.text, source=str(path), whole=content.whole)
        names = list(dict.fromkeys(name for _, row in found for name in row))
        _check_names(names, str(path))
        return _Parsed(names, [[row.get(name) for name in names] for _, row in found], [at for at, _ in found], [])
    return _text_rows(path, content, rows=rows)


def _text_rows(path: Path, content: _Text, *, rows: bool) -> _Parsed:
    told = re.match(r"sep=(.)(?:\r\n?|\n)", content.text)  # Excel's own line
    separator = told[1] if told else _separator(path, content.text)
    filled = ((line, cells) for line, cells in _records(path, content.text, separator) if any(cells))
    if told:
        next(filled)
    names = next(filled, (0, []))[1]
    found = _Parsed(names, [], [], [])
    for line, cells in filled if rows else ():
        if cells == names:
            found.repeated.append(line)
        else:
            found.rows.append(cells)
            found.lines.append(line)
    found = _without_empty_ends(found)
    if rows:
        _check_names(found.names, str(path))
    for line, row in zip(found.lines, found.rows, strict=True):
        if len(row) != len(found.names):
            raise InputError(
                f"{path}, line {line}: the row has {len(row)} cells and the header {len(found.names)}. Separators are "
                f"{_NAMED.get(separator, repr(separator))}s; put a cell that contains one in quotation marks."
            )
    return found


def _without_empty_ends(found: _Parsed) -> _Parsed:
    """Without empty cells at the end of every row, which come of a separator too many and are no column."""
    names, rows = list(found.names), found.rows
    width = len(names)
    if rows and all(len(row) > width and not any(row[width:]) for row in rows):
        rows = [row[:width] for row in rows]
    while names and not names[-1] and all(len(row) == len(names) and not row[-1] for row in rows):
        names, rows = names[:-1], [row[:-1] for row in rows]
    return found._replace(names=[name or f"column {i + 1}" for i, name in enumerate(names)], rows=rows)


def _records(path: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Line of the file and cells of every record."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}, line {line}: not a row of a table ({error}).") from error
        yield line, [cell.strip() for cell in cells]
        line = reader.line_num + 1


def _separator(path: Path, text: str) -> str:
    """The sign that stands between the names of the columns, whatever the file is called."""
    first = next((line for line in re.split(r"\r\n?|\n", text) if line.strip()), "")
    bare = re.sub(r'"(?:[^"]|"")*"', "", first)
    found = [sign for sign in SEPARATORS if sign in bare]
    if len(found) < 2:
        return found[0] if found else ","
    fitting = [sign for sign in found if _is_even(path, text, sign)]
    if len(fitting) > 1:
        words = " and ".join(_NAMED[sign] for sign in fitting)
        raise InputError(f"{path}: the header can be parted by {words}. Put names that contain one in quotation marks.")
    return (fitting or sorted(found, key=bare.count)[-1:])[0]


def _is_even(path: Path, text: str, separator: str) -> bool:
    """Whether all of the first rows have as many cells."""
    widths = set()
    try:
        for _, cells in _records(path, text, separator):
            widths.add(len(cells)) if any(cells) else None
            if len(widths) > 1:
                return False
    except InputError:
        return False
    return True


def _check_names(names: Sequence[str], source: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"{source}: the column {twice[0]!r} stands {names.count(twice[0])} times. Name each once.")
