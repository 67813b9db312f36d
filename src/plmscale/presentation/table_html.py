"""A table as a page of its own for the report: no script, no link, prints well."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from .formats import MISSING
from .symbols import marked
from .tables import Column, Table

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; color: #222; margin: 1.5rem; }
table { border-collapse: collapse; border-top: 2px solid #222; border-bottom: 2px solid #222; }
caption { text-align: left; font-weight: 600; padding-bottom: .6rem; }
th, td { padding: .25rem .8rem; text-align: left; vertical-align: top; }
th { border-bottom: 1px solid #222; vertical-align: bottom; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.wide { min-width: 18rem; }
tbody tr:nth-child(even) { background: #f4f4f4; }
ul { padding-left: 1.2rem; max-width: 50rem; }
"""


LONG_WORD = 12
"""Letters of a word from which it may be cut in print, so that a table of many columns fits the paper."""


FEWEST_ROWS = 3
"""Rows from which a column with one value is said below the table instead."""


def slim(table: Table) -> Table:
    """The table without columns that have the same in every row; what they have is said below it.

    The column that rows are there for (`Table.number`) stays.
    """
    if len(table.cells) < FEWEST_ROWS:
        return table
    texts = list(zip(*table.cells, strict=True))
    same = [len(set(text)) == 1 and one.key != table.number for one, text in zip(table.columns, texts, strict=True)]
    if not any(same) or all(same):
        return table
    columns = [column for column, one in zip(table.columns, same, strict=True) if not one]
    alike = [(column.label, text[0]) for column, text, one in zip(table.columns, texts, same, strict=True) if one]
    said = "; ".join(f"{label}: {text}" for label, text in alike if text != MISSING)
    without = "; ".join(label for label, text in alike if text == MISSING)
    notes = [f"In every row: {said}."] if said else []
    notes += [f"Without a value in any row: {without}."] if without else []
    return replace(table, columns=columns, notes=(*notes, *table.notes))


def to_html(table: Table, *, title: str) -> str:
    """The table as an HTML page.

    Parameters
    ----------
    table : Table
    title : str
        Stands above it.
    """
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{fragment(table, title=title)}\n</body>\n</html>\n"
    )


def fragment(table: Table, *, title: str = "") -> str:
    """The table and its notes alone, for a page or a notebook; `slim`."""
    table = slim(table)
    return _rows(table.columns, table.cells, title=title) + notes(table)


def folded(table: Table) -> tuple[str, str]:
    """The table without the rows that have no number; and those rows as a table of their own.

    The second is empty where all rows have a number, or none has. Both are of a table that is `slim` already.
    """
    without = table.without_number
    if all(without) or not any(without):
        return _rows(table.columns, table.cells), ""
    halves = [[row for row, one in zip(table.cells, without, strict=True) if one == which] for which in (False, True)]
    return _filled(table, halves[0]), _filled(table, halves[1])


def _filled(table: Table, cells: Sequence[Sequence[str]]) -> str:
    """These rows without columns that are empty in all of them."""
    kept = [i for i in range(len(table.columns)) if any(row[i] != MISSING for row in cells)]
    return _rows([table.columns[i] for i in kept], [[row[i] for i in kept] for row in cells])


def _rows(columns: Sequence[Column], cells: Sequence[Sequence[str]], *, title: str = "") -> str:
    head = "".join(_tag("th", column.label, number=column.is_number) for column in columns)
    body = "\n".join(f"<tr>{''.join(map(_cell, columns, row))}</tr>" for row in cells)
    caption = f"<caption>{escape(title)}</caption>\n" if title else ""
    return f"<table>\n{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


def notes(table: Table) -> str:
    """The sentences below a table as a list; empty without any."""
    items = "".join(f"<li>{marked(note)}</li>" for note in table.notes)
    return f'<ul class="notes">{items}</ul>' if items else ""


def _cell(column: Column, text: str) -> str:
    long = any(len(word) > LONG_WORD for word in text.split())
    kind = "whole" if column.kind == "schedule" else "wide" if column.width is not None else "long" * long
    return _tag("td", text, number=column.is_number, kind=kind)


def _tag(name: str, text: str, *, number: bool, kind: str = "") -> str:
    kind = "number" if number else kind
    attributes = (' scope="col"' if name == "th" else "") + (f' class="{kind}"' if kind else "")
    return f"<{name}{attributes}>{marked(text)}</{name}>"
