"""A table as data (tsv), and rendered from the same data for reading (Markdown) and for print (LaTeX, booktabs)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ..estimates import Estimate
from ..files import atomic
from .formats import (
    MISSING,
    compact,
    count,
    given,
    is_missing,
    number,
    short,
    sized,
    with_interval,
)
from .schedule_words import schedule_short

NUMBERS: dict[str, Callable[[float], str]] = {
    "count": count,
    "number": number,
    "loss": lambda value: number(value, digits=4),
    "given": given,
    "compact": compact,
    "short": short,
}
"""How numbers are written, by kind of column."""


MARK = "†"
"""Stands behind a number that a table's notes say something about."""


@dataclass(frozen=True)
class Column:
    """A column for reading.

    Attributes
    ----------
    label : str
        Heading with the unit.
    key : str
        Column of the data.
    kind : {"text", "count", "number", "loss", "given", "compact", "short", "hash", "schedule"}
        How values are written: as they are; whole; to three digits; to four; as chosen or printed by somebody; to three
        digits without zeros behind them, as budgets are; with k, M or B; the first twelve characters; a schedule of the
        learning rate in words.
    interval : pair of str, optional
        Columns of the data with the ends of the 95 % interval, shown behind the value.
    width : float, optional
        Width in centimetres of long text in print.
    mark : str, optional
        Column of the data that says whether `MARK` stands behind the value.
    """

    label: str
    key: str
    kind: str = "text"
    interval: tuple[str, str] | None = None
    width: float | None = None
    mark: str | None = None

    def cell(self, row: Mapping[str, Any]) -> str:
        """The text of one cell; `MISSING` where there is no value."""
        value = row[self.key]
        if is_missing(value):
            return MISSING
        return self._text(row, value) + (MARK if self.mark and row[self.mark] else "")

    def _text(self, row: Mapping[str, Any], value: Any) -> str:
        if self.interval:
            low, high = (None if is_missing(row[key]) else float(row[key]) for key in self.interval)
            return (sized if self.kind == "short" else with_interval)(Estimate(float(value), low, high))
        if self.kind == "text":
            return ("yes" if value else "no") if isinstance(value, bool) else str(value)
        if self.kind == "schedule":
            return schedule_short(str(value))
        if self.kind == "hash":
            return str(value)[:12]
        return NUMBERS[self.kind](float(value))

    @property
    def is_number(self) -> bool:
        """Whether the column is set to the right."""
        return self.kind in NUMBERS


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    data : DataFrame
        All columns at full precision: what the tsv holds.
    columns : sequence of Column
        What is shown to a reader.
    shown : DataFrame, optional
        The data in another shape, for reading; by default `data`.
    notes : sequence of str
        Sentences below the table.
    number : str, optional
        Column of the data that a row is there for: a page folds rows that have nothing in it.
    """

    data: pd.DataFrame
    columns: Sequence[Column]
    shown: pd.DataFrame | None = None
    notes: Sequence[str] = ()
    number: str | None = None

    @property
    def without_number(self) -> list[bool]:
        """Whether each row lacks what it is there for."""
        frame = self.data if self.shown is None else self.shown
        if self.number is None or self.number not in frame:
            return [False] * len(frame)
        return [is_missing(value) for value in frame[self.number].astype(object)]

    @cached_property
    def cells(self) -> list[list[str]]:
        """Text of the body, row by row."""
        frame = self.data if self.shown is None else self.shown
        return [[column.cell(row) for column in self.columns] for row in frame.astype(object).to_dict("records")]


IDENTITY = (
    Column("Model", "model"),
    Column("Set", "subset"),
    Column("Schedule", "schedule", "schedule"),
    Column("Seed", "seed"),
)
"""Columns that name a cell."""


def write_table(table: Table, folder: Path, *, name: str, title: str) -> None:
    """Write {name}.tsv, .md and .tex, each atomically.

    The tsv has full precision (`repr` of a float reads back as the same float) and empty cells where there is no value.
    """
    texts = {
        "tsv": to_tsv(table),
        "md": to_markdown(table, title=title),
        "tex": to_latex(table, name=name, title=title),
    }
    for suffix, text in texts.items():
        with atomic(folder / f"{name}.{suffix}") as partial:
            partial.write_text(text, encoding="utf-8")


def to_tsv(table: Table) -> str:
    """Tab-separated data; tabs and line ends inside texts become blanks."""
    lines = [[str(name) for name in table.data.columns]]
    for row in table.data.astype(object).itertuples(index=False):
        lines.append([_plain(value) for value in row])
    return "".join("\t".join(line) + "\n" for line in lines)


def frame_to_tsv(frame: pd.DataFrame) -> str:
    """Tab-separated data of a frame, numbers as pandas writes them; no text of it is computed by a spreadsheet."""
    texts = frame.select_dtypes(exclude=["number", "bool"]).columns
    harmless = frame.assign(**{name: frame[name].map(_harmless) for name in texts})
    return harmless.to_csv(sep="\t", index=False)


def _plain(value: Any) -> str:
    if is_missing(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        # Whole numbers become floats in a column with gaps; as such they would gain a ".0".
        return repr(float(value))
    text = re.sub(r"\s+", " ", str(value))
    return _harmless(text) if isinstance(value, str) else text


def _harmless(value: Any) -> Any:
    formula = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if formula else value


_FORMULA = re.compile(r"\s*[=+\-@]")
"""Begins what a spreadsheet takes for a formula and computes; an apostrophe before it makes it a text again (OWASP)."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf|-")
"""Texts that begin with a sign and are none, a lone dash for nothing among them."""


def to_markdown(table: Table, *, title: str) -> str:
    """A GitHub-flavoured table under its title."""
    head = "| " + " | ".join(_md(column.label) for column in table.columns) + " |"
    rule = "| " + " | ".join("---:" if column.is_number else "---" for column in table.columns) + " |"
    body = ["| " + " | ".join(_md(cell) for cell in row) + " |" for row in table.cells]
    notes = [f"- {_md(note)}" for note in table.notes]
    return "\n".join([f"**{title}**", "", head, rule, *body, *([""] if notes else []), *notes, ""])


def _md(text: str) -> str:
    escaped = _MD_SPECIAL.sub(r"\\\g<0>", re.sub(r"\s+", " ", text))
    return _MD_ENTITY.sub("&amp;", escaped).replace("<", "&lt;")


_MD_SPECIAL = re.compile(r"[\\|*`\[\]]|(?<!\w)_|_(?!\w)|~(?=~)|://|^#+ ")
"""What begins markup in GitHub's Markdown, within a cell: an underscore within a word does not."""

_MD_ENTITY = re.compile(r"&(?=#|[A-Za-z][A-Za-z0-9]*;)")


def to_latex(table: Table, *, name: str, title: str) -> str:
    """A longtable with booktabs rules: \\usepackage{booktabs,longtable}, and \\input the file."""
    spec = "".join(f"p{{{c.width:g}cm}}" if c.width else "r" if c.is_number else "l" for c in table.columns)
    head = " & ".join(_tex(column.label) for column in table.columns) + r" \\"
    body = [" & ".join(_tex(cell) for cell in row) + r" \\" for row in table.cells]
    notes = [rf"\par\noindent {{\footnotesize {_tex(note)}\par}}" for note in table.notes]
    lines = [
        "% Needs \\usepackage{booktabs,longtable}.",
        r"\begingroup\small",
        rf"\begin{{longtable}}{{{spec}}}",
        rf"\caption{{{_tex(re.sub(r'^Table [0-9]+[.] ', '', title))}}}\label{{tab:{name.replace('_', '-')}}} \\",
        *(r"\toprule", head, r"\midrule", r"\endfirsthead"),
        *(r"\toprule", head, r"\midrule", r"\endhead"),
        *(r"\bottomrule", r"\endlastfoot"),
        *body,
        r"\end{longtable}",
        *notes,
        r"\endgroup",
    ]
    return "\n".join([*lines, ""])


_TEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "–": "--",
    "−": r"$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "÷": r"$\div$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "∞": r"$\infty$",
    "²": r"$^2$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "ᵀ": r"$^\top$",
    "†": r"$^\dagger$",
}
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWER = re.compile(r"(×?)10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)")
_SYMBOL = re.compile(r"\b([αNDCR])([_^])(opt|[NDcabp])\b")
_MATHEMATICS = re.compile(r"(×?10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+|\b[αNDCR][_^](?:opt|[NDcabp])\b)")


def _tex(text: str) -> str:
    """Text escaped for LaTeX; powers of ten and symbols like N_opt become mathematics."""
    found = "".join(_tex_part(part) for part in _MATHEMATICS.split(re.sub(r"\s+", " ", text)))
    # Behind a line end `[` and `*` are read as options of it.
    return f"{{}}{found}" if found.startswith(("[", "*")) else found


def _tex_part(part: str) -> str:
    if power := _POWER.fullmatch(part):
        times = r"\times " if power[1] else ""
        return rf"${times}10^{{{power[2].translate(_DIGITS)}}}$"
    if symbol := _SYMBOL.fullmatch(part):
        base, sign, script = symbol[1].replace("α", r"\alpha"), symbol[2], symbol[3]
        return rf"${base}{sign}{{\mathrm{{{script}}}}}$" if len(script) > 1 else rf"${base}{sign}{{{script}}}$"
    return "".join(_TEX_SPECIAL.get(letter, letter) for letter in part)
