"""The sections of a study's report below its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from ...presentation.formats import verdict
from ...presentation.page.contents import (
    Block,
    FigureBlock,
    InteractiveBlock,
    Prose,
    Section,
    TableBlock,
    table_block,
)
from ...presentation.page.text import caveat, from_rst, listed, paragraphs
from ...presentation.schedule_words import SCHEDULE_TITLES, schedule_words
from ...presentation.tables import Column, Table
from ...published.models import RULE, law_sentence
from ...results.analysed import Fits
from ...results.study_results import Results
from ..summary import cost_sentence
from ..tables.paper import exponents_sentence
from . import parts, words

REACH = (
    "No size is given further than three times beyond the sizes trained, nor for more than 100 times the tokens or "
    "FLOPs of a run. Without a decay to the end of its own budget, a run's loss stays above what the budget could "
    "reach; with a decay over tokens, curves flatten whatever the model."
)


@dataclass(frozen=True)
class Material:
    """What sections show, by name, and the titles of the figures in which nothing is drawn."""

    tables: Mapping[str, TableBlock]
    figures: Mapping[str, FigureBlock]
    moving: Mapping[str, InteractiveBlock]
    without_content: Sequence[str] = ()


def sections(
    results: Results, material: Material, captions: Sequence[Path], retrieval: Mapping[str, Any]
) -> list[Section]:
    """All of them, in their order; tables and figures that no section asks for are under "More"."""
    written = [
        _ratio(results, material),
        _size(results, material),
        _paper(results, material),
        _published(results, material),
        _runs(results, material),
        _plan(results, material),
    ]
    used = {(b.kind, b.name) for s in written for b in s.blocks if isinstance(b, TableBlock | FigureBlock)}
    more: list[Block] = [b for b in material.figures.values() if (b.kind, b.name) not in used]
    more += [replace(b, open=False) for b in material.tables.values() if (b.kind, b.name) not in used]
    if material.without_content:
        more.append(paragraphs(f"Figures without content, which are not shown: {'; '.join(material.without_content)}."))
    written.append(Section("more", "More", "More figures and tables", more))
    return [*written, _choices(results), _provenance(results, captions, retrieval)]


def _ratio(results: Results, material: Material) -> Section:
    choices = (
        "Intervals hold the noise between runs, not the choices of the analysis: the table of sensitivity has those."
    )
    blocks: list[Block] = [
        paragraphs("Each method, and what it says:"),
        listed(words.comparison(results.fits)),
        *_moving(material, "compute_optimal"),
        caveat(choices),
        material.tables["law_parameters"],
    ]
    title = "What is the optimal ratio of tokens to parameters for a compute budget?"
    return Section("ratio", "Methods", title, blocks)


def _moving(material: Material, name: str) -> list[Block]:
    return [material.moving[name]] if name in material.moving else []


def _size(results: Results, material: Material) -> Section:
    plateau = [f"{schedule_words(s)}, {verdict(fit)}" for s, fit in results.fits.get("plateau", {}).items()]
    blocks: list[Block] = [
        *_moving(material, "loss_vs_flops"),
        *_moving(material, "isoflop"),
        caveat(REACH),
        material.tables["optimal_sizes"],
        Prose(Markup("<h3>The plateau</h3>")),
        paragraphs(*(f"{text[0].upper()}{text[1:]}" for text in plateau)),
    ]
    if "plateau" in material.figures:
        blocks.append(material.figures["plateau"])
    return Section("size", "Optimal size", "What is the optimal model size for a compute budget?", blocks)


def _published(results: Results, material: Material) -> Section:
    found = results.findings.published
    blocks: list[Block] = [
        paragraphs(f"{words.published_sentence(found.models, found.law)} {law_sentence(found.law)}"),
        *_moving(material, "published_models"),
        caveat(
            f"{RULE} A law holds where it was measured: other data, objectives and architectures may have another. "
            "Numbers with † were not verified."
        ),
        material.tables["published_models"],
    ]
    return Section("published", "Published models", "Are the widely used models compute-optimal?", blocks)


def _paper(results: Results, material: Material) -> Section:
    blocks: list[Block] = [paragraphs(exponents_sentence(results.findings.paper)), material.tables["paper"]]
    return Section("paper", "The paper", "What does the paper print, and what do these runs say?", blocks)


def left_out_block(fits: Fits, *, groups: str = "Schedule", **more: Any) -> TableBlock:
    """What the fits left out; `groups` is what a reader calls the groups of runs, `more` of `TableBlock`."""
    columns = (
        Column("Fit", "fit"),
        Column(groups, "schedule", "schedule"),
        Column("Used", "used", "count"),
        Column("Left out", "n", "count"),
        Column("Reason", "reason", width=6.0),
    )
    data = pd.DataFrame(words.left_out(fits), columns=pd.Index([column.key for column in columns]))
    return table_block(Table(data, columns), name="left_out", title="Points left out of the fits", **more)


def _runs(results: Results, material: Material) -> Section:
    caption = Markup("Every point that a fit does not use is in <code>results/fits/</code> with its reason.")
    blocks: list[Block] = [
        material.tables["runs"],
        left_out_block(results.fits, caption=caption),
        replace(material.tables["data_sets"], open=False),
        replace(material.tables["models"], open=False),
    ]
    return Section("trained", "Runs", "What was trained, and what was left out", blocks)


def _plan(results: Results, material: Material) -> Section:
    blocks: list[Block] = [
        paragraphs(cost_sentence(results)),
        *(replace(material.tables[name], open=False) for name in ("planned_vs_actual", "plan")),
    ]
    return Section("plan", "Cost", "Plan versus actual", blocks)


def _choices(results: Results) -> Section:
    rows = sorted(parts.choices(results.study.config), key=lambda row: not row["differs"])
    differ = sum(row["differs"] for row in rows)
    intro = f"{differ} of {len(rows)} settings differ from the default, which is the paper's study; they are marked."
    row = Markup("<tr{}><td><code>{}</code>{}</td><td><code>{}</code></td><td><code>{}</code></td><td>{}</td></tr>")
    marks = {True: (Markup(' class="differs"'), Markup(" <strong>differs</strong>")), False: ("", "")}

    def table(chosen: Sequence[Mapping[str, Any]]) -> Markup:
        body = [
            row.format(marks[one["differs"]][0], one["key"], marks[one["differs"]][1], one["value"], one["default"],
                       one["meaning"])
            for one in chosen
        ]  # fmt: skip
        return scrolled("Settings", ("Setting", "Value", "Default", "Meaning"), body)

    rest = Markup('<details class="folded"><summary>{} settings that have their default</summary>{}</details>')
    others = rest.format(len(rows) - differ, table(rows[differ:]))
    return Section("choices", "Choices", "Every choice", [paragraphs(intro), Prose(table(rows[:differ]) + others)])


def scrolled(label: str, heads: Sequence[str], rows: Sequence[Markup]) -> Markup:
    """Rows as a table that scrolls where a screen is too narrow for it."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(one) for one in heads)
    table = Markup("<table><thead><tr>{}</tr></thead>\n<tbody>{}</tbody></table>").format(head, Markup("\n").join(rows))
    return Markup('<div class="scroll" tabindex="0" role="region" aria-label="{}">{}</div>').format(label, table)


def _provenance(results: Results, captions: Sequence[Path], retrieval: Mapping[str, Any]) -> Section:
    sources = [
        Markup("<tr><td>{}</td><td><code>{}</code></td></tr>").format(*row) for row in parts.source(results, retrieval)
    ]
    software = [
        Markup("<tr><td>{name}</td><td><code>{trained}</code></td><td><code>{page}</code></td></tr>").format(**row)
        for row in parts.software(results)
    ]
    blocks: list[Block] = [
        Prose(scrolled("Source", ("Proteins", "Value"), sources)),
        Prose(scrolled("Versions", ("Software", "Runs trained with", "This page"), software)),
        Prose(Markup("<h3>Words</h3>")),
        Prose(vocabulary(captions)),
    ]
    return Section("provenance", "Provenance", "Provenance", blocks)


def vocabulary(captions: Sequence[Path]) -> Markup:
    """The paragraphs of workflow.rst that explain words, verdicts and FLOPs."""
    found = [path for path in map(Path, captions) if path.name == "workflow.rst"]
    blocks = found[0].read_text(encoding="utf-8").split("\n\n")[1:] if found else []
    kept = [from_rst(block) for block in blocks if "How to read it" not in block]
    named = "; ".join(f"``{name}``: {title[0].lower()}{title[1:]}" for name, title in SCHEDULE_TITLES.items())
    kept.append(from_rst(f"**Schedules of the learning rate.** {named}."))
    return Markup("\n").join(Markup("<p>{}</p>").format(block) for block in kept)
