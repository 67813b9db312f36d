"""What a page holds: a question, its answer with a verdict, and sections of text, tables and figures."""

import os.path
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..table_html import folded, notes, slim
from ..tables import Table, to_tsv
from .files import data_uri, svg_uri
from .interactive import Interactive

Files = Sequence[tuple[str, str]]
"""Links to files beside the page: words and address."""


@dataclass(frozen=True)
class TableBlock:
    """A table of a page.

    Attributes
    ----------
    name : str
        Part of the `id` of its element, and the name of the file that its data are saved as.
    title, caption : str
    html, folded, notes : Markup
        `plmscale.presentation.table_html.folded`: what is shown, and the rows that have no number; and the
        sentences below.
    n_rows, n_folded, n_columns : int
    tsv : str
        Its data as an address; empty where there are none.
    files : sequence of (str, str)
    open : bool
        Whether it is unfolded at first.
    """

    name: str
    title: str
    html: Markup
    folded: Markup
    notes: Markup
    n_rows: int
    n_folded: int
    n_columns: int
    caption: Markup | str = ""
    tsv: str = ""
    files: Files = ()
    open: bool = True

    kind = "table"


@dataclass(frozen=True)
class FigureBlock:
    """A figure that does not move: svg addresses in page width and, for narrow screens, in column width."""

    name: str
    title: str
    svg: str
    caption: Markup | str = ""
    narrow: str = ""
    files: Files = ()

    kind = "figure"


@dataclass(frozen=True)
class InteractiveBlock:
    """A figure that answers the mouse, and the figures that stand for it on paper and without scripts."""

    interactive: Interactive
    statics: Sequence[FigureBlock] = ()

    kind = "interactive"


@dataclass(frozen=True)
class Prose:
    """Paragraphs, lists and headings, in HTML."""

    html: Markup

    kind = "prose"


Block = TableBlock | FigureBlock | InteractiveBlock | Prose


@dataclass(frozen=True)
class Section:
    """A part of a page: `id` of its element, its name in the navigation, its heading, and what it holds."""

    id: str
    name: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Badge:
    """A verdict: one of `plmscale.estimates.STATUSES`, or "plain" for what is no verdict, and its words."""

    status: str
    words: str


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes
    ----------
    question : str
        Its heading.
    badge : Badge
    answer : Markup
        One sentence or two; no name that only the configuration knows.
    meta : str
        What it was made from, when, and by which version.
    headline : sequence of Block
        The table and the figure of the first screen.
    remarks : sequence of Markup
        Warnings below them.
    sections : sequence of Section
    """

    question: str
    badge: Badge
    answer: Markup
    meta: str
    headline: Sequence[Block]
    remarks: Sequence[Markup]
    sections: Sequence[Section]

    @property
    def blocks(self) -> list[Block]:
        """All blocks in their order."""
        return [*self.headline, *(block for section in self.sections for block in section.blocks)]


def figure_block(path: Path, *, title: str, page: Path, caption: Markup | str = "") -> FigureBlock:
    """A figure that `plmscale.presentation.figure_style.save` wrote as a block of a page.

    Parameters
    ----------
    path : Path
        Without suffix.
    title : str
    page : Path
        Folder of the page: links are relative to it.
    caption : str
    """
    column = path.parent / "column" / f"{path.name}.svg"
    narrow = svg_uri(column) if column.is_file() else ""
    files = [
        (suffix, Path(os.path.relpath(found, page)).as_posix())
        for suffix in ("pdf", "svg", "png", "csv")
        if (found := path.with_name(f"{path.name}.{suffix}")).is_file()
    ]
    return FigureBlock(path.name, title, svg_uri(path.with_name(f"{path.name}.svg")), caption, narrow, files)


def table_block(table: Table, *, name: str, title: str, **more: Any) -> TableBlock:
    """A table as a block of a page (`slim`), all its data in the page.

    Parameters
    ----------
    table : Table
    name, title : str
    **more
        Of `TableBlock`: caption, files, open.
    """
    tsv = data_uri(to_tsv(table).encode(), "text/tab-separated-values")
    shown = slim(table)
    html, rest, below = map(Markup, (*folded(shown), notes(shown)))  # they escape
    n_folded = sum(table.without_number) if rest else 0
    return TableBlock(name, title, html, rest, below, len(table.cells), n_folded, len(shown.columns), tsv=tsv, **more)
