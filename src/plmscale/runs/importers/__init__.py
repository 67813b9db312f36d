"""Runs of other people and of other tools, read into one form.

`IMPORTERS` is the registry: a format is a name, a sentence, a test whether a path looks like it, and a reader. The
first whose test holds is taken unless the user names one, so special formats stand before general ones.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ...errors import InputError
from ..fields import FORMATS
from ..metrics import AXIS_WANTED, may_be_loss, same_metric
from ..table_files import header, read_table
from ..tidy import ImportedRuns, ImportOptions, missing_fields
from ..whole_runs import without_copies
from . import deepspeed, history, published, scaling_protein_lm, tensorboard, trainer_state, wandb
from .run_names import RUNS_TABLE

__all__ = ["IMPORTERS", "Importer", "detect", "load", "load_all"]


class Importer(NamedTuple):
    """A format: what it is, what of it a path has (nothing where it does not look like it), and its reader."""

    title: str
    matches: Callable[[Path], Any]
    read: Callable[[Path, ImportOptions], ImportedRuns]


IMPORTERS: dict[str, Importer] = {
    "scaling_protein_lm": Importer(
        FORMATS["scaling_protein_lm"],
        scaling_protein_lm.matches,
        scaling_protein_lm.read,
    ),
    "porian": Importer(FORMATS["porian"], published.is_porian, published.read_porian),
    "gadre": Importer(FORMATS["gadre"], published.is_gadre, published.read_gadre),
    "study": Importer(
        FORMATS["study"],
        published.study_records,
        published.read_study,
    ),
    "trainer_state": Importer(
        FORMATS["trainer_state"],
        trainer_state.trainer_states,
        trainer_state.read_trainer_state,
    ),
    "tensorboard": Importer(
        FORMATS["tensorboard"],
        tensorboard.tensorboard_files,
        tensorboard.read_tensorboard,
    ),
    "wandb": Importer(
        FORMATS["wandb"],
        wandb.wandb_metrics,
        wandb.read_wandb,
    ),
    "deepspeed": Importer(
        FORMATS["deepspeed"],
        deepspeed.deepspeed_files,
        deepspeed.read_deepspeed,
    ),
    "history": Importer(FORMATS["history"], history.history_files, history.read_history),
    "tidy": Importer(FORMATS["tidy"], published.is_tidy, published.read_tidy),
}


def detect(path: Path, *, columns: Mapping[str, str] | None = None) -> str:
    """The format that a path looks like; `columns` are those of a table by field, as in `ImportOptions`.

    Raises
    ------
    InputError
        If it is absent or looks like none.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    names = header(path) if path.is_file() else []
    if columns and published.is_table_of_runs(names, columns):
        return "tidy"
    for name, importer in IMPORTERS.items():
        if importer.matches(path):
            return name
    raise InputError(f"{path} looks like none of the formats {', '.join(IMPORTERS)}. {_seen(path, names)}")


def _seen(path: Path, names: Sequence[str]) -> str:
    """What is there instead of a known format, and which format is the nearest."""
    if path.is_dir():
        files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
        return f"It is a folder of {', '.join(files[:8]) or 'nothing'}{', …' * (len(files) > 8)}."
    if not names:
        read_table(path)  # says what is wrong
    if not names:
        return "It has no columns; a table is text (csv, tsv, jsonl) or parquet, and its first line names the columns."
    if any(may_be_loss(name) for name in names) and not set(names) >= RUNS_TABLE:
        return (
            f"Nearest is `history`, which needs an axis that counts {AXIS_WANTED}; or `tidy`: {missing_fields(names)}"
        )
    return f"Nearest is `tidy`, a table of runs with a loss: {missing_fields(names)}"


def load(path: Path, *, kind: str | None = None, options: ImportOptions | None = None) -> ImportedRuns:
    """Read the runs at a path.

    Parameters
    ----------
    path : Path
        File or folder.
    kind : str, optional
        Key of `IMPORTERS`; found from the path if absent.
    options : ImportOptions, optional

    Raises
    ------
    InputError
        If the path is not of the format, or cannot be read; file, line, column and value where there are any.
    """
    if kind is not None and kind not in IMPORTERS:
        raise InputError(f"there is no format {kind!r}; choose one of {', '.join(IMPORTERS)}.")
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    options = options or ImportOptions()
    kind = kind or detect(path, columns=options.columns)
    # A table of any columns may be forced through the general reader, which says what is missing.
    if kind != "tidy" and not IMPORTERS[kind].matches(path):
        raise InputError(f"{path} is not of the format {kind}: {IMPORTERS[kind].title}.")
    return IMPORTERS[kind].read(path, options)


def load_all(paths: Sequence[Path], *, kind: str | None = None, options: ImportOptions | None = None) -> ImportedRuns:
    """Runs of several paths as one; where names repeat, they get their path in front."""
    given = {path.resolve() for path in paths}
    if len(given) < len(paths):
        raise InputError(f"a path is given twice: {', '.join(str(path) for path in paths)}. Give each once.")
    parts = [load(path, kind=kind, options=options) for path in paths]
    if len(parts) == 1:
        return parts[0]
    names = [set(part.frame["run"].tolist()) for part in parts]
    repeated = {run for i, own in enumerate(names) for other in names[i + 1 :] for run in own & other}
    frames = []
    for path, part in zip(paths, parts, strict=True):
        clash = part.frame["run"].isin(sorted(repeated))
        label = path.name if [other.name for other in paths].count(path.name) == 1 else path.as_posix()
        frames.append(part.frame.assign(run=part.frame["run"].where(~clash, label + "/" + part.frame["run"])))
    notes = [f"{path.name}: {note}" for path, part in zip(paths, parts, strict=True) for note in part.notes]
    kinds = "+".join(dict.fromkeys(part.format for part in parts))
    frame, copies = without_copies(pd.concat(frames, ignore_index=True))
    source = ", ".join(str(path) for path in paths)
    return ImportedRuns(frame, source, kinds, (*notes, *copies), _one_loss(paths, parts))


def _one_loss(paths: Sequence[Path], parts: Sequence[ImportedRuns]) -> str:
    """The metric that is the loss of all parts."""
    called = {same_metric(part.loss) for part in parts}
    if len(called) > 1:
        said = ", ".join(f"{part.loss!r} in {path}" for path, part in zip(paths, parts, strict=True))
        raise InputError(f"the loss is another metric in each path: {said}. Choose one that all have: --loss-column.")
    return ", ".join(dict.fromkeys(part.loss for part in parts))
