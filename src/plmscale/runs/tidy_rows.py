"""Rows of a tidy table: filled up where N, D and C follow from each other, checked, and named after their runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..presentation.formats import count, short
from .cells import NumberColumn, lines_in_words, numbers, texts
from .ranges import FLOPS_PER_PARAM_TOKEN, check_range

Array = NDArray[np.float64]
FlopsRule = Literal["given", "6nd"]

# Sizes of one run that differ by more than rounding.
SAME_SIZE = 1e-6

ONE_GROUP = "all runs"
"""Name of the fit where a table names neither group nor schedule."""

THREE = ("n_params", "n_tokens", "flops")
NUMBERS = (*THREE, "loss", "seed", "unique_tokens", "batch_tokens", "lr_fraction", "learning_rate", "step")
TEXTS = ("run", "model", "group", "schedule", "subset", "status", "trunk")
COUNTS = (*THREE, "unique_tokens", "batch_tokens", "step")
"""Columns of large counts, in which 5M and 5,000,000 are numbers."""


@dataclass(frozen=True)
class TableRows:
    """Rows as arrays of shape (n,): the columns that the table has, and its lines."""

    source: str
    lines: list[Any]
    numbers: dict[str, Array]
    texts: dict[str, list[str]]

    @classmethod
    def of(cls, table: pd.DataFrame, found: dict[str, str], *, source: str) -> "TableRows":
        """From a table and the column of every field.

        Raises
        ------
        InputError
            For a cell that is no number, or one outside its range.
        """
        lines = table.index.tolist()
        values: dict[str, Array] = {}
        for name in (name for name in NUMBERS if name in found):
            where = NumberColumn(source, name, counts=name in COUNTS, may_diverge=name == "loss")
            values[name] = numbers(table, found[name], where)
            check_range(name, values[name], lines=lines, source=source)
        return cls(source, lines, values, {name: texts(table, found[name]) for name in TEXTS if name in found})

    def number(self, name: str) -> Array:
        """A column, NaN where the table has none."""
        return self.numbers.get(name, np.full(len(self.lines), np.nan))

    def text(self, name: str, default: Sequence[str]) -> list[str]:
        """A column, `default` in its empty cells."""
        return [own or other for own, other in zip(self.texts.get(name, default), default, strict=True)]

    def keep(self, kept: NDArray[Any]) -> "TableRows":
        """Some of the rows: a mask, or indices in order."""
        where = np.flatnonzero(kept) if kept.dtype == bool else kept
        values = {name: column[where] for name, column in self.numbers.items()}
        words = {name: [column[i] for i in where] for name, column in self.texts.items()}
        return replace(self, lines=[self.lines[i] for i in where], numbers=values, texts=words)

    def named(self) -> "TableRows":
        """With names in `run` that tell runs apart."""
        groups = self.groups
        return replace(self, texts=self.texts | {"run": _run_names(self, groups, self.seeds)})

    @property
    def seeds(self) -> NDArray[np.int64]:
        """Seeds, 0 where there is none."""
        return np.nan_to_num(self.number("seed")).astype(np.int64)

    @property
    def groups(self) -> list[str]:
        """Group and schedule of each row; one of them where they say the same."""
        n = len(self.lines)
        pairs = zip(self.text("group", [""] * n), self.text("schedule", [""] * n), strict=True)
        return [", ".join(dict.fromkeys(part for part in pair if part)) or ONE_GROUP for pair in pairs]

    def frame(self) -> pd.DataFrame:
        """The columns that `plmscale.runs.curves.smooth` takes; rows are `named`."""
        n = len(self.lines)
        runs = self.texts["run"]
        first = _first(np.unique(np.array(runs), return_inverse=True)[1])
        sizes = self.numbers["n_params"][first].round().astype(int)
        step = np.where(np.isnan(self.number("step")), self.numbers["n_tokens"], self.number("step"))
        called = {size: short(size) for size in np.unique(sizes)}
        columns: dict[str, Any] = {"run": runs, "model": self.text("model", [called[size] for size in sizes])}
        columns |= {"subset": self.text("subset", ["-"] * n), "schedule": self.groups, "seed": self.seeds}
        columns |= {"status": self.text("status", ["done"] * n), "n_params": sizes}
        for name in ("unique_tokens", "batch_tokens"):
            columns[name] = np.nan_to_num(self.number(name)[first]).astype(np.int64)
        if "trunk" in self.texts:
            columns["trunk"] = self.texts["trunk"]
        series = {name: self.numbers[name] for name in ("n_tokens", "flops", "loss")}
        return pd.DataFrame(
            columns | {"step": step} | series | {name: self.number(name) for name in ("lr_fraction", "learning_rate")}
        )


def without_gaps(rows: TableRows) -> tuple[TableRows, list[str]]:
    """Without rows that have no loss (tables of trackers hold a row per event), or that lack two of N, D and C."""
    notes = []
    known = np.sum([np.isfinite(rows.number(name)) for name in THREE], axis=0)
    for what, gaps in (("loss", np.isnan(rows.number("loss"))), ("two of N, D and C", known < 2)):
        if gaps.any():
            at = [rows.lines[i] for i in np.flatnonzero(gaps)]
            notes.append(f"{count(len(at))} rows without {what} were left out ({lines_in_words(at)}).")
    complete = np.isfinite(rows.number("loss")) & (known >= 2)
    if not complete.any():
        raise InputError(f"{rows.source}: no row has a loss and two of n_params, n_tokens and flops.")
    return rows.keep(complete), notes


def with_all_three(rows: TableRows, *, rule: FlopsRule) -> tuple[TableRows, list[str]]:
    """With N, D and C in every row, the missing one from C = 6ND; with rule "6nd" C always."""
    k, notes = FLOPS_PER_PARAM_TOKEN, []
    n, d, c = (rows.number(name) for name in THREE)
    if rule == "6nd" and np.isfinite(c).any():
        given = np.isfinite(n) & np.isfinite(d)
        if given.any():
            notes.append("FLOPs are 6ND, as asked; those of the file were not used.")
        c = np.where(given, np.nan, c)
    full = {}
    parts = (("n_params", n, _ratio(c, k * d)), ("n_tokens", d, _ratio(c, k * n)), ("flops", c, k * n * d))
    for name, own, value in parts:
        gaps = np.isnan(own)
        full[name] = np.where(gaps, value, own)
        check_range(name, full[name], lines=rows.lines, source=rows.source, origin=_origin(name) if gaps.any() else "")
        if gaps.any() and not (name == "flops" and notes):
            notes.append(f"{name} of {'all' if gaps.all() else count(int(gaps.sum()))} rows is from C = 6ND.")
    return _with_steps_taken(replace(rows, numbers=rows.numbers | full), notes)


def _with_steps_taken(rows: TableRows, notes: list[str]) -> tuple[TableRows, list[str]]:
    """Without rows before the first step that say no size."""
    n, d, c = (rows.numbers[name] for name in THREE)
    mixed = (d == 0) != (c == 0)
    if mixed.any():
        i = int(np.argmax(mixed))
        raise InputError(
            f"{rows.source}, line {rows.lines[i]}: n_tokens is {d[i]:g} where flops is {c[i]:g}; it must be 0 for both "
            "(an evaluation before the first step) or for none."
        )
    sizeless = np.isnan(n)
    if sizeless.all():
        raise InputError(f"{rows.source}: n_tokens is 0 in every row; it must be positive.")
    if sizeless.any():
        at = [rows.lines[i] for i in np.flatnonzero(sizeless)]
        notes.append(f"{count(len(at))} rows before the first step, at 0 tokens, were left out ({lines_in_words(at)}).")
    return rows.keep(~sizeless), notes


def _ratio(above: Array, below: Array) -> Array:
    """A quotient, NaN where it has none."""
    known = np.isfinite(above) & (below > 0)
    return np.divide(above, below, out=np.full_like(above, np.nan), where=known)


def _origin(name: str) -> str:
    made = {"n_params": "C / (6 D)", "n_tokens": "C / (6 N)", "flops": "6 N D"}[name]
    return f" (from {made}: are the units parameters, tokens and FLOPs?)"


def _run_names(rows: TableRows, groups: Sequence[str], seed: NDArray[Any]) -> list[str]:
    """Names that tell runs apart: with group and seed where one name stands for several.

    Raises
    ------
    InputError
        If rows of one run differ in size.
    """
    if "run" not in rows.texts:
        return [f"line {line}" for line in rows.lines]
    names = rows.texts["run"]
    if "" in names:
        raise InputError(f"{rows.source}, line {rows.lines[names.index('')]}: run is empty. Name the run of every row.")
    for labels in (groups, [f"seed{one}" for one in seed]):
        meant: dict[str, set[str]] = {}
        for name, label in zip(names, labels, strict=True):
            meant.setdefault(name, set()).add(label)
        names = [f"{name}/{one}" if len(meant[name]) > 1 else name for name, one in zip(names, labels, strict=True)]
    sizes: dict[str, float] = {}
    for name, size, line in zip(names, rows.numbers["n_params"], rows.lines, strict=True):
        if abs(sizes.setdefault(name, float(size)) / size - 1) > SAME_SIZE:
            raise InputError(
                f"{rows.source}, line {line}: run {name!r} has n_params {size:g} here and {sizes[name]:g} before. "
                "Give runs names that differ in column `run`."
            )
    return names


def _first(index: NDArray[np.intp]) -> NDArray[np.intp]:
    """For each row the first row of its run."""
    _, first = np.unique(index, return_index=True)
    return first[index]
