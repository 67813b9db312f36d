"""Runs of other people and of other tools, read into one form.

`IMPORTERS` is the registry: a format is a name, a sentence, a test whether a path looks like it, and a reader. The
first whose test holds is taken unless the user names one, so special formats stand before general ones.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ...errors import InputError
from ..fields import FORMATS
from ..tidy import ImportedRuns, ImportOptions
from . import published, scaling_protein_lm, trackers

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
        trackers.trainer_states,
        trackers.read_trainer_state,
    ),
    "tensorboard": Importer(
        FORMATS["tensorboard"],
        trackers.tensorboard_files,
        trackers.read_tensorboard,
    ),
    "wandb": Importer(
        FORMATS["wandb"],
        trackers.wandb_metrics,
        trackers.read_wandb,
    ),
    "deepspeed": Importer(
        FORMATS["deepspeed"],
        trackers.deepspeed_files,
        trackers.read_deepspeed,
    ),
    "tidy": Importer(FORMATS["tidy"], published.is_tidy, published.read_tidy),
}


def detect(path: Path) -> str:
    """The format that a path looks like.

    Raises
    ------
    InputError
        If it is absent or looks like none.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    for name, importer in IMPORTERS.items():
        if importer.matches(path):
            return name
    raise InputError(
        f"{path} looks like none of the formats {', '.join(IMPORTERS)}. A table needs the columns loss and two of "
        "n_params, n_tokens, flops (or names that mean the same); name the format with --format to see what is missing."
    )


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
    kind = kind or detect(path)
    # A table of any columns may be forced through the general reader, which says what is missing.
    if kind != "tidy" and not IMPORTERS[kind].matches(path):
        raise InputError(f"{path} is not of the format {kind}: {IMPORTERS[kind].title}.")
    return IMPORTERS[kind].read(path, options or ImportOptions())


def load_all(paths: Sequence[Path], *, kind: str | None = None, options: ImportOptions | None = None) -> ImportedRuns:
    """Runs of several paths as one; where names repeat, they get their path in front."""
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
    notes = tuple(f"{path.name}: {note}" for path, part in zip(paths, parts, strict=True) for note in part.notes)
    kinds = "+".join(dict.fromkeys(part.format for part in parts))
    frame = pd.concat(frames, ignore_index=True)
    return ImportedRuns(frame, ", ".join(str(path) for path in paths), kinds, notes)
