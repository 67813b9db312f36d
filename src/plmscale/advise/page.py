"""The report of advice: the page of `plmscale advise --out`."""

from collections.abc import Mapping
from pathlib import Path

from ..presentation.formats import number
from ..presentation.page import render
from ..presentation.page.contents import Badge, Block, Page, Section, table_block
from ..presentation.page.text import mathematics, paragraphs
from ..presentation.schedule_words import schedule_title
from ..provenance import versions
from .advice import Advice
from .report import SHOWN, asked, candidate_table, plan_table, planned


def write_page(found: Mapping[str, Advice], path: Path) -> None:
    """Write the advice of every schedule as a page.

    Parameters
    ----------
    found : mapping of str to Advice
        By schedule.
    path : Path
    """
    plan = plan_table(found)
    headline: list[Block] = []
    if plan.cells:
        headline.append(table_block(plan, name="plan", title="What to train next, in this order"))
    candidates = table_block(candidate_table(found), name="candidates", title=f"The best {SHOWN} of each schedule")
    told = {schedule: one for schedule, one in found.items() if one.warnings}
    sections = [_section(i, schedule, one) for i, (schedule, one) in enumerate(told.items())]
    sections.append(Section("candidates", "Candidates", "Cells that could be trained, each by itself", [candidates]))
    page = Page(
        "Which cells should be trained next?",
        Badge("plain", "advice"),
        mathematics(" ".join(_sentence(schedule, one, several=len(found) > 1) for schedule, one in found.items())),
        render.written(versions()),
        headline,
        [],
        sections,
    )
    render.write_page(page, path)


def _section(place: int, schedule: str, advice: Advice) -> Section:
    """What a reader of the advice for a schedule is warned of."""
    title = schedule_title(schedule)
    return Section(f"advice-{place}", title, f"Warnings: {title}", [paragraphs(*advice.warnings)])


def _sentence(schedule: str, advice: Advice, *, several: bool) -> str:
    """The answer for one schedule."""
    whose = f"{schedule_title(schedule)}: " if several else ""
    if advice.reason:
        return f"{whose}No advice: {advice.reason}"
    if advice.spread:
        hours = sum(float(one) for one in advice.plan["device_hours"])
        return (
            f"{whose}The law is not identified: {advice.spread} Train a spread of sizes and lengths, "
            f"{number(hours)} device-hours, then ask again."
        )
    return f"{whose}{asked(advice)} {planned(advice)}"
