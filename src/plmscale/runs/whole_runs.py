"""Rows as runs: what was logged twice, in which order, with which status; the same run under two names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from ..errors import InputError
from ..presentation.formats import count
from .cells import lines_in_words
from .ranges import ALONE, PLAUSIBLE_LOSS, Ends, unlikely_ends, unlikely_rows
from .resumed import falls, settle
from .selection import ONE_PASS
from .tidy_rows import TableRows

Array = NDArray[np.float64]

DONE = ("done", "finished", "completed", "complete", "success", "succeeded", "ok")
"""What programs write where a run ended as it should."""

SPIKE = 2 * PLAUSIBLE_LOSS[1]


class _Run(NamedTuple):
    name: str
    at: NDArray[np.intp]
    """Rows, in the order of the file."""
    position: Array
    """Steps where all rows have one, else tokens."""


def gone_notes(rows: TableRows, losses: Sequence[Any]) -> list[str]:
    """Sentences on runs that have no loss at all, or end with one that is nan or inf.

    Parameters
    ----------
    rows : TableRows
        As read, with all its gaps.
    losses : sequence
        The cells of the loss.
    """
    if "run" not in rows.texts:
        return []
    finite = np.isfinite(rows.number("loss"))
    last: dict[str, bool] = {}
    seen = {run for run, known in zip(rows.texts["run"], finite, strict=True) if known}
    for run, cell, known in zip(rows.texts["run"], losses, finite, strict=True):
        if known or (isinstance(cell, str) and cell.strip()) or (isinstance(cell, float) and np.isinf(cell)):
            last[run] = not known
    diverged = [run for run, lost in last.items() if lost and run in seen]
    gone = [run for run in dict.fromkeys(rows.texts["run"]) if run not in seen]
    notes = []
    if diverged:
        names = f"{', '.join(diverged[:8])}{', …' * (len(diverged) > 8)}"
        notes.append(f"Warning: the loss of {names} ends as nan or inf: did they diverge? What came before is fitted.")
    if gone:
        names = f"{', '.join(gone[:8])}{', …' * (len(gone) > 8)}"
        notes.append(f"Warning: runs without any loss were left out: {names}.")
    return notes


def settled(rows: TableRows, *, in_time: bool) -> tuple[TableRows, list[str]]:
    """Rows that count, and notes on what was logged twice; within a run tokens rise.

    Parameters
    ----------
    rows : TableRows
        With names.
    in_time : bool
        Whether rows are known to be in the order in which they were logged.

    Raises
    ------
    InputError
        If a counter began anew, or rows contradict each other.
    """
    kept: list[int] = []
    notes: list[str] = []
    again: dict[str, list[Any]] = {}
    step = rows.number("step").copy()
    for run in _runs(rows):
        if not np.isfinite(step[run.at]).all():
            step[run.at] = np.nan  # some rows say no step: tokens order them all
        if _tokens_go_on(rows, run):
            step[run.at] = np.nan
            notes.append(f"Run {run.name!r}: its step falls while its tokens rise; its rows are ordered by tokens.")
            kept += run.at.tolist()
            continue
        own, said, lines = _settled_run(rows, run, in_time=in_time)
        _check_rising(rows, run.name, own)
        _check_rates(rows, run.name, own)
        kept += own.tolist()
        notes += said
        again |= {run.name: lines} if lines else {}
    numbers = rows.numbers | ({"step": step} if "step" in rows.numbers else {})
    return replace(rows, numbers=numbers).keep(np.array(sorted(kept), dtype=np.intp)), notes + _again_note(again)


def with_status(rows: TableRows) -> tuple[TableRows, list[str]]:
    """Statuses of trackers as ours; a note on the runs that are not done."""
    given = rows.text("status", ["done"] * len(rows.lines))
    status = ["done" if one.lower() in DONE else one.lower() for one in given]
    of_run = {run: one for run, one in zip(rows.texts["run"], status, strict=True) if one != "done"}
    notes = []
    for one, n in Counter(of_run.values()).items():
        runs = [run for run, own in of_run.items() if own == one]
        more = f"{', '.join(runs[:8])}{', …' if n > 8 else ''}"
        notes.append(f"Warning: {count(n)} runs have status {one!r} and are not fitted: {more}.")
    return replace(rows, texts=rows.texts | {"status": status}), notes


def checked(rows: TableRows) -> tuple[TableRows, list[str]]:
    """The same rows; notes on what is unlikely."""
    n, d, c = (rows.numbers[name] for name in ("n_params", "n_tokens", "flops"))
    notes = unlikely_rows(n, d, c, rows.lines)
    last, jumps, high = [], [], []
    for run in _runs(rows):
        at = run.at[np.argsort(d[run.at], kind="stable")]
        last.append(int(at[-1]))
        high += [int(i) for i in at[1:-1] if rows.numbers["loss"][i] > SPIKE]
        if at.size > 2 and d[at[-1]] > ALONE * d[at[-2]] > 0:
            jumps.append(int(at[-1]))
    ends = Ends([rows.lines[i] for i in last], n[last], d[last], c[last], rows.numbers["loss"][last], [])
    groups = rows.groups
    notes += unlikely_ends(replace(ends, groups=[groups[i] for i in last]))
    if jumps:
        notes.append(
            f"Warning: n_tokens rises more than {ALONE:g} times at the last row of {count(len(jumps))} runs "
            f"({lines_in_words([rows.lines[i] for i in jumps])}): is it in another unit there?"
        )
    if high:
        at_lines = lines_in_words([rows.lines[i] for i in high])
        notes.append(f"Warning: the loss is above {SPIKE:.0f} within {count(len(high))} rows of curves ({at_lines}).")
    epochs = d / rows.number("unique_tokens")
    often = int(np.sum(epochs > ONE_PASS))
    if often:
        notes.append(
            f"{count(often)} rows have seen tokens more than once (up to {np.nanmax(epochs):.3g} times): runs that end "
            "so are in the law of repeated data alone."
        )
    return rows, notes


def without_copies(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Without runs that are another once more: the same in every number, whatever their name."""
    by_run: dict[str, list[int]] = {}
    for i, run in enumerate(frame["run"].tolist()):
        by_run.setdefault(str(run), []).append(i)
    own = [name for name in frame.columns if name not in ("run", "model", "step")]
    numbers = [frame[name].to_numpy() for name in own if is_numeric_dtype(frame[name])]
    words = [frame[name].tolist() for name in own if not is_numeric_dtype(frame[name])]
    first: dict[Any, str] = {}
    copies: dict[str, str] = {}
    for run, rows in by_run.items():
        said = tuple(column[rows[0]] for column in words)
        other = first.setdefault((said, *(column[rows].tobytes() for column in numbers)), run)
        if other != run:
            copies[run] = other
    if not copies:
        return frame, []
    shown = ", ".join(f"{run} is {other}" for run, other in list(copies.items())[:8])
    note = (
        f"Warning: {count(len(copies))} runs are others once more and count once: {shown}{', …' * (len(copies) > 8)}."
    )
    return frame.loc[~frame["run"].isin(list(copies))].reset_index(drop=True), [note]


def _runs(rows: TableRows) -> list[_Run]:
    """Rows of every run; runs in the order of the file."""
    by_run: dict[str, list[int]] = {}
    for i, name in enumerate(rows.texts["run"]):
        by_run.setdefault(name, []).append(i)
    step, tokens = rows.number("step"), rows.numbers["n_tokens"]
    found = []
    for name, indices in by_run.items():
        at = np.array(indices, dtype=np.intp)
        found.append(_Run(name, at, step[at] if np.isfinite(step[at]).all() else tokens[at]))
    return found


def _tokens_go_on(rows: TableRows, run: _Run) -> bool:
    """Whether the tokens rise in every row while the step falls."""
    return falls(run.position) > 0 and bool(np.all(np.diff(rows.numbers["n_tokens"][run.at]) > 0))


def _settled_run(rows: TableRows, run: _Run, *, in_time: bool) -> tuple[NDArray[np.intp], list[str], list[Any]]:
    """Rows of one run that count, by position; notes; and lines that a resumed run logged again."""
    at, position, loss = run.at, run.position, rows.numbers["loss"][run.at]
    tokens = rows.numbers["n_tokens"][at]
    again = position.size - np.unique(position).size
    if not in_time and not again:
        return at[np.argsort(position, kind="stable")], _order_note(rows, run), []
    if not in_time:
        _check_twice(rows, run, tokens, loss)
    found = settle(position, loss)
    if found.reset is not None:
        raise InputError(
            f"{rows.source}, line {rows.lines[at[found.reset]]}: the counter of run {run.name!r} falls to "
            f"{position[found.reset]:g} while its loss goes on: it began anew when the run was resumed. Give steps or "
            "tokens since the start of the run."
        )
    return at[found.kept], [], [rows.lines[at[i]] for i in found.dropped]


def _check_twice(rows: TableRows, run: _Run, tokens: Array, loss: Array) -> None:
    """Refuse rows at one position where their order does not say which is the later."""
    _, index, counts = np.unique(run.position, return_inverse=True, return_counts=True)
    facts = {(p, d, one) for p, d, one in zip(run.position.tolist(), tokens.tolist(), loss.tolist(), strict=True)}
    if len(facts) == counts.size:  # the same row once more
        return
    line = rows.lines[run.at[np.flatnonzero(counts[index] > 1)[1]]]
    if counts.min() > 1 or falls(run.position) > max(1, run.at.size // 4):
        raise InputError(
            f"{rows.source}, line {line}: run {run.name!r} is there twice at {run.position[counts[index] > 1][0]:g} "
            "with different losses. Runs need names that differ in column `run` (or a column `seed`); of a "
            "resumed run, give the rows in the order in which they were logged."
        )


def _order_note(rows: TableRows, run: _Run) -> list[str]:
    if run.at.size < 4 or falls(run.position) != 1:
        return []
    i = int(np.argmax(np.diff(run.position) < 0)) + 1
    return [
        f"Run {run.name!r}: its rows are not in the order of training (line {rows.lines[run.at[i]]}); they were sorted."
    ]


def _check_rising(rows: TableRows, name: str, own: NDArray[np.intp]) -> None:
    tokens = rows.numbers["n_tokens"][own]
    if not tokens.any():
        raise InputError(
            f"{rows.source}, line {rows.lines[own[0]]}: n_tokens of run {name!r} is 0 at its last evaluation; it must "
            "be positive."
        )
    stuck = np.flatnonzero(np.diff(tokens) <= 0)
    if stuck.size:
        i = int(stuck[0]) + 1
        what = "falls" if tokens[i] < tokens[i - 1] else "stays"
        raise InputError(
            f"{rows.source}, line {rows.lines[own[i]]}: n_tokens of run {name!r} {what} at {tokens[i]:g} where its "
            "step rises. It must be the tokens seen so far, since the start of the run."
        )


def _check_rates(rows: TableRows, name: str, own: NDArray[np.intp]) -> None:
    rate = rows.number("learning_rate")[own]
    if np.isfinite(rate).any() and not np.nanmax(rate) > 0:
        raise InputError(
            f"{rows.source}, line {rows.lines[own[0]]}: learning_rate of run {name!r} is 0 throughout; it must "
            "be positive."
        )


def _again_note(again: Mapping[str, list[Any]]) -> list[str]:
    """One sentence for all runs that logged rows twice."""
    if not again:
        return []
    shown = "; ".join(f"{run}: {lines_in_words(lines)}" for run, lines in list(again.items())[:8])
    return [
        f"{count(len(again))} runs logged steps again after a resume: the later rows count, the earlier were left "
        f"out ({shown}{'; …' * (len(again) > 8)})."
    ]
