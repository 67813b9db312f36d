"""Runs from a path or a data frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

import pandas as pd

from ..errors import InputError
from ..presentation.formats import count, short
from ..runs.importers import IMPORTERS, load_all
from ..runs.importers.published import tidy_table
from ..runs.table_files import frame_as_table, read_table
from ..runs.tidy import ImportedRuns, ImportOptions
from .names import known

FLOPS = ("given", "6nd")


@dataclass(frozen=True, repr=False, eq=False)
class Runs(ImportedRuns):
    """Runs that laws can be fitted to.

    Attributes
    ----------
    frame : DataFrame
        One row per evaluation: `run`, `model`, `schedule` (the group), `n_params`, `n_tokens`, `flops`, `loss` (nats
        per token), `learning_rate`, ...
    source, format : str
        Where they are from.
    notes : tuple of str
        What was assumed, mended or left out.
    loss : str
        The metric that is the loss, as the source calls it.
    """

    @property
    def groups(self) -> list[str]:
        """Groups, or schedules, that are fitted apart."""
        return list(dict.fromkeys(self.frame["schedule"].tolist()))

    @property
    def sizes(self) -> list[int]:
        """Parameters of every size, smallest first."""
        return sorted(set(self.frame["n_params"].tolist()))

    def __len__(self) -> int:
        return self.n_runs

    def __repr__(self) -> str:
        notes = [f"  note: {note}" for note in self.notes]
        return "\n".join([self._extent, f"  groups: {', '.join(self.groups)}", *notes])

    @property
    def _extent(self) -> str:
        return f"{self.n_runs} runs, {count(len(self.frame))} evaluations, {span(self.sizes)} ({self.source})"

    def _repr_html_(self) -> str:
        items = [f"groups: {', '.join(self.groups)}", *(f"note: {note}" for note in self.notes)]
        return f"<b>{escape(self._extent)}</b><ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def span(sizes: Sequence[int]) -> str:
    """Sizes in words: 5 sizes from 27.5k to 406k parameters."""
    if len(sizes) == 1:
        return f"one size of {short(sizes[0])} parameters"
    return f"{len(sizes)} sizes from {short(sizes[0])} to {short(sizes[-1])} parameters"


def read_runs(
    source: str | Path | pd.DataFrame | Sequence[str | Path],
    *,
    format: str | None = None,
    flops: Literal["given", "6nd"] = "given",
    loss_column: str | None = None,
    describe: str | Path | pd.DataFrame | None = None,
    columns: Mapping[str, str] | None = None,
) -> Runs:
    """Read runs that anybody trained.

    Parameters
    ----------
    source : path, DataFrame, or list of paths
        A table (csv, tsv, parquet, or a data frame) with `loss` (nats per token) and two of `n_params`, `n_tokens` and
        `flops`, one row a run or an evaluation; the export of a tracker; the results/ of a study. Formats and columns:
        docs/howto/own-runs.md. Several paths are read as one set of runs.
    format : str, optional
        Format of the paths; found from them if absent.
    flops : "given" or "6nd"
        FLOPs of the file, 6ND where it has none; or 6ND in any case.
    loss_column : str, optional
        Column that is the loss, where there are several.
    describe : path or DataFrame, optional
        Table of what an export lacks: `run`, `n_params`, ...
    columns : mapping of str to str, optional
        Column by field, where its name does not say what it is: `{"n_params": "config.model.num_params"}`.

    Returns
    -------
    Runs

    Raises
    ------
    InputError
        If it cannot be read: what is wrong, with file, line, column and value.
    """
    known(flops, FLOPS, what="rule for FLOPs")
    if format is not None:
        known(format, IMPORTERS, what="format")
    if describe is not None and not isinstance(describe, pd.DataFrame):
        describe = read_table(Path(describe))
    options = ImportOptions(flops=flops, loss_column=loss_column, describe=describe, columns=columns or {})
    if isinstance(source, pd.DataFrame):
        if format not in (None, "tidy"):
            raise InputError(f"a data frame has no format {format!r}; leave `format` out, or give the path.")
        table = frame_as_table(source, source="data frame")
        found = tidy_table(table, source="data frame", options=options)
    else:
        found = load_all(_paths(source), kind=format, options=options)
    return Runs(found.frame, found.source, found.format, found.notes, found.loss)


def _paths(source: str | Path | Sequence[str | Path]) -> list[Path]:
    if isinstance(source, str | Path):
        return [Path(source)]
    if isinstance(source, Sequence) and source and all(isinstance(one, str | Path) for one in source):
        return [Path(one) for one in source]
    raise InputError(f"read_runs: got {type(source).__name__}; give a path, a list of paths, or a pandas DataFrame.")
