"""Names of the runs of a project of Weights & Biases: a table of runs, as its page downloads it."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from ...errors import InputError
from ..cells import texts
from ..tidy import ImportOptions, fields_of

RUNS_TABLE = {"Name", "State"}
"""Columns of a table of runs that was downloaded from a project."""
ID_COLUMNS = ("ID", "id", "Id", "run_id")


def with_run_names(table: pd.DataFrame, options: ImportOptions, *, source: str) -> ImportOptions:
    """Options that say where the names of runs are in a table of runs of a project: in `Name`, where these differ.

    Raises
    ------
    InputError
        If names repeat; the message proposes the column of IDs.
    """
    names = [str(name) for name in table.columns]
    if not set(names) >= RUNS_TABLE or "run" in fields_of(names, options.columns):
        return options
    called = texts(table, "Name")
    if len(set(called)) < len(called):
        repeated = next(name for name in called if called.count(name) > 1)
        ids = _ids(table, names)
        way = (
            f"Use their IDs: --map run={ids}." if ids else "Export the table with its column ID, and use --map run=ID."
        )
        raise InputError(f"{source}: several runs are called {repeated!r}; names of runs have to differ. {way}")
    return replace(options, columns={**options.columns, "run": "Name"})


def _ids(table: pd.DataFrame, names: Sequence[str]) -> str:
    """The column of IDs, if there is one in which they differ."""
    return next((name for name in ID_COLUMNS if name in names and len(set(texts(table, name))) == len(table)), "")
