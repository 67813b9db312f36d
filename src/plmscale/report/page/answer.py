"""The first screen of a report: verdict, answer, and what a reader is warned of."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ...laws.size_law import SizeLaw
from ...presentation.formats import STATUS_WORDS, is_missing
from ...presentation.page.contents import Badge
from ...presentation.page.text import mathematics, remark
from ...results.analysed import Fits
from ...results.study_results import Results
from ..study_warnings import study_warnings
from .words import caveat_of, growth_sentence, ratio_sentence, size_sentence

MOST_FAILURES = 5
"""Runs that did not finish that a reader is named; all of them are in the table of runs."""


def badge(law: SizeLaw | None) -> Badge:
    """The verdict of the best law."""
    status = "not_identified" if law is None else law.status
    return Badge(status, STATUS_WORDS[status])


def sentence(fits: Fits, law: SizeLaw | None) -> Markup:
    """The answer: what to train for the largest budget that is known, and how the optimum grows."""
    if law is None:
        return mathematics(size_sentence(fits, law))
    return mathematics(f"{ratio_sentence(law)} {growth_sentence(fits, law)}")


def remarks(results: Results, rows: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """What is said beside the answer: a weak law, runs that did not finish, warnings."""
    found: list[Markup] = []
    law = results.findings.published.law
    if law is not None and (caveat := caveat_of(law).strip()):
        found.append(remark(caveat))
    failures = [row for row in rows if row["status"] != "done"]
    if failures:
        found.append(_failed(failures, n_runs=len(rows)))
    return [*found, *(remark(warning) for warning in study_warnings(results))]


def _failed(rows: Sequence[Mapping[str, Any]], *, n_runs: int) -> Markup:
    partly = " beyond what they evaluated" if any(not is_missing(row["final_loss"]) for row in rows) else ""
    head = Markup("<p><strong>{} of {} runs did not finish.</strong> They are in no fit{}:</p>")
    item = Markup("<li><code>{}</code>: {}, {}</li>")
    items = [item.format(r["run"], r["status"], r["reason"] or "no reason recorded") for r in rows[:MOST_FAILURES]]
    if len(rows) > MOST_FAILURES:
        items.append(Markup("<li>and {} more, in the table of runs</li>").format(len(rows) - MOST_FAILURES))
    return head.format(len(rows), n_runs, partly) + Markup("<ul>{}</ul>").format(Markup("").join(items))
