"""Two or more folders of results, or schedules and sets of one, side by side."""

from collections.abc import Sequence
from pathlib import Path

from ..laws.fit import FitSettings
from .arms import comparisons
from .report import find, write
from .studies import read_studies


def compare(
    folders: Sequence[Path],
    out: Path,
    *,
    names: Sequence[str] = (),
    by: Sequence[str] = (),
    settings: FitSettings | None = None,
    seed: int = 0,
) -> None:
    """Compare folders of results, and write tables, figures and `summary.txt`.

    Parameters
    ----------
    folders : sequence of Path
        Each the `results/` of a study, or what `plmscale fit` wrote.
    out : Path
        See `plmscale.compare.report.write`.
    names, by : sequences of str
        See `plmscale.compare.studies.read_studies` and `plmscale.compare.arms.comparisons`.
    settings, seed : FitSettings, optional; int
        For the laws that are fitted to single sets.

    Raises
    ------
    InputError
        If a folder is not one of results, or there is nothing to compare.
    """
    members = read_studies(folders, names=names)
    found = [find(one) for one in comparisons(members, by=by, settings=settings, seed=seed)]
    write(members, found, out)
