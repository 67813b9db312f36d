"""A finished study in a few lines of plain text, every word of it chosen by the numbers."""

import math
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from ..files import atomic
from ..presentation.formats import number, short
from ..results.study_results import Results
from ..study.names import ENDS_WITH_BUDGET
from .forecast import forecast_lines
from .law_lines import LINE, caveats, law_lines, paragraph
from .sensitivity import choices_lines
from .study_warnings import study_warnings
from .tables.laws import fits_of


def write_summary(results: Results, path: Path, *, page: Path) -> None:
    """Write `summary_text` to `path`, and to `page` as HTML for the report, each atomically."""
    parts = summary_parts(results)
    for target, content in ((path, to_text(parts)), (page, to_page(parts))):
        with atomic(target) as partial:
            partial.write_text(content, encoding="utf-8")


Part = tuple[str, list[str]]
"""A heading, and the lines below it."""


def to_text(parts: Sequence[Part]) -> str:
    """Plain text, a blank line between parts."""
    return "\n\n".join("\n".join([title, *lines]) for title, lines in parts) + "\n"


def to_page(parts: Sequence[Part]) -> str:
    """An HTML page of its own."""
    style = "body { margin: 1.5rem; color: #222; } h2 { font: 600 16px system-ui, sans-serif; margin: 1.2rem 0 .3rem; }"
    style += " pre { font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap; margin: 0; }"
    head = f'<meta charset="utf-8"><title>The study in numbers</title><style>{style}</style>'
    page = "\n".join(f"<h2>{escape(title)}</h2>\n<pre>{escape(chr(10).join(lines))}</pre>" for title, lines in parts)
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{page}\n</body>\n</html>\n'


def summary_text(results: Results) -> str:
    """The summary as plain text, in lines of at most `plmscale.report.law_lines.LINE` characters."""
    return to_text(summary_parts(results))


def summary_parts(results: Results) -> list[Part]:
    """What was trained, what it says per schedule, the best perplexity, and the cost against the plan."""
    table, cost = results.findings.cells, results.findings.costs
    total = cost.to_dict("records")[-1]
    parts = [("What was trained", [*_trained(results, table, total), *_failures(table)])]
    for schedule in results.schedules:
        fits = fits_of(results, schedule)
        title, *lines = _heading(f"{schedule}{_loss_of(results, schedule)}", caveats(fits))
        lines += [*law_lines(fits), *_paragraphs(choices_lines(results, schedule))]
        parts.append((title, lines))
    if forecast := forecast_lines(results):
        parts.append(("Forecast", _paragraphs(forecast)))
    parts += [("Holdout", _holdout(results, table)), ("Cost", paragraph(cost_sentence(results)))]
    return [*parts, *(("Warning", paragraph(warning)) for warning in study_warnings(results))]


def _paragraphs(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in paragraph(text)]


def _loss_of(results: Results, schedule: str) -> str:
    """Which loss the laws of a schedule are of, where it is not the training loss."""
    by_holdout = results.study.config.analysis.final_loss == "holdout" and schedule in ENDS_WITH_BUDGET
    return ", by the holdout loss at the end of each run" if by_holdout else ""


def _heading(schedule: str, caveat: str) -> list[str]:
    """Heading of a schedule, with what is said beside the numbers of its laws."""
    whole = f"Learning rate: {schedule}{caveat and '. '}{caveat}"
    return [whole] if len(whole) <= LINE else [f"Learning rate: {schedule}", *paragraph(caveat)]


def _trained(results: Results, table: pd.DataFrame, total: dict[str, Any]) -> list[str]:
    rows = table.to_dict("records")
    sizes, done = sorted({row["n_params"] for row in rows}), sum(row["status"] == "done" for row in rows)
    tokens, flops = results.findings.trained
    hours = total["actual_device_hours"]
    spent = "" if _absent(hours) else f", {number(float(hours))} device-hours"
    span = f"{len(sizes)} sizes, {short(sizes[0])} to {short(sizes[-1])} parameters" if len(sizes) > 1 else "one size"
    sets = [s.name for s in results.study.subsets if s.train]
    return [
        *paragraph(f"{done} of {len(table)} runs finished: {span}, on {', '.join(sets)}."),
        *paragraph(
            f"{short(tokens)} tokens trained, {number(flops)} training FLOPs "
            f"(convention {results.study.config.analysis.flops}){spent}."
        ),
    ]


def _failures(table: pd.DataFrame) -> list[str]:
    failed = table.loc[table["status"] != "done"]
    lines = [line for row in failed.head(3).to_dict("records") for line in paragraph(_failure(row))]
    more = Counter(failed["status"].tolist()[3:])
    return lines + [f"  and {n} more {status}" for status, n in more.items()]


def _failure(row: dict[str, Any]) -> str:
    return f"{row['run']} {row['status']}: {row['reason'] or 'no reason recorded'}."


def _holdout(results: Results, table: pd.DataFrame) -> list[str]:
    unigram = math.exp(results.stats["unigram_entropy"])
    known = table.loc[table["holdout_perplexity"].notna()]
    if known.empty:
        return paragraph(f"No run was evaluated. Guessing by frequency alone gives a perplexity of {unigram:.2f}.")
    best = min(known.to_dict("records"), key=lambda row: row["holdout_perplexity"])
    perplexity = float(best["holdout_perplexity"])
    better = "below" if perplexity < unigram else "not below"
    return paragraph(
        f"Lowest perplexity {perplexity:.2f}, {best['run']}; {better} the {unigram:.2f} of guessing by frequency alone."
    )


def cost_sentence(results: Results) -> str:
    """Planned and actual device-hours in one sentence."""
    cost = results.findings.costs
    total, hardware = cost.to_dict("records")[-1], results.study.config.hardware
    planned = f"Planned {number(float(total['planned_device_hours']))} device-hours on {hardware.name}"
    if _absent(total["actual_device_hours"]):
        return f"{planned}; no run has recorded its time."
    ratios = [
        float(row["ratio"]) for row in cost.to_dict("records") if row["model"] != "all" and not _absent(row["ratio"])
    ]
    return (
        f"{planned}, took {number(float(total['actual_device_hours']))}: "
        f"{number(float(total['ratio']))} times the plan ({number(min(ratios))} to {number(max(ratios))} by run)."
    )


def _absent(value: Any) -> bool:
    return value is None or pd.isna(value)
