"""The report of advice: the page of `plmscale advise --out`."""

from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from ..presentation.formats import number
from ..presentation.page import render
from ..presentation.page.contents import Badge, Page, Prose, Section, table_block
from ..presentation.page.text import mathematics
from ..provenance import versions
from .advice import Advice
from .report import advice_text, candidate_table


def write_page(found: Mapping[str, Advice], path: Path) -> None:
    """Write the advice of every schedule as a page.

    Parameters
    ----------
    found : mapping of str to Advice
        By schedule.
    path : Path
    """
    table = table_block(candidate_table(found), name="candidates", title="Cells that could be trained next")
    sections = [
        Section(
            f"advice-{i}",
            schedule,
            f"What to train next: {schedule}",
            [Prose(Markup("<pre>{}</pre>").format(advice_text(one, title=schedule)))],
        )
        for i, (schedule, one) in enumerate(found.items())
    ]
    answer = " ".join(_sentence(schedule, one) for schedule, one in found.items())
    page = Page(
        "Which cells should be trained next?",
        Badge("plain", "advice"),
        mathematics(answer),
        render.written(versions()),
        [table],
        [],
        sections,
    )
    render.write_page(page, path)


def _sentence(schedule: str, advice: Advice) -> str:
    if advice.reason:
        return f"{schedule}: no advice, {advice.reason}"
    n = len(advice.plan)
    if not n:
        return f"{schedule}: no cell within the budget would narrow the answer."
    hours = sum(float(one) for one in advice.plan["device_hours"])
    first = advice.plan.to_dict("records")[0]
    cells = "1 cell" if n == 1 else f"{n} cells"
    return f"{schedule}: {cells} for {number(hours)} device-hours, the first of size {first['model']}."
