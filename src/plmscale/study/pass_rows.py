"""Sets of kind `passes`: their rows in the table of sets, and their counts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from .config import Subset

Rows = list[tuple[int, Subset]]


def with_passes(path: Path, rows: Rows, *, order: str) -> Rows:
    """Check the rows of kind `passes`, and give each the number of sequences of the set that it is of.

    Parameters
    ----------
    path : Path
        The table, for messages.
    rows : list of (int, Subset)
        Its rows with their lines.
    order : str
        See `training.order`.

    Raises
    ------
    InputError
        For a row that cannot be used, with file, line, value and remedy.
    """
    others = {s.name: s for _, s in rows if s.kind != "passes"}
    same: dict[tuple[str | None, float | None], str] = {}
    found: Rows = []
    for line, row in rows:
        where = f"{path}, line {line}"
        if row.kind != "passes":
            _refuse_passes_columns(where, row, others)
            found.append((line, row))
            continue
        _check_row(where, row, others, order=order)
        if twin := same.get((row.of, row.epochs)):
            raise InputError(f"{where}: {row.name!r} is {twin!r} again: {row.epochs:g} passes over {row.of!r}.")
        same[row.of, row.epochs] = row.name
        found.append((line, row.model_copy(update={"n_sequences": others[str(row.of)].n_sequences})))
    return found


def _refuse_passes_columns(where: str, row: Subset, others: Mapping[str, Subset]) -> None:
    given = {"of": row.of, "epochs": row.epochs}
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{where}: {name} {value!r} is for kind 'passes'; {row.name!r} is {row.kind!r}.")
    if row.same_size_as is not None and row.same_size_as not in others:
        raise InputError(
            f"{where}: same_size_as {row.same_size_as!r} is of kind 'passes'. Name the set that it makes passes over."
        )


def _check_row(where: str, row: Subset, others: Mapping[str, Subset], *, order: str) -> None:
    known = ", ".join(others) or "there is none"
    if row.of is None or row.epochs is None:
        missing = "of" if row.of is None else "epochs"
        raise InputError(
            f"{where}: {missing} is empty for {row.name!r}. Kind 'passes' needs the name of another set in `of` and "
            "how many passes over it in `epochs`."
        )
    if row.of not in others:
        raise InputError(
            f"{where}: of {row.of!r} is not another set of this table with a kind other than 'passes' ({known})."
        )
    if row.epochs == 1:
        raise InputError(
            f"{where}: epochs is 1, and one pass over {row.of!r} is that set itself. Set its train = yes, or choose "
            "another number."
        )
    if "n_sequences" in row.model_fields_set:
        raise InputError(
            f"{where}: n_sequences is {row.n_sequences} for kind 'passes', which has the sequences of {row.of!r}. "
            "Leave it empty."
        )
    if row.n_tokens is not None:
        raise InputError(
            f"{where}: n_tokens is {row.n_tokens} for kind 'passes', which has those of {row.of!r}. Leave it empty."
        )
    if order == "sorted" and not row.epochs.is_integer():
        raise InputError(
            f"{where}: epochs is {row.epochs:g}, but with training.order 'sorted' part of a pass would be its shortest "
            "proteins. Give a whole number, or choose the order 'bucketed'."
        )


def planned_passes(subsets: Sequence[Subset], tokens: Mapping[str, int]) -> dict[str, int]:
    """Tokens of every set of kind `passes`: those of a pass over the set that it is of × passes, rounded.

    A run ends with a whole optimizer step, so it may see up to one step more.

    Examples
    --------
    >>> row = Subset(name="quarter", kind="passes", of="all", epochs=0.25, train=True)
    >>> planned_passes([row], {"all": 1000})
    {'quarter': 250}
    """
    return {s.name: round((s.epochs or 1.0) * tokens[s.of]) for s in subsets if s.of is not None}


def pass_counts(counts: Mapping[str, Any], subset: Subset) -> dict[str, Any]:
    """The counts of a set of kind `passes`, from those of the set that it is of.

    Parameters
    ----------
    counts : mapping
        Of the other set, see `plmscale.sets.subsets.describe`.
    subset : Subset

    Returns
    -------
    dict
        The same, with `n_tokens` those of all passes (`planned_passes`), `of`, `epochs`, and `unique_tokens`, each
        token counted once.
    """
    assert subset.of is not None and subset.epochs is not None
    n_tokens = planned_passes([subset], {subset.of: int(counts["n_tokens"])})[subset.name]
    return dict(counts) | {
        "name": subset.name,
        "kind": subset.kind,
        "n_tokens": n_tokens,
        "of": subset.of,
        "epochs": subset.epochs,
        "unique_tokens": min(n_tokens, int(counts["n_tokens"])),
    }
