"""Cells of a table as numbers: one grammar for all readers, which guesses no country's way to write a number.

A number is ASCII digits with at most one point and an exponent. Columns that count may group digits in threes and may
end in k, M, B or T. All else (decimal comma, `2_5`, `12,34`, hexadecimal, units) is an error that says where.
"""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError

Array = NDArray[np.float64]

_SUFFIX = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:(?:,[0-9]{3})+|(?:_[0-9]{3})+)(?:\.[0-9]*)?")
_WITH_SUFFIX = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)) ?([kKmMbBgGtT])")
_NOTHING = ("", "none", "null", "na", "n/a", "nan", "+nan", "-nan", "<na>")
_INFINITE = ("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")


class NumberColumn(NamedTuple):
    """Where a column is from, for messages; `counts`: whether it holds large counts, so that 5M and 1,000 are numbers.

    `may_diverge`: whether inf stands for a loss that diverged, and not for a number that cannot be.
    """

    source: str
    name: str
    counts: bool = False
    may_diverge: bool = False


def numbers(table: pd.DataFrame, column: str, where: NumberColumn) -> Array:
    """A column as floats, shape (rows,); empty cells and nan are NaN.

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
        For a cell that is no number, or infinite: file, line, column and value.

    Examples
    --------
    >>> table = pd.DataFrame({"N": ["5M", "1,000", "2e3", ""]})
    >>> numbers(table, "N", NumberColumn("runs.csv", "N", counts=True)).tolist()
    [5000000.0, 1000.0, 2000.0, nan]
    """
    cells: list[Any] = table[column].tolist()
    kind = table[column].dtype
    lines = table.index.tolist()
    known: dict[str, float] = {}
    values = np.empty(len(cells))
    whole = kind.kind in "iuf"
    for i, cell in enumerate(cells):
        text = cell if isinstance(cell, str) else None
        if text is not None and text in known:
            values[i] = known[text]
            continue
        values[i] = float(cell) if whole and cell is not pd.NA else _number(cell, lines[i], where)
        if math.isinf(values[i]) and not where.may_diverge:
            raise InputError(f"{_place(lines[i], where)} is {cell!r}; it must be finite.")
        if text is not None:
            known[text] = values[i]
    return np.where(np.isfinite(values), values, np.nan)


def amount(text: str) -> float:
    """A number as people write sizes and tokens: what a column that counts may hold.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> amount("650M"), amount("1.2b"), amount("1e21")
    (650000000.0, 1200000000.0, 1e+21)
    """
    try:
        return _parsed(text.strip(), 1, NumberColumn("", "", counts=True))
    except InputError:
        raise ValueError(text) from None


def positive(value: Any, *, name: str, example: str = "1e9") -> float:
    """A value as a positive, finite number.

    Parameters
    ----------
    value : object
        A text is none, nor is a truth.
    name, example : str
        For the message.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        number = math.nan if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"{name} is {value!r}; it must be one positive number, such as {example}.")
    return number


def texts(table: pd.DataFrame, column: str) -> list[str]:
    """A column as text; empty where there is nothing."""
    return [_text(cell) for cell in table[column].tolist()]


def with_suffix(table: pd.DataFrame, column: str) -> str:
    """The first cell that ends in k, M, B or T, for a note; empty where there is none."""
    cells = (cell.strip() for cell in table[column].tolist() if isinstance(cell, str))
    return next((cell for cell in cells if _WITH_SUFFIX.fullmatch(cell)), "")


def lines_in_words(lines: Sequence[Any], *, most: int = 5) -> str:
    """Lines of a file for a message: line 3, 4, …"""
    more = ", …" if len(lines) > most else ""
    files = {str(line).partition(" of ")[2] for line in lines}
    if len(files) == 1 and "" not in files:
        return f"line {', '.join(str(line).partition(' of ')[0] for line in lines[:most])}{more} of {files.pop()}"
    return f"line {', '.join(str(line) for line in lines[:most])}{more}"


def _text(cell: Any) -> str:
    if cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))  # a column of whole numbers with gaps is one of floats to pandas
    return str(cell).strip()


def _place(line: Any, where: NumberColumn) -> str:
    return f"{where.source}, line {line}: {where.name}"


def _number(cell: Any, line: Any, where: NumberColumn) -> float:
    if isinstance(cell, str):
        return _parsed(cell.strip(), line, where)
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return math.nan
    try:
        if isinstance(cell, Real | Decimal | np.integer | np.floating) and not isinstance(cell, bool | np.bool_):
            return float(cell)
    except (OverflowError, ValueError):
        raise InputError(f"{_place(line, where)} is {_shown(cell)}; it is too large for a number.") from None
    raise InputError(f"{_place(line, where)} is {_shown(cell)}; it must be {_example(where)}.")


def _parsed(text: str, line: Any, where: NumberColumn) -> float:
    value = math.nan
    plain = text.lower()
    if plain in _NOTHING:
        return value
    if plain in _INFINITE:
        return math.inf
    suffixed = _WITH_SUFFIX.fullmatch(text) if where.counts else None
    if suffixed:
        value = float(suffixed[1]) * _SUFFIX[suffixed[2].lower()]
    elif _PLAIN.fullmatch(text):
        value = float(text)
    elif where.counts and _GROUPED.fullmatch(text):
        value = float(text.replace(",", "").replace("_", ""))
    else:
        raise InputError(f"{_place(line, where)} is {_shown(text)}; it must be {_example(where)}.{_hint(text)}")
    if math.isinf(value):
        raise InputError(f"{_place(line, where)} is {_shown(text)}; it is too large for a number.")
    return value


def _example(where: NumberColumn) -> str:
    return "a number such as 5e6, 5,000,000 or 5M" if where.counts else "a number such as 2.5 or 1e-3"


def _hint(text: str) -> str:
    if _COMMA.fullmatch(text):
        return " A comma is no decimal sign here: write a point."
    if "," in text or "_" in text:
        return " Write it without marks between its digits."
    return ""


def _shown(cell: Any) -> str:
    text = repr(cell)
    return text if len(text) <= 60 else f"{text[:57]}…"
