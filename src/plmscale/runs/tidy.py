"""Anybody's runs as one tidy table: what its columns may be called, and how it becomes the frame that is fitted.

A row is one evaluation of one run. A run with several rows is a curve; a table of final losses has one row a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from ..errors import InputError
from .fields import FIELDS
from .tidy_rows import FlopsRule, TableRows, checked, with_all_three, without_gaps


@dataclass(frozen=True)
class ImportedRuns:
    """Runs in the form that `plmscale.runs.curves.smooth` takes, and what was done to get them there.

    Attributes
    ----------
    frame : DataFrame
        One row per (run, evaluation) with the columns `plmscale.runs.curves.COLUMNS` and `SERIES`. `schedule` is the
        group of runs that is fitted together. Unknown `unique_tokens` and `batch_tokens` are 0, unknown `lr_fraction`
        NaN.
    source : str
        Where they are from.
    format : str
        Key of `plmscale.runs.importers.IMPORTERS`.
    notes : tuple of str
        Sentences: what was assumed, mended or left out, and why.
    """

    frame: pd.DataFrame
    source: str
    format: str
    notes: tuple[str, ...] = ()

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return len(set(self.frame["run"].tolist()))


@dataclass(frozen=True)
class ImportOptions:
    """What a file does not say.

    Attributes
    ----------
    flops : "given" or "6nd"
        "given": the FLOPs of the file, 6ND where it has none. "6nd": 6ND whatever the file says.
    loss_column : str, optional
        Column that holds the loss, where there are several.
    describe : DataFrame, optional
        One row per run with `run` and what the export lacks (`n_params`, `tokens_per_step`, `group`, ...).
    """

    flops: FlopsRule = "given"
    loss_column: str | None = None
    describe: pd.DataFrame | None = None


def tidy(table: pd.DataFrame, *, source: str, kind: str = "tidy", options: ImportOptions | None = None) -> ImportedRuns:
    """Check a table of runs and bring it into the form that the fits take.

    Parameters
    ----------
    table : DataFrame
        Columns named as in `FIELDS`. Its index holds the lines of the file, for messages.
    source, kind : str
        File and format, for messages and records.
    options : ImportOptions, optional

    Returns
    -------
    ImportedRuns

    Raises
    ------
    InputError
        For a missing or ambiguous column, or a value that is no number or not positive: file, line, column and value.

    Examples
    --------
    >>> table = pd.DataFrame({"N": ["5M", "5M"], "D": [1e8, 2e8], "loss": [2.6, 2.5]}, index=[2, 3])
    >>> tidy(table, source="runs.csv").frame["flops"].tolist()
    [3000000000000000.0, 6000000000000000.0]
    """
    options = options or ImportOptions()
    found, notes = _fields(table, source=source, options=options)
    rows = TableRows.of(table, found, source=source)
    for step in (without_gaps, partial(with_all_three, rule=options.flops), checked):
        rows, more = step(rows)
        notes += more
    frame = rows.frame().sort_values(["run", "step"], kind="stable", ignore_index=True)
    return ImportedRuns(frame, source, kind, tuple(notes))


def fields_of(names: Sequence[str]) -> dict[str, list[str]]:
    """Columns by the field that they name, the field's own name first, then in the order of its aliases."""
    found: dict[str, list[str]] = {}
    for field, (aliases, _) in FIELDS.items():
        exact = [name for alias in (field, *aliases) for name in names if name == alias]
        loose = [
            name for alias in (field, *aliases) if len(alias) > 1 for name in names if _plain(name) == _plain(alias)
        ]
        if same := list(dict.fromkeys([*exact, *loose])):
            found[field] = same
    return found


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _fields(table: pd.DataFrame, *, source: str, options: ImportOptions) -> tuple[dict[str, str], list[str]]:
    """Column of every field; notes on columns passed over."""
    names = [str(name) for name in table.columns]
    found = fields_of(names)
    if options.loss_column:
        if options.loss_column not in names:
            raise InputError(f"{source}: there is no column {options.loss_column!r}; it has {', '.join(names)}.")
        found["loss"] = [options.loss_column]
    if "loss" not in found:
        like = [name for name in names if "loss" in name.lower()]
        hint = f" Choose with --loss-column: {', '.join(like)}." if like else f" It has {', '.join(names)}."
        raise InputError(f"{source}: no column is the loss (`loss`, or {', '.join(FIELDS['loss'].aliases)}).{hint}")
    if len(found["loss"]) > 1:
        raise InputError(f"{source}: several columns may be the loss. Choose with --loss-column: {found['loss']}.")
    known = [name for name in ("n_params", "n_tokens", "flops") if name in found]
    if len(known) < 2:
        raise InputError(
            f"{source}: two of n_params (N), n_tokens (D) and flops (C) are needed, found {known or 'none'}; "
            f"its columns are {', '.join(names)}."
        )
    notes = [f"{field}: column {same[0]!r} was read, {same[1:]} were not." for field, same in found.items() if same[1:]]
    return {field: same[0] for field, same in found.items()}, notes
