"""The report of a comparison: the page of `plmscale compare`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..presentation.formats import is_missing
from ..presentation.page import render
from ..presentation.page.contents import Badge, Block, Page, Section, figure_block, table_block
from ..presentation.page.text import listed, mathematics, remark
from ..presentation.tables import Table
from ..provenance import versions
from .contrasts import DIFFER

SUFFIXES = ("tsv", "md", "tex")
FIGURES = {
    "exponents": ("Exponents and their differences", "Points that are not filled: the interval contains 0."),
    "envelopes": ("Lowest loss at each budget", ""),
    "matched": (
        "Differences in loss of matched runs",
        "A point per pair of runs that differ in nothing else; their means and intervals are in the list above.",
    ),
}
"""Titles and captions."""
QUESTIONS = {"study": "studies", "schedule": "schedules of the learning rate", "set": "training sets"}


def write_page(
    extents: Sequence[str],
    caveats: Sequence[str],
    said: Mapping[str, Sequence[str]],
    tables: Mapping[str, tuple[str, Table]],
    folder: Path,
) -> None:
    """Write report.html into the folder of a comparison, beside its tables and figures.

    Parameters
    ----------
    extents : sequence of str
        What is compared, a sentence each.
    caveats : sequence of str
        What cannot be compared.
    said : mapping of str to sequence of str
        Sentences of each comparison, by what stands side by side ("study", "schedule", "set").
    tables : mapping of str to (str, Table)
        Title and table by name.
    folder : Path
    """
    blocks = {
        name: table_block(table, name=name, title=title, files=[(s, f"tables/{name}.{s}") for s in SUFFIXES])
        for name, (title, table) in tables.items()
        if table.cells
    }
    sections = []
    for by, sentences in said.items():
        figures: list[Block] = [
            figure_block(path, title=f"{title}, between {QUESTIONS[by]}", page=folder, caption=caption)
            for name, (title, caption) in FIGURES.items()
            if (path := folder / "figures" / f"{name}_by_{by}").with_suffix(".svg").is_file()
        ]
        sections.append(
            Section(by, QUESTIONS[by].capitalize(), f"Between {QUESTIONS[by]}", [listed(sentences), *figures])
        )
    rest = [block for name, block in blocks.items() if name != "differences"]
    sections.append(Section("tables", "Tables", "All numbers", rest))
    headline: list[Block] = [listed(extents), *([blocks["differences"]] if "differences" in blocks else [])]
    question = f"What differs between these {' and '.join(QUESTIONS[by] for by in said) or 'studies'}?"
    badge, answer = _answer(tables["differences"][1] if "differences" in tables else None, said)
    remarks = [remark(text) for text in caveats]
    meta = render.written(versions())
    render.write_page(
        Page(question, badge, mathematics(answer), meta, headline, remarks, sections), folder / "report.html"
    )


def _answer(differences: Table | None, said: Mapping[str, Sequence[str]]) -> tuple[Badge, str]:
    """How many differences of laws are told apart, and the first sentence of the comparison."""
    rows = [] if differences is None else differences.data.to_dict("records")
    known = [row for row in rows if not is_missing(row["value"])]
    differ = sum(row["verdict"] == DIFFER for row in known)
    first = next((sentence for sentences in said.values() for sentence in sentences), "Nothing is compared.")
    if not known:
        return Badge("plain", "no law to compare"), first
    if not differ:
        first = f"None of the {len(known)} differences between parameters of the laws is told apart at 95 %."
    return Badge("plain", f"{differ} of {len(known)} differences told apart"), first
