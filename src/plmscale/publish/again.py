"""The analysis of a published study once more, from its records: what it starts from, and what differs then."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from ..errors import InputError
from ..files import read_text
from ..study.grid import grid
from ..study.study import load_study
from ..study.workflow_files import workflow_root
from .configuration import FOLDER
from .publish import sha256
from .read_me import CHECKSUMS

TAKEN = ("runs", "trunks", "subsets", "store", "forecast")
"""Folders of `results/` that the analysis starts from."""

COMPARED = ("tables/*.tsv", "fits/*.json", "analysis/*.json", "summary.txt")
"""What it makes, as text."""

TOLERANCE = 1e-6
"""Relative, of numbers: processors and libraries of linear algebra differ in the last digits."""

_NUMBER = re.compile(r"[-−+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Compared(NamedTuple):
    """A file, published and made again.

    Attributes
    ----------
    path : str
        Below `results/`.
    largest : float
        Largest relative difference of its numbers; 0 if they are the same.
    otherwise : str
        The first line that differs in more than numbers, as it is now; empty if none does.
    """

    path: str
    largest: float
    otherwise: str

    @property
    def agrees(self) -> bool:
        """Whether it says the same."""
        return not self.otherwise and self.largest <= TOLERANCE


def lay_out(published: Path, out: Path) -> Path:
    """Copy the records of a published study to a new folder, so that Snakemake takes them and makes the rest.

    Returns
    -------
    Path
        The configuration in the new folder.

    Raises
    ------
    InputError
        If it is no published study, a cell has no record, a file is not as published, or the new folder has something
        in it.
    """
    configuration = published / FOLDER / "study.yaml"
    if not configuration.is_file():
        raise InputError(f"--study: {published} has no {FOLDER}/study.yaml. Give a folder that plmscale publish wrote.")
    if out.exists() and any(out.iterdir()):
        raise InputError(f"--out: {out} has something in it. Name a new folder.")
    _complete(published)
    _unchanged(published)
    for name in (FOLDER, *(f"results/{part}" for part in TAKEN)):
        if (published / name).is_dir():
            shutil.copytree(published / name, out / name)
    now = time.time()
    for path in out.rglob("*"):  # none is newer than another, and none older than the proteins
        os.utime(path, (now, now))
    return out / FOLDER / "study.yaml"


def _complete(published: Path) -> None:
    raw = yaml.safe_load(read_text(published / FOLDER / "study.yaml"))
    raw |= {key: str(published / raw[key]) for key in ("models", "subsets")}
    cells = grid(load_study(raw, base=workflow_root()))
    missing = [cell.path for cell in cells if not (published / "results/runs" / cell.path / "run.json").is_file()]
    if missing:
        raise InputError(
            f"--study: {len(missing)} of {len(cells)} cells have no record in {published}, as {missing[0]}: a study "
            "that was not finished cannot be analysed again."
        )


def _unchanged(published: Path) -> None:
    lines = read_text(published / CHECKSUMS).splitlines()
    listed = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    for path, digest in listed.items():
        if not (published / path).is_file():
            raise InputError(
                f"--study: {published / path} is missing, though {CHECKSUMS} lists it. Get the folder again."
            )
        if sha256(published / path) != digest:
            raise InputError(f"--study: {published / path} is not as published, by {CHECKSUMS}. Get the folder again.")


def compared(published: Path, out: Path) -> list[Compared]:
    """What the published study says and what came out, file by file.

    Raises
    ------
    InputError
        If the published study has nothing that could be compared.
    """
    found = list(_compared(published / "results", out / "results"))
    if not found:
        raise InputError(f"--study: {published}/results has no tables, fits or summary to compare with.")
    return found


def _compared(before: Path, after: Path) -> Iterator[Compared]:
    for pattern in COMPARED:
        for path in sorted(before.glob(pattern)):
            name = path.relative_to(before).as_posix()
            if not (after / name).is_file():
                yield Compared(name, 0.0, "the file is not made any more")
                continue
            yield _differences(name, read_text(path), read_text(after / name))


def _differences(name: str, before: str, after: str) -> Compared:
    """How two texts differ.

    Examples
    --------
    >>> _differences("t.tsv", "a\\t2.0", "a\\t2.5")
    Compared(path='t.tsv', largest=0.2, otherwise='')
    >>> _differences("t.tsv", "a\\t2.0", "a\\t2.00").agrees
    True
    >>> _differences("t.tsv", "a\\t2", "b\\t2").otherwise
    'b\\t2'
    """
    largest = 0.0
    old, new = before.splitlines(), after.splitlines()
    if len(old) != len(new):
        return Compared(name, largest, f"{len(new)} lines, not {len(old)}")
    for was, now in zip(old, new, strict=True):
        if was == now:
            continue
        if _NUMBER.sub("0", was) != _NUMBER.sub("0", now):
            return Compared(name, largest, now)
        pairs = zip(_NUMBER.findall(was), _NUMBER.findall(now), strict=True)
        numbers = [(float(a.replace("−", "-")), float(b.replace("−", "-"))) for a, b in pairs]
        largest = max([largest, *(abs(a - b) / max(abs(a), abs(b)) for a, b in numbers if a != b)])
    return Compared(name, largest, "")
