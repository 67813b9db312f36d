"""Published numbers, computed again from published data."""

import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

from ..errors import InputError
from ..runs.importers import published, scaling_protein_lm
from ..runs.table_files import is_table
from .reproductions import REPRODUCTIONS
from .targets import targets

MOST_BYTES = 200_000_000
"""A table that is downloaded may not be larger."""
TIMEOUT = 60.0

SYNTHETIC = "synthetic_approach2"
"""A set of numbers that needs no data."""


class ReproductionVerdict(NamedTuple):
    """One number: what was published, what came out, and whether they agree within the tolerance."""

    dataset: str
    title: str
    published: float
    ours: float | None
    tolerance: float
    relative: bool
    by: str

    @property
    def agrees(self) -> bool:
        """Whether the number was reproduced."""
        if self.ours is None:
            return False
        allowed = self.tolerance * (abs(self.published) if self.relative else 1.0)
        # Equal decimal numbers may differ in their last bit.
        return bool(abs(self.ours - self.published) <= allowed + 1e-12 * abs(self.published))

    @property
    def row(self) -> list[str]:
        """Cells of the printed table."""
        ours = "none" if self.ours is None else f"{self.ours:.8g}"
        tolerance = f"{self.tolerance:g}{' rel' * self.relative}"
        return [self.title, f"{self.published:.8g}", ours, tolerance, "agrees" if self.agrees else "DIFFERS"]


def find(root: Path) -> list[tuple[str, Path]]:
    """Data sets at a path or below it: a table that is one, or the folder that holds its files."""
    if not root.exists():
        raise InputError(f"{root} does not exist.")
    tables = [root] if root.is_file() else [p for p in sorted(root.rglob("*")) if p.is_file() and is_table(p)]
    found = [(name, path) for path in tables for name, one in REPRODUCTIONS.items() if one.matches(path)]
    if root.is_dir():
        known = {name for name, _ in found}
        # Exports in many files: the folder that was given holds them.
        if "gadre" not in known and published.gadre_models(root):
            found.append(("gadre", root))
        if "cheng_plm" not in known and scaling_protein_lm.files_of(root):
            found.append(("cheng_plm", root))
    # Of several versions of one table (all runs, those fitted) the numbers belong to one: the others are no failure.
    return _best_versions(found)


def judge(name: str, path: Path, *, n_bootstrap: int) -> list[ReproductionVerdict]:
    """Every published number of a data set beside ours."""
    ours = {key: float(value) for key, value in REPRODUCTIONS[name].numbers(path, n_bootstrap).items()}
    return [
        ReproductionVerdict(name, n["title"], n["value"], ours.get(n["key"]), n["tolerance"], n["relative"], n["by"])
        for n in targets()[name]["numbers"]
    ]


def report(name: str, path: Path | None, verdicts: Sequence[ReproductionVerdict]) -> str:
    """A data set as text: its source, then a line per number."""
    target = targets()[name]
    rows = [["number", "published", "ours", "tolerance", "verdict"], *(verdict.row for verdict in verdicts)]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = [target["title"], f"  source: {target['source']}" + (f"\n  data: {path}" if path else "")]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells))
    others = sorted({verdict.by for verdict in verdicts if verdict.by != "published"})
    lines += [f"  Some values are not the source's own but by {by}." for by in others]
    return "\n".join(lines)


def download(url: str, folder: Path) -> Path:
    """A table from an http(s) URL, into `folder`.

    Raises
    ------
    InputError
        If it is not http(s), cannot be had, or is too large.
    """
    parts = urlparse(url)
    name = Path(parts.path).name
    if parts.scheme not in ("http", "https"):
        raise InputError(f"{url}: give a path, or an http(s) URL of a table.")
    target = folder / (name if is_table(Path(name)) else f"{name or 'table'}.csv")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, target.open("wb") as file:
            if int(answer.headers.get("Content-Length") or 0) > MOST_BYTES:
                raise InputError(f"{url}: more than {MOST_BYTES:,} bytes. Download it and give its path.")
            shutil.copyfileobj(answer, file)
    except (urllib.error.URLError, OSError) as error:
        raise InputError(f"{url} cannot be had: {error}. Download it and give its path.") from error
    return target


def _best_versions(found: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    by_name: dict[str, list[Path]] = {}
    for name, path in found:
        by_name.setdefault(name, []).append(path)
    return [(name, min(paths, key=lambda path: _misses(name, path))) for name, paths in by_name.items()]


def _misses(name: str, path: Path) -> float:
    """Distance of a table's number of points from the published one; 0 where none is published."""
    wanted = next((n["value"] for n in targets()[name]["numbers"] if n["key"] == "n_points"), None)
    if wanted is None or path.is_dir():
        return 0.0
    return abs(REPRODUCTIONS[name].numbers(path, 2).get("n_points", 0.0) - wanted)


def reproduce(data: Sequence[str], *, n_bootstrap: int) -> Iterator[tuple[str, Path | None, list[ReproductionVerdict]]]:
    """Every data set found, with its verdicts, and one that needs no data.

    Parameters
    ----------
    data : sequence of str
        Tables, folders or http(s) URLs of tables.
    n_bootstrap : int
        Resamples behind standard errors, 2 to 4000.

    Raises
    ------
    InputError
        If a place holds no known data set, or cannot be read.
    """
    if not 2 <= n_bootstrap <= 4000:
        raise InputError(f"--bootstrap is {n_bootstrap}; it must be 2 to 4000, as many as were published.")
    with tempfile.TemporaryDirectory() as temporary:
        roots = [download(place, Path(temporary)) if "://" in place else Path(place) for place in data]
        sets = _best_versions([pair for root in roots for pair in find(root)])
        if data and not sets:
            raise InputError(f"no known data set in {', '.join(data)}; --help lists them.")
        for name, path in sets:
            yield name, path, judge(name, path, n_bootstrap=n_bootstrap)
    yield SYNTHETIC, None, judge(SYNTHETIC, Path(), n_bootstrap=n_bootstrap)
