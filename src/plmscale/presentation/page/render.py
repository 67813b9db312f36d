"""A page as HTML: one file with its style, script, data and figures, which asks nothing of a network."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from ...files import atomic
from .contents import Block, FigureBlock, InteractiveBlock, Page, Section, TableBlock
from .files import compressed
from .interactive import SIGNS, TITLES, Interactive

TEMPLATES = Path(__file__).parent / "templates"

MANY = 10
"""Columns of a table from which its type is smaller on a screen, and its page lies on its side on paper."""


CROWDED = 16
"""Columns from which words of the headings are cut on paper, too."""

MOST_PRINTED = 100
"""Rows from which a table that is folded on a screen is not printed; what is printed says where its rows are."""


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
        "figures": _figures(interactives),
        "plotly": _library() if interactives else "",
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


def wide(section: Section) -> bool:
    """Whether a section needs paper that lies on its side: it has a table of many columns."""
    return any(isinstance(block, TableBlock) and block.n_columns >= MANY for block in section.blocks)


def _figures(interactives: Sequence[Interactive]) -> str:
    """Interactive figures by name as JSON, compressed."""
    value = {one.name: {**one.figure, "axes": list(one.log)} for one in interactives}
    return compressed(json.dumps(value, allow_nan=False, separators=(",", ":")).encode())


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["wide"] = wide
    environment.globals.update(many=MANY, crowded=CROWDED, most_printed=MOST_PRINTED)
    return environment.get_template("page.html.j2")


@cache
def _asset(name: str) -> Markup:
    """A file of the package, which a script or style element holds as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


@cache
def _library() -> str:
    """plotly.js, compressed: the page's script unpacks it, so that the page is small and shows its text first."""
    return compressed((TEMPLATES / "plotly-basic.min.js").read_bytes())
