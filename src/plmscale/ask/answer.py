"""An answer: one sentence, a table with intervals and distances beyond the runs, and what it rests on."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ..estimates import Estimate
from ..presentation.formats import MISSING, compact, number, short, to_width
from ..runs.extent import INSIDE

LINE = 115
"""Longest line in characters."""


@dataclass(frozen=True)
class Row:
    """One quantity of an answer.

    Attributes
    ----------
    key, title : str
        For programs, and for people.
    estimate : Estimate
        Without an interval where it was given.
    beyond : float or None
        Decades beyond the runs, above them positive; None where runs have no such quantity.
    shape : str
        "short" (5M), "number" (1.2×10²¹) or "loss".
    """

    key: str
    title: str
    estimate: Estimate
    beyond: float | None = None
    shape: str = "number"

    @property
    def words(self) -> tuple[str, str, str, str]:
        """Title, value, interval and distance, as people read them."""
        one = self.estimate
        value, ends = self.say(one.value), MISSING
        if one.low is not None and one.high is not None:
            low, high = self.say(one.low), self.say(one.high)
            if self.shape == "loss" and one.value is not None:
                value, low, high = to_width(one.value, one.low, one.high)
            ends = f"{low} to {high}"
        elif self.shape == "number":  # given
            value = compact(one.value)
        far = "" if self.beyond is None else "inside" if self.beyond == 0 else _decades(self.beyond)
        return self.title, value, ends, far

    def say(self, value: float | None) -> str:
        """A value in words."""
        if value is None:
            return MISSING
        return short(value) if self.shape == "short" else number(value, digits=4 if self.shape == "loss" else 3)


@dataclass(frozen=True, repr=False)
class Answer:
    """What a law answers.

    `answer["n_params"]` is the `Estimate` of a quantity: n_params, n_tokens, flops, loss, tokens_per_param, and where
    they were asked for device_hours, days, money, passes, served_flops, total_flops.

    Attributes
    ----------
    sentence : str
    rows : sequence of Row
    law : mapping
        name, title, fit, status, reason, interval and convention of the law.
    position : str
        "inside the data": inside in size, tokens and FLOPs; or "extrapolated".
    notes : sequence of str
        What was assumed, and what a reader must know.
    asked : mapping
        The quantities that were given.
    """

    sentence: str
    rows: Sequence[Row]
    law: Mapping[str, str]
    position: str
    notes: Sequence[str]
    asked: Mapping[str, Any]

    def __getitem__(self, key: str) -> Estimate:
        for row in self.rows:
            if row.key == key:
                return row.estimate
        raise KeyError(f"{key!r}; this answer has {', '.join(row.key for row in self.rows)}")

    def __contains__(self, key: object) -> bool:
        return any(row.key == key for row in self.rows)

    @property
    def beyond(self) -> dict[str, float]:
        """Decades beyond the runs in n_params, n_tokens and flops; 0 inside, negative below them."""
        return {row.key: row.beyond for row in self.rows if row.beyond is not None}

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        quantities = {
            row.key: {"value": row.estimate.value, "low": row.estimate.low, "high": row.estimate.high}
            | ({} if row.beyond is None else {"decades_beyond": row.beyond})
            for row in self.rows
        }
        said = {"sentence": self.sentence, "quantities": quantities, "position": self.position}
        return {"asked": dict(self.asked), **said, "law": dict(self.law), "notes": list(self.notes)}

    def __str__(self) -> str:
        verdict = f"Verdict: {self.law['status']}; {self._far}. {self.law['reason']}"
        source = f"Law: {self.law['title']}. {self.law['convention']}. {self.law['interval']}"
        paragraphs = [verdict, source, *self.notes]
        text = [line for one in paragraphs for line in textwrap.wrap(one, LINE, subsequent_indent="  ")]
        return "\n".join([*textwrap.wrap(self.sentence, LINE), "", *self._table, "", *text])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self._cells
        cells = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
        titles = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
        notes = "".join(f"<li>{escape(note)}</li>" for note in (self.law["title"], self.law["reason"], *self.notes))
        table = f"<table><thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table>"
        return f"<p><b>{escape(self.sentence)}</b></p>{table}<ul>{notes}</ul>"

    @property
    def _far(self) -> str:
        if self.position == INSIDE:
            return INSIDE
        far = [f"{_decades(v)} in {name}" for name, v in zip("NDC", self.beyond.values(), strict=True) if v]
        return f"{self.position}, {', '.join(far)}"

    @property
    def _cells(self) -> list[tuple[str, str, str, str]]:
        return [("", "value", "95 % interval", "beyond the data (decades)"), *(row.words for row in self.rows)]

    @property
    def _table(self) -> list[str]:
        rows = self._cells
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _decades(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
