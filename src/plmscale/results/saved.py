"""Laws that were fitted before: one JSON file with a checksum, or a folder that another command wrote."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import atomic, read_as, read_json, read_object
from ..laws.fit import Fit, FitSettings, jsonable
from ..provenance import versions
from ..runs.curves import Curve
from .analysed import Analysed, read_analysed
from .layout import layout

FORMAT = "plmscale laws"
VERSION = 1


@dataclass(frozen=True)
class Saved:
    """Laws with what they rest on.

    Attributes
    ----------
    results : Analysed
    source : str
        Where the runs are from.
    notes : tuple of str
        What was assumed, mended or left out when they were read.
    seed : int
    settings : FitSettings
        What the fits were made with.
    """

    results: Analysed
    source: str = ""
    notes: tuple[str, ...] = ()
    seed: int = 0
    settings: FitSettings = field(default_factory=FitSettings)


def write_saved(saved: Saved, path: Path) -> None:
    """Write laws with their runs' smoothed curves: numbers to the last digit, and the SHA-256 of the content."""
    results = saved.results
    content = {
        "source": saved.source,
        "notes": list(saved.notes),
        "seed": saved.seed,
        "settings": asdict(saved.settings),
        "curves": [{one.name: getattr(curve, one.name) for one in fields(Curve)} for curve in results.curves],
        "fits": {name: {group: fit.to_json() for group, fit in own.items()} for name, own in results.fits.items()},
        "versions": versions(),
    }
    content = jsonable(content)
    head = {"format": FORMAT, "version": VERSION, "sha256": _sha256(content)}
    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a folder. Give the name of a file, such as laws.json.")
    with atomic(path) as partial:
        partial.write_text(json.dumps(head | {"content": content}, allow_nan=False) + "\n", encoding="utf-8")


def read_saved(path: str | Path) -> Saved:
    """What `write_saved` wrote, the folder that `plmscale fit` wrote or its fits/, or the results/ of a study.

    The settings of a study are not among its results: the defaults are taken where a question needs them.

    Raises
    ------
    InputError
        If it is none of these, was changed or cut short, or was written by a later version.
    """
    where = Path(path)
    if where.is_file():
        return _from_file(where)
    # `plmscale fit --out fits` makes a folder of this name that has fits/ of its own.
    own_fits = where.name == "fits" and any(where.glob("*.json")) and not (where / "curves.parquet").is_file()
    return _from_folder(where.parent if own_fits else where)


def _from_file(path: Path) -> Saved:
    try:
        written = read_json(path)
    except InputError as error:
        raise InputError(
            f"{path}: not a file of laws. Give what laws.save wrote, or a folder of results ({error})."
        ) from error
    if not isinstance(written, dict) or written.get("format") != FORMAT or "content" not in written:
        raise InputError(f"{path}: not a file of laws. Give what laws.save wrote, or a folder of results.")
    if written.get("version") != VERSION:
        raise InputError(
            f"{path}: version {written.get('version')!r} of the format; this plmscale reads version {VERSION}. Update "
            "plmscale, or fit and save again."
        )
    content = written["content"]
    if _sha256(content) != written.get("sha256"):
        raise InputError(f"{path}: its content is not what was saved (another SHA-256). Fit and save again.")
    with read_as("a file of laws", where=path):
        curves = [_curve(one) for one in content["curves"]]
        fits = {name: {g: Fit.from_json(fit) for g, fit in own.items()} for name, own in content["fits"].items()}
        settings = _settings(content["settings"])
        return Saved(Analysed(curves, fits), content["source"], tuple(content["notes"]), content["seed"], settings)


def _from_folder(folder: Path) -> Saved:
    files = layout(folder, asked="load_laws")
    results = read_analysed(files.curves, files.fits)
    record = files.folder / "import.json"
    if not record.is_file():
        return Saved(results, str(folder))
    asked = read_object(record)
    with read_as("the record of an analysis", where=record):
        request = asked["request"]
        settings = _settings(request["settings"])
        return Saved(results, asked["source"], tuple(asked["notes"]), request["seed"], settings)


def _settings(written: Mapping[str, Any]) -> FitSettings:
    values: dict[str, Any] = {}
    for key, value in written.items():
        values[key] = tuple(value) if isinstance(value, list) else value
    return FitSettings(**values)


def _curve(written: Mapping[str, Any]) -> Curve:
    """A curve from its JSON, in which NaN is None."""
    values: dict[str, Any] = {}
    for key, value in written.items():
        values[key] = math.nan if value is None else np.array(value, float) if isinstance(value, list) else value
    return Curve(**values)


def _sha256(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
