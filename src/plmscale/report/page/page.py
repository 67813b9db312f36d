"""The report: one HTML page with the answer, its figures, tables, choices and provenance. It needs no network."""

import json
import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ...files import atomic
from ...presentation.figure_style import SizeScale
from ...presentation.formats import is_missing, number, short, verdict
from ...provenance import versions
from ...published.models import RULE, law_sentence
from ...results.study_results import Results
from ...study.catalog import IF_ANY, TABLES, figure_names
from ..study_warnings import study_warnings
from ..summary import cost_sentence
from . import parts, words
from .figures import TITLES, Interactive, loss_figure
from .isoflop_figure import isoflop_figure
from .law_figures import optimum_figure, published_figure

QUESTION = "How large a protein language model, on how many tokens, for a compute budget?"

CONTENTS = (
    ("answer", "The answer"),
    ("ratio", "Tokens per parameter"),
    ("published", "Published models"),
    ("size", "Optimal size"),
    ("trained", "Runs"),
    ("plan", "Plan versus actual"),
    ("more", "More"),
    ("choices", "Every choice"),
    ("provenance", "Provenance"),
)

IN_SECTIONS = ("law_parameters", "published_models", "optimal_sizes", "runs", "data_sets", "models")
"""Tables that a section of the page shows; so are these two, and the others stand under "More"."""
IN_PLAN = ("planned_vs_actual", "plan")

SIGNS = {
    "solid": "—", "dash": "╌", "dot": "┈", "dashdot": "–·",
    "circle": "●", "square": "■", "triangle-up": "▲", "diamond": "◆", "triangle-down": "▼", "cross": "✚", "x": "✖",
}  # fmt: skip
"""Lines and signs of traces as letters."""

SECTIONS_FIGURES = ("compute_optimal", "published_models", "isoflop", "plateau")


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
    captions = parts.captions([path for path in map(Path, files.captions) if path.parent.name in ("figures", "tables")])
    names = figure_names(set(results.schedules))
    tables = parts.tables(files.tables, captions, relative=_relative(files.tables, folder))
    figures = parts.figures(files.figures, names, captions, relative=_relative(files.figures, folder))
    interactives = _interactives(results)
    context = {
        "question": QUESTION,
        "title": f"plmscale report: {QUESTION}",
        "contents": CONTENTS,
        "tables": tables,
        "figures": figures,
        "interactives": {one.name: _described(one) for one in interactives},
        "titles": TITLES,
        "signs": SIGNS,
        "losses": [name for name in names if name.startswith("loss_vs_flops")],
        "more_figures": [
            name
            for name in names
            if name not in SECTIONS_FIGURES and not name.startswith("loss_vs_flops") and _shown(name, tables)
        ],
        "more_tables": [name for name in TABLES if name not in (*IN_SECTIONS, *IN_PLAN) and _shown(name, tables)],
        "figures_json": _script_json({one.name: {**one.figure, "axes": list(one.log)} for one in interactives}),
        "plotly": Markup(get_plotlyjs().replace("</script", "<\\/script")),  # the library's own code
        **_assets(),
        **_said(results, files),
    }
    return _template().render(context)


def _shown(name: str, tables: Mapping[str, Any]) -> bool:
    """Whether a table, or the figure of its name, has anything to say in this study."""
    return name not in IF_ANY or tables[name]["n_rows"] > 0


def _relative(folder: Path, page: Path) -> str:
    return Path(os.path.relpath(folder, page)).as_posix()


def _interactives(results: Results) -> list[Interactive]:
    sizes = SizeScale(results.sizes)
    return [
        optimum_figure(results),
        published_figure(results.findings.published),
        loss_figure(results, sizes),
        isoflop_figure(results),
    ]


def _described(one: Interactive) -> dict[str, Any]:
    log_y = one.figure["layout"].get("yaxis", {}).get("type") == "log"
    return {"title": one.title, "summary": one.summary, "boxes": one.boxes, "log_y": log_y}


def _script_json(value: Any) -> Markup:
    """JSON that may stand inside a script element: no `<` that could end it."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c"))  # escaped here


@cache
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("plmscale.report.page", "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["mathematics"] = parts.mathematics
    return environment.get_template("report.html.j2")


def _assets() -> dict[str, Markup]:
    folder = Path(__file__).parent / "templates"
    read = {
        key: (folder / name).read_text(encoding="utf-8")
        for key, name in (("css", "report.css"), ("script", "report.js"))
    }
    return {key: Markup(text) for key, text in read.items()}  # files of the package


def _said(results: Results, files: PageFiles) -> dict[str, Any]:
    """Everything in words."""
    found = results.findings
    rows = [{str(key): value for key, value in row.items()} for row in found.cells.to_dict("records")]
    failures = [row for row in rows if row["status"] != "done"]
    choices = sorted(parts.choices(results.study.config), key=lambda row: not row["differs"])
    here = versions()
    return {
        "answer": words.answer(results.fits, found.published),
        "comparison": words.comparison(results.fits),
        "beside_paper": words.beside_the_paper(results.fits, found.published.law),
        "plateau": [f"{s}, {verdict(fit)}" for s, fit in results.fits.get("plateau", {}).items()],
        "law_sentence": law_sentence(found.published.law),
        "rule": RULE,
        "left_out": words.left_out(results.fits),
        "failures": failures,
        "partly": any(not is_missing(row["final_loss"]) for row in failures),
        "n_cells": len(rows),
        "trained": _trained(results, rows),
        "warnings": study_warnings(results),
        "cost": [cost_sentence(results)],
        "choices": choices,
        "n_different": sum(row["differs"] for row in choices),
        "source": parts.source(results, files.retrieval),
        "software": parts.software(results),
        "words": _vocabulary(files.captions),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "version": here["plmscale"],
        "commit": here["commit"],
    }


def _trained(results: Results, rows: Sequence[Mapping[str, Any]]) -> str:
    done = sum(row["status"] == "done" for row in rows)
    sizes = sorted({row["n_params"] for row in rows})
    span = f"{short(sizes[0])} to {short(sizes[-1])}" if len(sizes) > 1 else short(sizes[0])
    _, flops = results.findings.trained
    return (
        f"{done} of {len(rows)} runs finished: {len(sizes)} sizes ({span} parameters) on {', '.join(results.sets)}, "
        f"{number(flops)} training FLOPs by {results.study.config.analysis.flops}."
    )


def _vocabulary(captions: Sequence[Path]) -> Markup:
    """The paragraphs of workflow.rst that explain words, verdicts and FLOPs."""
    found = [path for path in map(Path, captions) if path.name == "workflow.rst"]
    blocks = found[0].read_text(encoding="utf-8").split("\n\n")[1:] if found else []
    kept = [parts.from_rst(block) for block in blocks if "How to read it" not in block]
    return Markup("\n").join(Markup("<p>{}</p>").format(block) for block in kept)
