"""Rows of a tidy table: filled up where N, D and C follow from each other, checked, and named after their runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from ..presentation.formats import count, short
from .selection import ONE_PASS
from .table_files import NumberColumn, numbers, texts

Array = NDArray[np.float64]
FlopsRule = Literal["given", "6nd"]

FLOPS_PER_PARAM_TOKEN = 6.0
"""C = 6ND: two FLOPs forward and four backward per parameter and token (Kaplan et al. 2020, section 2.1)."""

# A factor between C and 6ND outside this range is another unit (GFLOPs, thousands of tokens), not another convention:
# appendix E of Serrano et al. 2024 is 1.13 to 1.54 times 6ND, counting without embeddings a little less than one.
PLAUSIBLE_FLOPS = (0.2, 5.0)
# Sizes of one run that differ by more than rounding.
SAME_SIZE = 1e-6

ONE_GROUP = "all runs"
"""Name of the fit where a table names neither group nor schedule."""

THREE = ("n_params", "n_tokens", "flops")
NUMBERS = (*THREE, "loss", "seed", "unique_tokens", "batch_tokens", "lr_fraction", "learning_rate", "step")
TEXTS = ("run", "model", "group", "schedule", "subset", "status", "trunk")
WITH_SUFFIX = ("n_params", "n_tokens", "unique_tokens", "batch_tokens")


@dataclass(frozen=True)
class TableRows:
    """Rows as arrays of shape (n,): the columns that the table has, and its lines."""

    source: str
    lines: list[Any]
    numbers: dict[str, Array]
    texts: dict[str, list[str]]

    @classmethod
    def of(cls, table: pd.DataFrame, found: dict[str, str], *, source: str) -> "TableRows":
        """From a table and the column of every field."""
        values = {
            name: numbers(table, found[name], NumberColumn(source, name, suffixes=name in WITH_SUFFIX))
            for name in NUMBERS
            if name in found
        }
        words = {name: texts(table, found[name]) for name in TEXTS if name in found}
        return cls(source, table.index.tolist(), values, words)

    def number(self, name: str) -> Array:
        """A column, NaN where the table has none."""
        return self.numbers.get(name, np.full(len(self.lines), np.nan))

    def text(self, name: str, default: Sequence[str]) -> list[str]:
        """A column, `default` in its empty cells."""
        return [own or other for own, other in zip(self.texts.get(name, default), default, strict=True)]

    def keep(self, kept: NDArray[np.bool_]) -> "TableRows":
        """Some of the rows."""
        where = np.flatnonzero(kept)
        values = {name: column[where] for name, column in self.numbers.items()}
        words = {name: [column[i] for i in where] for name, column in self.texts.items()}
        return replace(self, lines=[self.lines[i] for i in where], numbers=values, texts=words)

    def frame(self) -> pd.DataFrame:
        """The columns that `plmscale.runs.curves.smooth` takes."""
        n = len(self.lines)
        seed = np.nan_to_num(self.number("seed")).astype(int)
        groups = _groups(self)
        runs = _run_names(self, groups, seed)
        index = np.unique(np.array(runs), return_inverse=True)[1]
        first = _first(index)
        sizes = self.numbers["n_params"][first].round().astype(int)
        step = np.where(np.isnan(self.number("step")), self.numbers["n_tokens"], self.number("step"))
        called = {size: short(size) for size in np.unique(sizes)}
        columns: dict[str, Any] = {"run": runs, "model": self.text("model", [called[size] for size in sizes])}
        columns |= {"subset": self.text("subset", ["-"] * n), "schedule": groups, "seed": seed}
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
            at = [str(rows.lines[i]) for i in np.flatnonzero(gaps)[:5]]
            more = ", …" if gaps.sum() > 5 else ""
            notes.append(f"{count(int(gaps.sum()))} rows without {what} were left out (line {', '.join(at)}{more}).")
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
    for name, own, value in (("n_params", n, c / (k * d)), ("n_tokens", d, c / (k * n)), ("flops", c, k * n * d)):
        gaps = int(np.isnan(own).sum())
        full[name] = np.where(np.isnan(own), value, own)
        if gaps and not (name == "flops" and notes):
            notes.append(f"{name} of {'all' if gaps == n.size else count(gaps)} rows is from C = 6ND.")
    return replace(rows, numbers=rows.numbers | full), notes


def checked(rows: TableRows) -> tuple[TableRows, list[str]]:
    """The same rows; notes on what is unlikely.

    Raises
    ------
    InputError
        For a number that cannot be.
    """
    n, d, c = (rows.numbers[name] for name in THREE)
    for name, wrong in (("n_params", n <= 0), ("n_tokens", d < 0), ("flops", c < 0)):
        if wrong.any():
            i = int(np.argmax(wrong))
            value = rows.numbers[name][i]
            raise InputError(f"{rows.source}, line {rows.lines[i]}: {name} is {value:g}; it must be positive.")
    notes = []
    spent = d > 0
    ratio = float(np.median(c[spent] / (FLOPS_PER_PARAM_TOKEN * n[spent] * d[spent]))) if spent.any() else 1.0
    if not PLAUSIBLE_FLOPS[0] <= ratio <= PLAUSIBLE_FLOPS[1]:
        notes.append(f"Warning: C is {ratio:.3g} times 6ND. Are N, D and C in parameters, tokens and FLOPs?")
    epochs = d / rows.number("unique_tokens")
    often = int(np.sum(epochs > ONE_PASS))
    if often:
        notes.append(
            f"{count(often)} rows have seen tokens more than once (up to {np.nanmax(epochs):.3g} times): runs that end "
            "so are in the law of repeated data alone."
        )
    return rows, notes


def _groups(rows: TableRows) -> list[str]:
    """Group and schedule of each row; one of them where they say the same."""
    n = len(rows.lines)
    pairs = zip(rows.text("group", [""] * n), rows.text("schedule", [""] * n), strict=True)
    return [", ".join(dict.fromkeys(part for part in pair if part)) or ONE_GROUP for pair in pairs]


def _run_names(rows: TableRows, groups: Sequence[str], seed: NDArray[Any]) -> list[str]:
    """Names that tell runs apart: with group and seed where one name stands for several.

    Raises
    ------
    InputError
        If rows of one run differ in size.
    """
    if "run" not in rows.texts:
        return [f"line {line}" for line in rows.lines]
    names = rows.text("run", ["unnamed"] * len(rows.lines))
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
