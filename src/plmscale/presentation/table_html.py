"""A table as a page of its own for the report: no script, no link, prints well."""

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
    """The table and its notes alone, for a page or a notebook; rows without a number have the class `without`."""
    head = "".join(_tag("th", column.label, number=column.is_number) for column in table.columns)
    rows = ["".join(map(_cell, table.columns, row)) for row in table.cells]
    kinds = [' class="without"' if without else "" for without in table.without_number]
    body = "\n".join(f"<tr{kind}>{row}</tr>" for kind, row in zip(kinds, rows, strict=True))
    items = "".join(f"<li>{marked(note)}</li>" for note in table.notes)
    notes = f"<ul>{items}</ul>" if items else ""
    caption = f"<caption>{escape(title)}</caption>\n" if title else ""
    return f"<table>\n{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n{notes}"


def _cell(column: Column, text: str) -> str:
    return _tag("td", text, number=column.is_number, wide=column.width is not None)


def _tag(name: str, text: str, *, number: bool, wide: bool = False) -> str:
    kind = "number" if number else "wide" if wide else ""
    attributes = (' scope="col"' if name == "th" else "") + (f' class="{kind}"' if kind else "")
    return f"<{name}{attributes}>{marked(text)}</{name}>"
