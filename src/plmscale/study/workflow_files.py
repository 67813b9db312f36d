"""Where the workflow is: in the checkout that the package runs from, or carried by the installed package."""

from pathlib import Path

from ..errors import InputError

CARRIED = "_workflow"
"""Folder of the installed package with the files of the workflow (hatch_build.py)."""

MARKS = ("Snakefile", "workflow/rules/common.smk", "config/config.yaml")
"""Files by which the folder is known."""


def workflow_root(package: Path | None = None) -> Path:
    """The folder of Snakefile, workflow/, config/, profiles/, envs/ and resources/example/.

    Parameters
    ----------
    package : Path, optional
        Folder of the package; left out, of this one.

    Raises
    ------
    InputError
        If they are neither in the package nor in a checkout around it.
    """
    package = package or Path(__file__).resolve().parents[1]
    places = package / CARRIED, package.parents[1]  # an installed wheel; src/plmscale of a checkout
    for place in places:
        if all((place / mark).is_file() for mark in MARKS):
            return place
    raise InputError(
        f"the workflow's files ({MARKS[0]}, workflow/, config/) are neither in {places[0]} nor in {places[1]}. "
        "Install plmscale from its wheel (pip install plmscale), or run it from a clone of the repository."
    )
