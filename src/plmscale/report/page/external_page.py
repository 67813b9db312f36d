"""The report of runs that came as a table: the page of `plmscale fit`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...laws.size_law import best_law
from ...presentation.formats import count, number, short, verdict
from ...presentation.page import render
from ...presentation.page.contents import (
    Block,
    FigureBlock,
    InteractiveBlock,
    Page,
    Section,
    TableBlock,
    figure_block,
    table_block,
)
from ...presentation.page.text import caveat, listed, paragraphs, remark
from ...presentation.tables import Table
from ...provenance import versions
from ...results.analysed import Analysed
from ...results.external import ExternalAnalysis
from ..headline import headline_table
from ..learning_rates import off_optimum
from . import words
from .answer import badge, sentence
from .interactives import of_runs
from .sections import REACH, left_out_block

QUESTION = "How large a model, on how many tokens, for a compute budget?"

MOST_NOTES = 12
"""Notes of an import on the page; all of them are in import.json."""

STANDS = {"compute_optimal": "compute_optimal", "loss_vs_flops": "loss_vs_flops", "isoflop": "isoflop"}
"""Static figure of each interactive one, by the end of its file's name."""

TITLES = {
    "contours": "Loss by the parametric law over compute and size",
    "residuals": "What the parametric laws leave unexplained",
    "parametric_fit": "Final losses against the parametric laws",
    "plateau": "FLOPs to reach the plateau against size",
    "sensitivity": "Sensitivity of the exponent a to choices",
    "learning_rates": "Learning rates of the sweeps",
    "repeated_data": "Repeated data: what passes over one set are worth",
    "compute_optimal": "Compute-optimal size and tokens",
    "loss_vs_flops": "Loss against training FLOPs",
    "isoflop": "Loss against size at equal compute",
}


def write_page(
    analysis: ExternalAnalysis, tables: Mapping[str, tuple[str, Table]], figures: Sequence[Path], *, folder: Path
) -> None:
    """Write report.html into `folder`, where the tables and figures are.

    Parameters
    ----------
    analysis : ExternalAnalysis
    tables : mapping of str to (str, Table)
        Title and table by name.
    figures : sequence of Path
        Static figures, without suffix.
    folder : Path
    """
    drawn = {path.name: _figure(path, folder) for path in figures}
    render.write_page(page_of(analysis, tables, drawn), folder / "report.html")


def page_of(
    analysis: ExternalAnalysis, tables: Mapping[str, tuple[str, Table]], drawn: Mapping[str, FigureBlock]
) -> Page:
    """The page before it is written."""
    results, law = analysis.results, best_law(analysis.results.fits)
    moving = {}
    for one in of_runs(results):
        if one.figure["data"]:
            statics = [block for name, block in drawn.items() if name.endswith(STANDS[one.name])]
            moving[one.name] = InteractiveBlock(one, statics)
    own = {name: _table(name, *tables[name]) for name in tables if tables[name][1].cells}
    headline: list[Block] = []
    table = headline_table(results.fits, masked=results.unigram_entropy is not None)
    if table is not None:
        headline.append(table_block(table, name="headline", title="The optimum by budget"))
    first = "compute_optimal" if law is not None else "loss_vs_flops"
    headline += [moving.pop(first)] if first in moving else []
    notes = [remark(f"Learning rate of {text}") for text in off_optimum(results.rates)]
    caveats = [remark(words.caveat_of(law).strip())] if law is not None and words.caveat_of(law) else []
    others = [block for name, block in drawn.items() if not name.endswith(tuple(STANDS))]
    parts = [_methods(results, own, moving), _sizes(own, moving), _runs(analysis, own), _more(own, others)]
    answer = sentence(results.fits, law)
    return Page(QUESTION, badge(law), answer, _meta(analysis), headline, [*caveats, *notes], parts)


def _table(name: str, title: str, table: Table) -> TableBlock:
    return table_block(table, name=name, title=title, files=[(s, f"tables/{name}.{s}") for s in ("tsv", "md", "tex")])


def _figure(path: Path, folder: Path) -> FigureBlock:
    ends = [name for name in TITLES if path.name.endswith(name)]
    group = path.name.removesuffix(ends[0]).rstrip("_") if ends else ""
    title = f"{TITLES[ends[0]]}{f', {group}' * bool(group)}" if ends else path.name
    return figure_block(path, title=title, page=folder)


def _meta(analysis: ExternalAnalysis) -> str:
    imported, sizes = analysis.imported, analysis.results.sizes
    span = f"{short(sizes[0])} to {short(sizes[-1])} parameters" if len(sizes) > 1 else f"{short(sizes[0])} parameters"
    rows = f"{imported.n_runs} runs, {count(len(imported.frame))} evaluations, {len(sizes)} sizes, {span}"
    return f"{imported.source} (format {imported.format}): {rows}. {render.written(versions())}"


def _methods(results: Analysed, own: Mapping[str, TableBlock], moving: Mapping[str, InteractiveBlock]) -> Section:
    blocks: list[Block] = [paragraphs("Each method, and what it says:"), listed(words.comparison(results.fits))]
    others = [
        f"{words.FIT_TITLES[name]}, {words.schedule_words(group)}: {verdict(fit)}"
        for name in ("kaplan", "plateau", "repeated")
        for group, fit in results.fits.get(name, {}).items()
        if fit.details.get("applies", True)
    ]
    blocks += [listed(others)] if others else []
    blocks += [moving["compute_optimal"]] if "compute_optimal" in moving else []
    blocks += [own["law_parameters"]] if "law_parameters" in own else []
    return Section("methods", "Methods", "What each law says", blocks)


def _sizes(own: Mapping[str, TableBlock], moving: Mapping[str, InteractiveBlock]) -> Section:
    blocks: list[Block] = [moving[name] for name in ("loss_vs_flops", "isoflop") if name in moving]
    blocks += [caveat(REACH), *([own["optimal_sizes"]] if "optimal_sizes" in own else [])]
    return Section("size", "Optimal size", "What is the optimal model size for a compute budget?", blocks)


def _runs(analysis: ExternalAnalysis, own: Mapping[str, TableBlock]) -> Section:
    notes = list(analysis.imported.notes)
    said = notes[:MOST_NOTES]
    if len(notes) > MOST_NOTES:
        said.append(f"and {number(len(notes) - MOST_NOTES)} more, in import.json.")
    left_out = left_out_block(analysis.results.fits, groups="Group")
    blocks: list[Block] = [paragraphs(f"The loss is “{analysis.imported.loss}” in all runs."), listed(said)]
    return Section("runs", "Runs", "What was read, and what was left out", [*blocks, own["runs"], left_out])


def _more(own: Mapping[str, TableBlock], figures: Sequence[FigureBlock]) -> Section:
    shown = ("law_parameters", "optimal_sizes", "runs")
    tables = [block for name, block in own.items() if name not in shown]
    return Section("more", "More", "More figures and tables", [*figures, *tables])
