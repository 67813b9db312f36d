"""Where the files of a folder of results are."""

from pathlib import Path
from typing import NamedTuple

from ..errors import InputError

PLACES = (".", "results", "own_runs", "results/own_runs")
"""Where results may lie under a folder that a user names."""


class Layout(NamedTuple):
    """The files of one folder of results.

    `holdout` is None for imported runs, which have no `records` and no `trunks` either.
    """

    folder: Path
    curves: Path
    fits: list[Path]
    records: list[Path]
    trunks: list[Path]
    holdout: Path | None

    @property
    def files(self) -> list[Path]:
        """Everything that is read."""
        return [self.curves, *self.fits, *self.records, *self.trunks, *([self.holdout] if self.holdout else [])]


def layout(folder: Path, *, asked: str = "compare") -> Layout:
    """The files of a folder of results: the `results` of this workflow, or what `plmscale fit` wrote.

    Parameters
    ----------
    folder : Path
    asked : str
        What asks for it; messages begin with it.

    Raises
    ------
    InputError
        If there are none, or no fits among them; the message says what would be right.
    """
    if not folder.is_dir():
        raise InputError(f"{asked}: the folder {str(folder)!r} does not exist. Give folders of results.")
    for place in PLACES:
        here = folder / place
        for curves, imported in ((here / "analysis/curves.parquet", False), (here / "curves.parquet", True)):
            if curves.is_file():
                return _layout(here, curves, imported=imported, asked=asked)
    raise InputError(
        f"{asked}: {folder} holds neither analysis/curves.parquet of a study nor curves.parquet of imported runs. "
        "Give the results/ of a finished study, or a folder that plmscale fit wrote."
    )


def _layout(folder: Path, curves: Path, *, imported: bool, asked: str) -> Layout:
    fits = sorted((folder / "fits").glob("*.json"))
    if not fits:
        raise InputError(f"{asked}: {folder}/fits has no fits. Finish it first: plmscale run, or plmscale fit.")
    if imported:
        return Layout(folder, curves, fits, [], [], None)
    holdout = folder / "subsets/holdout.json"
    records = sorted((folder / "runs").glob("*/*/*/seed*/run.json"))
    trunks = sorted((folder / "trunks").glob("*/*/seed*/trunk.json"))
    return Layout(folder, curves, fits, records, trunks, holdout if holdout.is_file() else None)
