"""Anybody's runs as one tidy table: what its columns may be called, and how it becomes the frame that is fitted.

A row is one evaluation of one run. A run with several rows is a curve; a table of final losses has one row a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial

import pandas as pd

from ..errors import InputError
from .cells import with_suffix
from .fields import FIELDS
from .metrics import choose_loss, refuse_other_units, words
from .metrics import may_be_loss as may_be
from .table_files import header_notes
from .tidy_rows import COUNTS, FlopsRule, TableRows, with_all_three, without_gaps
from .whole_runs import checked, gone_notes, settled, with_status, without_copies

THREE = ("n_params", "n_tokens", "flops")
CONFIGURED = "config."
"""What Weights & Biases writes before a setting of a run."""
_NOT_CONFIGURED = ("run", "loss", "step", "status", "n_tokens", "flops")
_MEANT = {
    "n_params": {"params", "parameters", "param", "size", "nonembedding"},
    "n_tokens": {"token", "tokens"},
    "flops": {"flop", "flops", "flos", "compute"},
}


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
    loss : str
        The metric that is the loss of all runs, as the source calls it.
    """

    frame: pd.DataFrame
    source: str
    format: str
    notes: tuple[str, ...] = ()
    loss: str = "loss"

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
        Column or metric that holds the loss, where there are several.
    describe : DataFrame, optional
        One row per run with `run` and what the export lacks (`n_params`, `tokens_per_step`, `group`, ...).
    columns : mapping of str to str
        Column by field (`n_params`: `config.model.num_params`), where its name does not say what it is.
    """

    flops: FlopsRule = "given"
    loss_column: str | None = None
    describe: pd.DataFrame | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [name for name in self.columns if name not in FIELDS]
        if unknown:
            raise InputError(f"--map: there is no field {unknown[0]!r}; there are {', '.join(FIELDS)}.")


def tidy(
    table: pd.DataFrame,
    *,
    source: str,
    kind: str = "tidy",
    options: ImportOptions | None = None,
    in_time: bool = False,
    loss: str = "",
) -> ImportedRuns:
    """Check a table of runs and bring it into the form that the fits take.

    Parameters
    ----------
    table : DataFrame
        Columns named as in `FIELDS`. Its index holds the lines of the file, for messages.
    source, kind : str
        File and format, for messages and records.
    options : ImportOptions, optional
    in_time : bool
        Whether rows of a run are in the order in which they were logged.
    loss : str
        What the source calls the loss, if not as the table does.

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
    notes = [*header_notes(table, source), *notes, *_suffix_notes(table, found)]
    rows = TableRows.of(table, found, source=source)
    notes += gone_notes(rows, table[found["loss"]].tolist())
    for fill in (without_gaps, partial(with_all_three, rule=options.flops)):
        rows, more = fill(rows)
        notes += more
    rows = rows.named()
    for step in (partial(settled, in_time=in_time), with_status, checked):
        rows, more = step(rows)
        notes += more
    frame = rows.frame().sort_values(["run", "step"], kind="stable", ignore_index=True)
    frame, more = without_copies(frame)
    return ImportedRuns(frame, source, kind, (*notes, *more), loss or found["loss"])


def fields_of(names: Sequence[str], chosen: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """Columns by the field that they name: as `chosen`, the field's own name, then in the order of its aliases."""
    chosen = {key: name for key, name in (chosen or {}).items() if name in names}
    left = [name for name in names if name not in chosen.values()]
    found: dict[str, list[str]] = {}
    for key in FIELDS:
        exact, loose = _aliases(key)
        # As written before alike, then by alias: the first is read.
        ranks = {name: (0, exact[name]) for name in left if name in exact}
        for name in left:
            alike = _plain(name.removeprefix(CONFIGURED) if key not in _NOT_CONFIGURED else name)
            if name not in ranks and alike in loose:
                ranks[name] = (1, loose[alike])
        if key in chosen or ranks:
            found[key] = [chosen[key]] if key in chosen else sorted(ranks, key=ranks.__getitem__)
    return found


@cache
def _aliases(key: str) -> tuple[dict[str, int], dict[str, int]]:
    """Place of every name of a field: as it is written, and by its letters, for names of more than one."""
    names = (key, *FIELDS[key].aliases)
    exact = {name: i for i, name in enumerate(names)}
    return exact, {_plain(name): i for i, name in reversed(list(enumerate(names))) if len(name) > 1}


def missing_fields(names: Sequence[str], chosen: Mapping[str, str] | None = None) -> str:
    """What a table of runs lacks, and how to say where it is; empty where it has all that is needed."""
    found = fields_of(names, chosen)
    known = [name for name in THREE if name in found]
    if len(known) >= 2:
        return ""
    lacking = {key: _like(key, names) for key in THREE if key not in found}
    shown = [f"--map {key}={_quoted(name)}" for key, like in lacking.items() for name in like[:3]]
    hint = (
        f" Is it one of these? {' or '.join(shown)}."
        if shown
        else " Say which column is which with --map field=column."
    )
    return (
        f"two of n_params (N), n_tokens (D) and flops (C) are needed, found {known or 'none'}; its columns are "
        f"{', '.join(names[:30])}{', …' * (len(names) > 30)}.{hint}"
    )


@cache
def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _like(key: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if _MEANT[key] & set(words(name))]


def _quoted(name: str) -> str:
    return name if name.replace(".", "").replace("_", "").replace("/", "").isalnum() else f"'{name}'"


def _suffix_notes(table: pd.DataFrame, found: Mapping[str, str]) -> list[str]:
    cells = {key: with_suffix(table, found[key]) for key in COUNTS if key in found}
    said = [f"{key} ({cell})" for key, cell in cells.items() if cell]
    return [f"k, M, B and T are read as 10³, 10⁶, 10⁹ and 10¹² in {', '.join(said)}."] if said else []


def _fields(table: pd.DataFrame, *, source: str, options: ImportOptions) -> tuple[dict[str, str], list[str]]:
    """Column of every field; notes on columns passed over."""
    names = [str(name) for name in table.columns]
    absent = [name for name in options.columns.values() if name not in names]
    if absent:
        raise InputError(f"{source}: --map: there is no column {absent[0]!r}; it has {', '.join(names)}.")
    found = fields_of(names, options.columns)
    found["loss"] = [_loss_of(names, source=source, options=options)]
    if lacks := missing_fields(names, options.columns):
        raise InputError(f"{source}: {lacks}")
    notes = [f"{key}: column {same[0]!r} was read, {same[1:]} were not." for key, same in found.items() if same[1:]]
    return {key: same[0] for key, same in found.items()}, notes


def _loss_of(names: Sequence[str], *, source: str, options: ImportOptions) -> str:
    mapped = options.columns.get("loss")
    if mapped and options.loss_column not in (None, mapped):
        raise InputError(f"{source}: --map says that the loss is {mapped!r}, --loss-column {options.loss_column!r}.")
    if mapped:
        refuse_other_units(mapped, source=source)
        return mapped
    taken = set(options.columns.values())
    metrics = {name: ["all"] for name in names if name not in taken}
    if not options.loss_column and "L" in metrics and not any(may_be(name) for name in metrics):
        return "L"
    return choose_loss(metrics, runs=["all"], wanted=options.loss_column, source=source, what="column")


def with_columns(options: ImportOptions, names: Sequence[str]) -> ImportOptions:
    """The options with those of `columns` that a table has."""
    return replace(options, columns={key: name for key, name in options.columns.items() if name in names})
