"""The report of a study: one HTML page with the answer, its figures, tables, choices and provenance."""

import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...files import atomic
from ...plan.hardware.devices import device_of
from ...presentation.formats import number, short
from ...presentation.page.contents import Block, InteractiveBlock, Page, table_block
from ...presentation.page.render import to_html as render
from ...presentation.page.render import written
from ...provenance import versions
from ...results.study_results import Results
from ...study.catalog import FIGURES, IF_ANY, figure_names
from ..headline import headline_table
from . import parts
from .answer import badge, remarks, sentence
from .interactives import interactives
from .sections import Material, sections

QUESTION = "How large a protein language model, on how many tokens, for a compute budget?"

CONVENTIONS = {"appendix_e": "counted operation by operation", "6nd": "counted as 6·N·D"}
"""How FLOPs are counted, in words."""

DRAWN_MOVING = ("compute_optimal", "published_models", "isoflop")
"""Figures that stand for an interactive one on paper; so do those of the losses."""


@dataclass(frozen=True)
class PageFiles:
    """What the page is made from, beside the results.

    Attributes
    ----------
    tables, figures : Path
        Folders that `plmscale.report.tables.study.write_tables` and `plmscale.report.figures.study.write_figures`
        filled.
    captions : sequence of Path
        reStructuredText: {figures,tables}/{name}.rst, and workflow.rst for the meaning of words.
    retrieval : mapping
        What is known of a downloaded source.
    """

    tables: Path
    figures: Path
    captions: Sequence[Path] = ()
    retrieval: Mapping[str, Any] = field(default_factory=dict)


def write_report(results: Results, files: PageFiles, page: Path) -> None:
    """Write the page atomically. Links to files are relative to its folder.

    Parameters
    ----------
    results : Results
    files : PageFiles
    page : Path
    """
    text = to_html(results, files, folder=page.parent)
    with atomic(page) as partial:
        partial.write_text(text, encoding="utf-8")


def to_html(results: Results, files: PageFiles, *, folder: Path) -> str:
    """The page; `folder` is where it will lie."""
    return render(page_of(results, files, folder=folder))


def page_of(results: Results, files: PageFiles, *, folder: Path) -> Page:
    """The page before it is written."""
    material = _material(results, files, folder=folder)
    config, law = results.study.config, results.findings.published.law
    device = device_of(config.hardware, config.training.precision)
    table = headline_table(results.fits, masked=True, device=device)
    headline: list[Block] = []
    if table is not None:
        headline.append(table_block(table, name="headline", title="The optimum by budget"))
    first = "compute_optimal" if law is not None else "loss_vs_flops"
    headline.append(material.moving[first])
    rest = {name: block for name, block in material.moving.items() if name != first}
    rows = [{str(key): value for key, value in row.items()} for row in results.findings.cells.to_dict("records")]
    return Page(
        QUESTION,
        badge(law),
        sentence(results.fits, law),
        f"{trained(results, rows)} {written(versions())}",
        headline,
        remarks(results, rows),
        sections(results, replace(material, moving=rest), files.captions, files.retrieval),
    )


def _material(results: Results, files: PageFiles, *, folder: Path) -> Material:
    """Tables, figures and interactive figures with what stands for them on paper."""
    captions = parts.captions([path for path in map(Path, files.captions) if path.parent.name in ("figures", "tables")])
    tables = parts.tables(results, captions, relative=_relative(files.tables, folder))
    names = [name for name in figure_names(set(results.schedules)) if name not in IF_ANY or tables[name].n_rows]
    losses = [name for name in names if name.startswith("loss_vs_flops")]
    narrow = [name for name in names if name not in (*DRAWN_MOVING, *losses)]
    relative = _relative(files.figures, folder)
    figures = parts.figures(files.figures, names, captions, relative=relative, narrow=narrow)
    moving = {}
    for one in interactives(results):
        stands = losses if one.name == "loss_vs_flops" else [one.name]
        moving[one.name] = InteractiveBlock(one, [figures[name] for name in stands if name in figures])
    kept = {name: block for name, block in figures.items() if name in narrow}
    left_out = [parts.page_title(FIGURES[name]) for name in names if name not in figures]
    return Material(
        {name: block for name, block in tables.items() if name not in IF_ANY or block.n_rows}, kept, moving, left_out
    )


def _relative(folder: Path, page: Path) -> str:
    return Path(os.path.relpath(folder, page)).as_posix()


def trained(results: Results, rows: Sequence[Mapping[str, Any]]) -> str:
    """How many runs finished, of which sizes, on how many sets."""
    done = sum(row["status"] == "done" for row in rows)
    sizes = sorted({row["n_params"] for row in rows})
    span = f"{short(sizes[0])} to {short(sizes[-1])}" if len(sizes) > 1 else short(sizes[0])
    _, flops = results.findings.trained
    convention = results.study.config.analysis.flops
    sets = "1 training set" if len(results.sets) == 1 else f"{len(results.sets)} training sets"
    return (
        f"{done} of {len(rows)} runs finished: {len(sizes)} sizes ({span} parameters) on {sets}, {number(flops)} "
        f"training FLOPs ({CONVENTIONS.get(convention, convention)})."
    )
