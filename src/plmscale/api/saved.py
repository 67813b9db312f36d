"""Laws in one JSON file, and laws of the folders that other commands write."""

from pathlib import Path

from ..results.saved import read_saved, write_saved
from .laws import Laws


def save(laws: Laws, path: Path) -> None:
    """Write laws with their runs' smoothed curves: numbers to the last digit, and the SHA-256 of the content."""
    write_saved(laws.saved, path)


def load_laws(path: str | Path) -> Laws:
    """Read laws that were fitted before.

    Parameters
    ----------
    path : str or Path
        What `Laws.save` wrote; the folder that `plmscale fit` wrote, or its fits/; or the results/ of a study, whose
        settings are not among them: the defaults are taken where a question needs them.

    Returns
    -------
    Laws
        With the same answers as those that were saved.

    Raises
    ------
    InputError
        If it is none of these, was changed or cut short, or was written by a later version.
    """
    read = read_saved(path)
    return Laws(read.results, source=read.source, notes=read.notes, seed=read.seed, settings=read.settings)
