"""Hugging Face's Trainer: trainer_state.json, alone or in folders of checkpoints."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import InputError
from ...files import read_json
from ..metrics import choose_loss
from ..tidy import ImportedRuns, ImportOptions
from .exports import Export, assemble, distinct, step_column

NAME = "trainer_state.json"
_CLOSING = ("train_runtime", "train_samples_per_second")
"""Keys of the last entry, which holds means over the whole training."""
CLOSING_LOSS = "train_loss"
_TOKENS = "num_input_tokens_seen"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def trainer_states(path: Path) -> list[Path]:
    """`trainer_state.json` files: of a run that has several checkpoints, the last."""
    if path.is_file():
        return [path] if path.name == NAME else []
    last: dict[Path, tuple[int, Path]] = {}
    for file in sorted(path.rglob(NAME)):
        checkpoint = _CHECKPOINT.fullmatch(file.parent.name)
        run = _run_folder(file)
        # A state beside the checkpoints is the one at the end.
        last[run] = max(last.get(run, (-1, file)), (int(checkpoint[1]) if checkpoint else 2**62, file))
    return [file for _, file in last.values()]


def read_trainer_state(path: Path, options: ImportOptions) -> ImportedRuns:
    """Hugging Face runs. Tokens are `num_input_tokens_seen`; else the describing table's tokens per step."""
    files = trainer_states(path)
    folders = [_run_folder(file) for file in files]
    names = distinct(folders, path, [folder.name or "run" for folder in folders])
    histories = [_entries(file) for file in files]
    metrics: dict[str, list[str]] = {}
    for name, entries in zip(names, histories, strict=True):
        for key in dict.fromkeys(key for entry in entries for key in entry):
            metrics.setdefault(key, []).append(name)
    if options.loss_column == CLOSING_LOSS and CLOSING_LOSS not in metrics:
        raise InputError(f"{path}: {CLOSING_LOSS!r} is the mean over the whole training, not the loss at a step.")
    loss = choose_loss(metrics, runs=names, wanted=options.loss_column, source=str(path))
    exports, notes = [], []
    for name, file, entries in zip(names, files, histories, strict=True):
        rows, more = _rows(entries, loss, str(file), name)
        notes += more
        exports.append(Export(name, rows, file))
    runs = assemble(exports, source=str(path), kind="trainer_state", options=options, loss=loss)
    return ImportedRuns(runs.frame, runs.source, runs.format, (*notes, *runs.notes), loss)


def _run_folder(file: Path) -> Path:
    folder = file.absolute().parent if file.parent == Path() else file.parent
    return folder.parent if _CHECKPOINT.fullmatch(folder.name) else folder


def _entries(file: Path) -> list[Mapping[str, Any]]:
    """Entries of the history that were logged at a step: not the last, which sums the training up."""
    state = read_json(file)
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise InputError(f"{file}: it has no `log_history`, a list of entries; it is no state of a Trainer.")
    logged = [entry for entry in history if not any(key in entry for key in _CLOSING)]
    if not logged:
        raise InputError(f"{file}: log_history has no entry that was logged at a step.")
    return logged


def _rows(entries: Sequence[Mapping[str, Any]], loss: str, source: str, run: str) -> tuple[pd.DataFrame, list[str]]:
    """Entries that hold the loss, with tokens where all of them have these."""
    kept = [(i, entry) for i, entry in enumerate(entries, start=1) if entry.get(loss) is not None]
    if not kept:
        raise InputError(f"{source}: {loss!r} is null in all entries.")
    lines = [i for i, _ in kept]
    table = pd.DataFrame({"step": [entry.get("step") for _, entry in kept]}, index=lines, dtype=object)
    rows = pd.DataFrame({"step": step_column(table, "step", source)}, index=lines)
    rows["loss"] = pd.Series([_told(entry[loss]) for _, entry in kept], index=lines, dtype=object)
    tokens = [entry.get(_TOKENS) for _, entry in kept]
    given = [one for one in tokens if one is not None]
    if given and (len(given) < len(tokens) or all(one == 0 for one in given)):
        why = "is not in all entries" if len(given) < len(tokens) else "is 0 in all entries"
        return rows, [f"Run {run!r}: {_TOKENS} {why} of {loss!r} and was not used."]
    if not given:
        return rows, []
    rows["n_tokens"] = pd.Series(tokens, index=lines, dtype=object)
    return rows, []


def _told(value: Any) -> Any:
    """A loss that was logged as NaN as text: it is no gap."""
    return "nan" if isinstance(value, float) and math.isnan(value) else value
