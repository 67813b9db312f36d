"""What lies in the folder of a cell and is none of it: set aside under a name, or, left by killed runs, removed."""

import logging
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from .attempts import LEDGER, Attempts

SET_ASIDE = "set-aside"
"""Folder beside a cell with what was trained there before and is of something else, in numbered folders."""

WHY = "why.txt"

AFRESH = "afresh"
"""An empty file beside a cell: whoever trains it next begins anew, whatever was trained there before."""

RUNNING_OVER = 3600.0
"""Seconds after which a file that a job makes for a moment, to take a lock, is one that a kill left."""

log = logging.getLogger(__name__)


def set_aside(folder: Path, names: Iterable[str], *, why: str) -> Path | None:
    """Move files and folders of a cell to `set-aside/N/`, with a file that says why.

    Nothing is lost by a kill in between: the next call moves what is left, to a folder of its own.

    Returns
    -------
    Path or None
        Where they are; None if there was none of them.
    """
    there = [folder / name for name in names if (folder / name).exists()]
    if not there:
        return None
    above = folder / SET_ASIDE
    numbers = [int(path.name) for path in above.glob("*") if path.name.isdecimal()]
    place = above / str(max([0, *numbers]) + 1)
    place.mkdir(parents=True)
    (place / WHY).write_text(f"{time.strftime('%F %T %Z')}: {why}\n", encoding="utf-8")
    for path in there:
        path.rename(place / path.name)
    log.warning("%s: %s; set aside in %s", folder, why, place)
    return place


def ask_afresh(folders: Iterable[Path]) -> None:
    """Have cells trained anew by whoever trains them next, whatever is there."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / AFRESH).touch()


def remove_leftovers(folder: Path) -> None:
    """Remove what interrupted attempts left beside a cell that is finished: their record, and half-written files."""
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    Attempts(folder / LEDGER).forget()
    for path in [*folder.glob(".*.partial-*"), *folder.glob("wandb.partial"), *folder.glob("checkpoints/partial-*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in folder.glob(".lock-*"):
        with suppress(FileNotFoundError):  # of a job that looks at the lock just now
            if time.time() - path.stat().st_mtime > RUNNING_OVER:
                path.unlink()
    if (folder / "checkpoints").is_dir() and not any((folder / "checkpoints").iterdir()):
        (folder / "checkpoints").rmdir()
