"""The trunks of a study in its folder of results: which are needed, how far they are and how far they are to go."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_as, read_object
from ..study.grid import grid
from ..study.study import Study
from ..study.trunks import SCHEDULE, Trunk, trunks_of_records
from .attempts import RESULT

RECORD, ASKED = "trunk.json", "until_passes.txt"
"""Files of a trunk: its record, and how far it is to go."""


def trunks_here(study: Study, *, results: Path) -> dict[str, Trunk]:
    """The trunks of a study as far as its finished runs leave a use for them.

    A finished run is not trained again because of a budget that was added, removed, or because of `execution.branch`:
    one that was trained without a trunk does without, one that has one keeps it.

    Parameters
    ----------
    study : Study
    results : Path
        Folder of the results; nothing in it is changed.
    """
    found = (_finished(results / "runs" / cell.path) for cell in grid(study) if cell.schedule == SCHEDULE)
    return trunks_of_records(study, [record for record in found if record])


def to_count(found: Mapping[str, Trunk], *, results: Path) -> dict[str, Trunk]:
    """Trunks without those that nobody needs any more: all branches are finished, and the record was deleted.

    They are not trained again to be counted.
    """
    return {
        path: trunk
        for path, trunk in found.items()
        if (results / "trunks" / path / RECORD).is_file() or len(trunk.finished) < len(trunk.branches)
    }


def _finished(run: Path) -> dict[str, Any] | None:
    """The record of a finished run, also of one whose declared outputs Snakemake has just deleted."""
    for name in ("run.json", RESULT):
        if (run / name).is_file():
            try:
                found = read_object(run / name)
                return dict(found["record"] if name == RESULT else found)
            except (InputError, TypeError, ValueError):
                continue
    return None


def until_passes(trunk: Trunk, *, results: Path) -> float:
    """How far a trunk is to be trained: to its last branch, or to where it is, if that is further.

    A budget that is removed, or added between others, so leaves it as it is.
    """
    return max(trunk.until, reached(trunk, results=results))


def ask_again(found: Mapping[str, Trunk], *, results: Path) -> list[Path]:
    """Make what was asked of trunks newer than their records, and another text, where these are of less.

    A job that fails gets its `trunk.json` back from Snakemake, as new as if it had not failed: Snakemake would not run
    it again. An input that is newer does not count if it has the checksum that it noted: it gets one more empty line.

    Parameters
    ----------
    found : mapping of str to Trunk
    results : Path

    Returns
    -------
    list of Path
        The files that got it.
    """
    behind = [results / "trunks" / path for path, trunk in found.items() if not is_there(trunk, results=results)]
    asked = [folder / ASKED for folder in behind if (folder / ASKED).is_file() and (folder / RECORD).is_file()]
    for path in asked:
        with path.open("a") as file:
            file.write("\n")
    return asked


def is_there(trunk: Trunk, *, results: Path) -> bool:
    """Whether all branches of a trunk can leave it."""
    return reached(trunk, results=results) >= trunk.until


def reached(trunk: Trunk, *, results: Path) -> float:
    """Passes that the trunk on disk is good for; 0 without one, or where it is one of something else."""
    record = trunk_record(trunk, results=results)
    with read_as("the record of a trunk", where=results / "trunks" / trunk.path / RECORD):
        return float(record["until_passes"]) if record else 0.0


def trunk_record(trunk: Trunk, *, results: Path) -> dict[str, Any] | None:
    """The record of a trunk; None without one, or where it is one of something else."""
    try:
        there = read_object(results / "trunks" / trunk.path / RECORD)
        return there if there["cell"] == trunk.cell.frozen() else None
    except InputError:
        return None
