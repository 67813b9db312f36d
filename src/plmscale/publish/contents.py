"""Which files of a study are published, and where they lie then."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..results.layout import Layout, layout

CELL_FILES = ("cell.json", "run.json", "metrics.parquet")
TRUNK_FILES = ("cell.json", "trunk.json", "metrics.parquet")
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Item:
    """A file of a study.

    Attributes
    ----------
    source : Path
        Where it is.
    target : str
        Where it goes, below the published folder, with `/`.
    kind : str
        What it is, as the dry run and the metadata name it.
    """

    source: Path
    target: str
    kind: str


PARTS = {
    "tables": ("tables/**/*", "table"),
    "figures": ("figures/**/*", "figure"),
    "fits": ("fits/*.json", "fitted law"),
    "analysis": ("analysis/*", "analysis"),
    "forecast": ("forecast/*", "forecast"),
    "plan": ("plan/*", "plan"),
    "sets": ("subsets/*.json", "counts of a set"),
    "store": ("store/stats.json", "counts of the proteins"),
    "report": ("report.html", "report"),
    "summary": ("summary.*", "summary"),
}
"""Files of `results/` by pattern."""

OPTIONAL = ("analysis", "cards", "figures", "fits", "lock", "plan", "report", "summary", "tables")
"""Parts that may be left out: each can be made again from the others. Those of `PARTS`, and what is written then."""


def contents(results: Path, *, weights: bool, without: Collection[str] = ()) -> list[Item]:
    """The files of a study that are published; runs that are not finished are left out.

    Parameters
    ----------
    results : Path
        Folder of results, or a folder that has it.
    weights : bool
        Whether the weights of the models go with them.
    without : collection of str
        Parts that are left out (`OPTIONAL`).

    Raises
    ------
    InputError
        If it holds no finished study.
    """
    found = _items(finished(results), weights=weights, without=without)
    return sorted({item.target: item for item in found}.values(), key=lambda item: item.target)


def finished(results: Path) -> Layout:
    """Where the files of a study are.

    Raises
    ------
    InputError
        If there is no study, no law, or no run.
    """
    files = layout(results, asked="publish")
    if not files.records:
        raise InputError(
            f"publish: {files.folder} has no finished run of a study. Give the results/ of one that plmscale run made."
        )
    return files


def _items(files: Layout, *, weights: bool, without: Collection[str]) -> Iterator[Item]:
    for pattern, kind in (what for part, what in PARTS.items() if part not in without):
        for path in sorted(files.folder.glob(pattern)):
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(files.folder).parts):
                yield _item(files.folder, path, kind)
    for record in files.records:
        for name in (*CELL_FILES, *([WEIGHTS] if weights else [])):
            kind = "weights of a model" if name == WEIGHTS else "run"
            yield _item(files.folder, _there(record.with_name(name)), kind)
    for record in files.trunks:
        for name in TRUNK_FILES:
            if record.with_name(name).is_file():
                yield _item(files.folder, record.with_name(name), "trunk")


def _item(folder: Path, path: Path, kind: str) -> Item:
    return Item(path, f"results/{path.relative_to(folder).as_posix()}", kind)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            f"publish: {path} is missing, though its run is done. Run the study again, or remove the cell."
        )
    return path
