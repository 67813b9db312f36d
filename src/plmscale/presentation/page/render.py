"""A page as HTML: one file with its style, script, data and figures, which asks nothing of a network."""

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ...files import atomic
from .contents import Block, FigureBlock, InteractiveBlock, Page, Section, TableBlock
from .interactive import SIGNS, TITLES

TEMPLATES = Path(__file__).parent / "templates"

MANY = 10
"""Columns of a table from which its type is smaller on a screen, and its page lies on its side on paper."""

_ROWS = re.compile(r'<tr class="without">.*?</tr>\n?', re.DOTALL)


def write_page(page: Page, path: Path) -> None:
    """Write the page atomically."""
    text = to_html(page)
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def to_html(page: Page) -> str:
    """The page; its figures and tables are numbered in their order."""
    interactives = [block.interactive for block in page.blocks if isinstance(block, InteractiveBlock)]
    context = {
        "page": page,
        "numbers": numbers(page.blocks),
        "titles": TITLES,
        "signs": SIGNS,
        "figures_json": _script_json({one.name: {**one.figure, "axes": list(one.log)} for one in interactives}),
        "plotly": _library() if interactives else Markup(""),
        "css": _asset("page.css"),
        "script": _asset("page.js"),
    }
    return _template().render(context)


def written(here: Mapping[str, str | None]) -> str:
    """When a page was written, and by which version (`plmscale.provenance.versions`)."""
    commit = f", commit {here['commit']}" if here["commit"] else ""
    return f"Page written {datetime.now(UTC).strftime('%Y-%m-%d')} by plmscale {here['plmscale']}{commit}."


def numbers(blocks: Sequence[Block]) -> dict[str, str]:
    """ "Table 1", "Figure 2", "Figure 3a" by kind and name: {"table-runs": "Table 4"}.

    What stands for an interactive figure on paper has its number, with a letter where there are several.
    """
    return dict(_numbered(blocks))


def _numbered(blocks: Sequence[Block]) -> Iterator[tuple[str, str]]:
    n_tables, n_figures = 0, 0
    for block in blocks:
        if isinstance(block, TableBlock):
            n_tables += 1
            yield f"table-{block.name}", f"Table {n_tables}"
        elif isinstance(block, FigureBlock):
            n_figures += 1
            yield f"figure-{block.name}", f"Figure {n_figures}"
        elif isinstance(block, InteractiveBlock):
            n_figures += 1
            yield f"plot-{block.interactive.name}", f"Figure {n_figures}"
            for i, one in enumerate(block.statics):
                letter = "abcdefghijklmnopqrstuvwxyz"[i % 26] if len(block.statics) > 1 else ""
                yield f"figure-{one.name}", f"Figure {n_figures}{letter}"


def folded(html: Markup) -> tuple[Markup, Markup, int]:
    """A table without the rows that have no number; those rows as a table of their own, and how many they are.

    A table that would have no row left is not folded.
    """
    text = str(html)
    without = _ROWS.findall(text)
    kept = _ROWS.sub("", text)
    if not without or "<tr" not in kept.partition("<tbody>")[2].partition("</tbody>")[0]:
        return html, Markup(""), 0
    head = text.partition("<thead>")[2].partition("</thead>")[0]
    rows = "".join(without)
    return Markup(kept), Markup(f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"), len(without)  # escaped


def n_columns(html: Markup) -> int:
    """Columns of a table."""
    return str(html).partition("</thead>")[0].count("<th ")


def wide(section: Section) -> bool:
    """Whether a section needs paper that lies on its side: it has a table of many columns."""
    return any(isinstance(block, TableBlock) and n_columns(block.html) >= MANY for block in section.blocks)


def _script_json(value: Any) -> Markup:
    """JSON that may stand inside a script element: no `<` that could end it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # escaped here


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["folded"] = folded
    environment.filters["n_columns"] = n_columns
    environment.filters["wide"] = wide
    environment.globals["many"] = MANY
    return environment.get_template("page.html.j2")


@cache
def _asset(name: str) -> Markup:
    """A file of the package, which a script or style element holds as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


@cache
def _library() -> Markup:
    """plotly.js, compressed: the page's script unpacks it, so that the page is small and shows its text first."""
    content = (TEMPLATES / "plotly-basic.min.js").read_bytes()
    return Markup(base64.b64encode(gzip.compress(content, 9, mtime=0)).decode("ascii"))
