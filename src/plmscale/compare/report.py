"""Tables, figures and text of comparisons, every word of the text chosen by the numbers."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ..estimates import Estimate
from ..files import atomic, write_json
from ..presentation.figure_style import write_on_pages
from ..presentation.formats import FIT_TITLES, counted, is_missing, number, short, with_interval
from ..presentation.schedule_words import SCHEDULE_TITLES, schedule_short, schedule_words
from ..presentation.tables import write_table
from ..provenance import versions
from ..report.law_lines import LINE
from ..report.tables.laws import symbol
from .arms import Comparison, caveats, convention_words
from .contrasts import (
    DIFFER,
    NOT_TOLD_APART,
    costs,
    differences,
    exponents,
    pair_name,
    sizes,
)
from .figures import envelopes_figure, exponents_figure, matched_figure
from .matched import matched, paired
from .page import write_page
from .studies import ComparedStudy
from .tables import TABLES

MOST = 12
"""Differences of laws that the text names, by verdict; all of them are in the table."""

TITLES = {"study": "Between studies", "schedule": "Between schedules", "set": "Between training sets"}


@dataclass(frozen=True)
class ComparisonResults:
    """A comparison with all its numbers: tables of `plmscale.compare.contrasts` and `plmscale.compare.matched`."""

    comparison: Comparison
    tables: Mapping[str, pd.DataFrame]


def find(comparison: Comparison) -> ComparisonResults:
    """All numbers of a comparison."""
    runs = matched(comparison)
    tables = {
        "exponents": exponents(comparison),
        "differences": differences(comparison),
        "optimal_sizes": sizes(comparison),
        "matched_losses": paired(comparison, runs),
        "matched_runs": runs,
        "costs": costs(comparison),
    }
    return ComparisonResults(comparison, tables)


def write(members: Sequence[ComparedStudy], found: Sequence[ComparisonResults], folder: Path) -> None:
    """Write tables, figures and record into `folder`, and `summary.txt` last: where it is, all is.

    Parameters
    ----------
    members : sequence of ComparedStudy
    found : sequence of ComparisonResults
    folder : Path
        Made if absent. `tables/{table}.{tsv,md,tex}`, `figures/{figure}_by_{study,schedule,set}.{svg,pdf,png}`,
        `report.html`, `comparison.json`, `summary.txt`.
    """
    summary = folder / "summary.txt"
    summary.unlink(missing_ok=True)
    for left in (folder / "figures").rglob("*_by_*.*"):  # of an earlier comparison by something else
        left.unlink()
    tables = {}
    for name, (title, render) in TABLES.items():
        data = pd.concat([one.tables[name].astype(object) for one in found], ignore_index=True)
        tables[name] = (title, render(data))
        write_table(tables[name][1], folder / "tables", name=name, title=title)
    for one in found:
        for name, draw in _figures(one).items():
            write_on_pages(draw, folder / "figures", name=f"{name}_by_{one.comparison.by}", empty=False)
    studies = [{"name": member.name, "runs": len(member.runs)} | vars(member.setup) for member in members]
    said = {one.comparison.by: sentences(one) for one in found}
    write_page([_extent(member) for member in members], caveats(members), said, tables, folder)
    write_json(folder / "comparison.json", {"studies": studies, "caveats": caveats(members), "versions": versions()})
    with atomic(summary) as partial:
        partial.write_text(summary_text(members, found), encoding="utf-8")


def _figures(found: ComparisonResults) -> dict[str, Callable[[], Figure]]:
    one, tables = found.comparison, found.tables
    return {
        "exponents": lambda: exponents_figure(one, tables["exponents"], tables["differences"]),
        "envelopes": lambda: envelopes_figure(one),
        "matched": lambda: matched_figure(one, tables["matched_runs"]),
    }


def summary_text(members: Sequence[ComparedStudy], found: Sequence[ComparisonResults]) -> str:
    """What is compared, what cannot be, and what differs.

    Returns
    -------
    str
        Lines of at most `plmscale.report.summary.LINE` characters.
    """
    lines = ["What is compared"]
    for member in members:
        lines += _paragraph(_extent(member))
    for sentence in caveats(members):
        lines += _paragraph(sentence)
    for one in found:
        lines += ["", TITLES[one.comparison.by]]
        for sentence in sentences(one):
            lines += _paragraph(sentence)
    return "\n".join(lines) + "\n"


def sentences(one: ComparisonResults) -> list[str]:
    """What differs, what is not told apart, and what it cost."""
    return [*_laws(one), *_losses(one), *_costs(one)]


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, LINE, initial_indent="  ", subsequent_indent="    ")


def _extent(member: ComparedStudy) -> str:
    runs, sizes_ = member.runs, sorted(set(member.runs["n_params"]))
    done = runs["status"].tolist().count("done")
    ends = f", {short(sizes_[0])} to {short(sizes_[-1])} parameters" if sizes_ else ""
    span = f"{counted(len(sizes_), 'size')}{ends}"
    convention = f", FLOPs by {convention_words(member.setup.convention)}" if member.setup.convention else ""
    return f"{member.name}: {done} of {len(runs)} runs finished, {span}, on {', '.join(member.sets)}{convention}."


def _laws(found: ComparisonResults) -> list[str]:
    rows = found.tables["differences"].to_dict("records")
    known = [row for row in rows if row["verdict"] in (DIFFER, NOT_TOLD_APART)]
    differ, same = ([row for row in known if row["verdict"] == word] for word in (DIFFER, NOT_TOLD_APART))
    said = [_differ(row, found) for row in differ[:MOST]]
    if len(differ) > MOST:
        said.append(f"and {len(differ) - MOST} more that differ, in differences.tsv.")
    if same:
        more = f"; and {len(same) - MOST} more" if len(same) > MOST else ""
        named = "; ".join(map(_named, same[:MOST]))
        said.append(f"Not told apart, the interval of the difference contains 0: {named}{more}.")
    lacking = len(rows) - len(known)
    if lacking:
        said.append(f"{lacking} of {len(rows)} differences of laws have no number; differences.tsv says why of each.")
    if known:
        said.append(f"Differences tested: {len(known)}, each at 95 %; of equals {len(known) / 20:.1f} would exclude 0.")
    return said


def _named(row: Mapping[object, object]) -> str:
    names = pair_name(str(row["first"]), str(row["second"]))
    law = f"{FIT_TITLES[str(row['fit'])]} {symbol(str(row['parameter']))}"
    return f"{law}, {names} {with_interval(_estimate(row))}"


def _differ(row: Mapping[object, object], found: ComparisonResults) -> str:
    values = found.tables["exponents"]
    own = values.loc[(values["fit"] == row["fit"]) & (values["parameter"] == row["parameter"])].set_index("arm")
    one, other = (_estimate(own.loc[[row[side]]].to_dict("records")[0]) for side in ("first", "second"))
    larger = "larger" if float(str(row["value"])) > 0 else "smaller"
    return (
        f"{FIT_TITLES[str(row['fit'])]}: {symbol(str(row['parameter']))} is {larger} in {_arm(row['first'])}, "
        f"{with_interval(one)}, than in {_arm(row['second'])}, {with_interval(other)}: they differ by "
        f"{with_interval(_estimate(row))}."
    )


def _losses(found: ComparisonResults) -> list[str]:
    said, without = [], {}
    for row in found.tables["matched_losses"].to_dict("records"):
        names = pair_name(row["first"], row["second"])
        if is_missing(row["value"]):
            without.setdefault((str(row["kind"]).capitalize(), row["reason"]), []).append(names)
            continue
        over = f"over {counted(row['n_pairs'], 'matched run')} of {counted(row['n_models'], 'size')}"
        verdict = row["verdict"] if not row["reason"] else row["reason"]
        if row["verdict"] == DIFFER:
            verdict = f"{_arm(row['first'] if row['value'] < 0 else row['second'])} is lower"
        said.append(
            f"{str(row['kind']).capitalize()} loss, {names}: {with_interval(_estimate(row))} nats {over}; {verdict}."
        )
    said += [f"{kind} loss, {reason}: {'; '.join(names)}." for (kind, reason), names in without.items()]
    if found.comparison.by != "schedule":
        said.append("Training losses are of each set's own proteins; the holdout asks all models the same.")
    return said


def _costs(found: ComparisonResults) -> list[str]:
    said = []
    for row in found.tables["costs"].to_dict("records"):
        hours = row["device_hours"]
        spent = (
            "" if is_missing(hours) else f", {number(float(hours))} device-hours ({counted(row['timed'], 'job')} timed)"
        )
        trunks = f" and {counted(row['trunks'], 'trunk')}" if row["trunks"] else ""
        said.append(
            f"Cost of {_arm(row['arm'])}: {row['finished']} of {row['runs']} runs finished{trunks}, "
            f"{short(row['n_tokens'])} tokens, {number(row['flops'])} FLOPs{spent}."
        )
    return said


def _arm(label: object) -> str:
    """An arm in a sentence: a schedule in words, else its label."""
    return schedule_words(str(label)) if label in SCHEDULE_TITLES else schedule_short(str(label))


def _estimate(row: Mapping[object, object]) -> Estimate:
    return Estimate(*(None if is_missing(row[key]) else float(str(row[key])) for key in ("value", "low", "high")))
