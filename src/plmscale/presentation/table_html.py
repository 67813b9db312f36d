"""A table as a page of its own for the report: no script, no link, prints well."""

from collections.abc import Sequence
from html import escape

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
    """The table and its notes alone, for a page or a notebook."""
    return _rows(table, table.cells, title=title) + _notes(table)


def folded(table: Table) -> tuple[str, str]:
    """The table and its notes without the rows that have no number; and those rows as a table of their own.

    The second is empty where all rows have a number, or none has.
    """
    without = table.without_number
    if all(without) or not any(without):
        return fragment(table), ""
    halves = [[row for row, one in zip(table.cells, without, strict=True) if one == which] for which in (False, True)]
    return _rows(table, halves[0]) + _notes(table), _rows(table, halves[1])


def _rows(table: Table, cells: Sequence[Sequence[str]], *, title: str = "") -> str:
    head = "".join(_tag("th", column.label, number=column.is_number) for column in table.columns)
    body = "\n".join(f"<tr>{''.join(map(_cell, table.columns, row))}</tr>" for row in cells)
    caption = f"<caption>{escape(title)}</caption>\n" if title else ""
    return f"<table>\n{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


def _notes(table: Table) -> str:
    items = "".join(f"<li>{marked(note)}</li>" for note in table.notes)
    return f"<ul>{items}</ul>" if items else ""


def _cell(column: Column, text: str) -> str:
    long = any(len(word) > LONG_WORD for word in text.split())
    return _tag("td", text, number=column.is_number, kind="wide" if column.width is not None else "long" * long)


def _tag(name: str, text: str, *, number: bool, kind: str = "") -> str:
    kind = "number" if number else kind
    attributes = (' scope="col"' if name == "th" else "") + (f' class="{kind}"' if kind else "")
    return f"<{name}{attributes}>{marked(text)}</{name}>"
