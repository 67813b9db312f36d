"""Remove a cell from a folder of results."""

import difflib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from ..errors import InputError
from ..training.lock import CellLock

CELL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*/[a-z_]+/seed\d+")


def named_cell(text: str | None, *, cells: Iterable[str]) -> str:
    """The cell that a user names, as model/subset/schedule/seedN or as a path to its folder or a file in it.

    Raises
    ------
    InputError
        If there is no such cell; the message has those of the nearest names.

    Examples
    --------
    >>> named_cell("results/runs/5M/uniref50/constant/seed0/run.json", cells=["5M/uniref50/constant/seed0"])
    '5M/uniref50/constant/seed0'
    """
    cells = list(cells)
    if not text:
        raise InputError("cell: none is named. Say which: --config cell=model/subset/schedule/seed0")
    found = CELL.search(str(text).removeprefix("results/runs/"))
    if found and found[0] in cells:
        return found[0]
    near = difflib.get_close_matches(str(text), cells, n=3, cutoff=0.3)
    raise InputError(f"cell: {text!r} is not a cell of this study. The nearest are {', '.join(near or cells[:3])}.")


def remove(cell: str, *, results: Path) -> list[Path]:
    """Delete the folder of a cell, its logs and its benchmark.

    Parameters
    ----------
    cell : str
        As model/subset/schedule/seedN.
    results : Path

    Returns
    -------
    list of Path
        What was deleted.

    Raises
    ------
    InputError
        If there is nothing of it, or while it is being trained.
    """
    if not CELL.fullmatch(cell):
        raise InputError(f"cell: {cell!r} is not a cell. Expected model/subset/schedule/seed0.")
    run = results / "runs" / cell
    files = [results / f"logs/{rule}/{cell}.log" for rule in ("cell", "train")]
    there = [path for path in (run, *files, results / f"benchmarks/train/{cell}.tsv") if path.exists()]
    if not there:
        raise InputError(f"cell: there is nothing of {cell!r} in {results}.")
    if run.is_dir():
        lock = CellLock(run)
        if holder := lock.take():
            raise InputError(
                f"cell: {cell!r} is being trained by {holder}. Stop that first (scancel, or a signal); on another "
                "machine it counts as gone a minute after its last sign of life."
            )
    for path in there:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return there
