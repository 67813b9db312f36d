"""Tables as people write them: files of several kinds, and cells that become numbers or an error with its line."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError

Array = NDArray[np.float64]

_SUFFIX = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_WITH_SUFFIX = re.compile(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([kmbgt])")
# Nothing written, or the loss of a run that diverged.
_NOTHING = ("", "none", "null", "na", "n/a", "nan", "inf", "+inf", "-inf", "infinity", "-infinity", "<na>")

TABLE_SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")


class NumberColumn(NamedTuple):
    """Where a column is from, for messages; `suffixes`: whether 5M and 1.2B are numbers in it."""

    source: str
    name: str
    suffixes: bool = False


def is_table(path: Path) -> bool:
    """Whether a file name is that of a table."""
    return path.name.lower().endswith(TABLE_SUFFIXES)


def read_table(path: Path) -> pd.DataFrame:
    """A csv, tsv (both plain or gzip) or parquet file; the index is the line of the file, or the row of a parquet file.

    Cells of text files stay text, so that a message can show what is written there.

    Raises
    ------
    InputError
        If the file is absent, empty or no table.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist.")
    try:
        if path.name.endswith(".parquet"):
            table = pd.read_parquet(path)
            return table.set_axis(pd.RangeIndex(1, len(table) + 1))
        separator = "\t" if ".tsv" in path.name else ","
        kind = {"dtype": str, "keep_default_na": False, "skip_blank_lines": False, "encoding": "utf-8-sig"}
        table = pd.read_csv(path, sep=separator, **kind)  # type: ignore[call-overload]  (its stubs know no **kind)
    except (ValueError, OSError, EOFError) as error:  # what pandas and pyarrow raise for broken files
        raise InputError(f"{path}: not a table that can be read ({error}). Give csv, tsv or parquet.") from error
    table = table.set_axis(pd.RangeIndex(2, len(table) + 2))
    table.columns = [str(name).strip() for name in table.columns]
    filled = np.array((table != "").any(axis=1), dtype=bool)
    if not filled.any():
        raise InputError(f"{path}: the table has no rows.")
    return pd.DataFrame(table.iloc[np.flatnonzero(filled)])


def header(path: Path) -> list[str]:
    """Names of the columns of a table, without reading it all; empty where the file is no table."""
    try:
        if path.name.endswith(".parquet"):
            import pyarrow.parquet as pq

            return list(pq.read_schema(path).names)
        separator = "\t" if ".tsv" in path.name else ","
        return [str(name).strip() for name in pd.read_csv(path, sep=separator, nrows=0, encoding="utf-8-sig").columns]
    except (ValueError, OSError, EOFError):
        return []


def numbers(table: pd.DataFrame, column: str, where: NumberColumn) -> Array:
    """A column as floats, shape (rows,); empty cells are NaN, and so are the losses of runs that diverged (nan, inf).

    Parameters
    ----------
    table : DataFrame
        Its index holds the lines of the file.
    column : str
        Column of the table.
    where : NumberColumn
        File and name for messages.

    Raises
    ------
    InputError
        For a cell that is no number: file, line, column and value.

    Examples
    --------
    >>> table = pd.DataFrame({"N": ["5M", "1,000", "2e3", ""]})
    >>> numbers(table, "N", NumberColumn("runs.csv", "N", suffixes=True)).tolist()
    [5000000.0, 1000.0, 2000.0, nan]
    """
    cells: list[Any] = table[column].tolist()
    values = np.array(pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce"), dtype=float)
    lines = table.index.tolist()
    for i in np.flatnonzero(np.isnan(values)):
        values[i] = _number(cells[i], lines[i], where)
    return np.where(np.isfinite(values), values, np.nan)


def texts(table: pd.DataFrame, column: str) -> list[str]:
    """A column as text; empty where there is nothing."""
    return ["" if cell is None or cell != cell else str(cell).strip() for cell in table[column].tolist()]


def amount(text: str) -> float:
    """A number as people write sizes and tokens.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> amount("650M"), amount("1.2b"), amount("1e21")
    (650000000.0, 1200000000.0, 1e+21)
    """
    plain = text.strip().replace(",", "").replace("_", "").lower()
    match = _WITH_SUFFIX.fullmatch(plain)
    return float(match[1]) * _SUFFIX[match[2]] if match else float(plain)


def _number(cell: Any, line: Any, where: NumberColumn) -> float:
    text = "" if cell is None else str(cell).strip().strip('"').replace(",", "").replace("_", "").lower()
    if text in _NOTHING:
        return float("nan")
    try:
        return amount(text) if where.suffixes else float(text)
    except ValueError:
        example = "a number such as 5e6 or 5M" if where.suffixes else "a number"
        raise InputError(f"{where.source}, line {line}: {where.name} is {cell!r}; it must be {example}.") from None
