"""Published numbers, computed again: `python -m plmscale.published.reproduce --data FOLDER_OR_URL`."""

import argparse
import json
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

from ..errors import InputError
from ..files import write_json
from ..runs.importers import published, scaling_protein_lm
from ..runs.table_files import is_table
from .reproductions import REPRODUCTIONS

MOST_BYTES = 200_000_000
"""A table that is downloaded may not be larger."""
TIMEOUT = 60.0


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


def targets() -> dict[str, dict[str, Any]]:
    """Published numbers by data set: title, source, where the data are, and `numbers` with value and tolerance."""
    return json.loads(files("plmscale.published").joinpath("published_targets.json").read_text(encoding="utf-8"))


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


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Command line."""
    places = "\n".join(f"  {name:20}{target['data']}" for name, target in targets().items() if target["data"] != "none")
    parser = argparse.ArgumentParser(
        prog="python -m plmscale.published.reproduce",
        description="Published numbers beside ours, for every data set found; exit status 1 if one differs.",
        epilog=f"data sets:\n{places}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", nargs="+", default=[], metavar="PATH", help="tables, folders or http(s) URLs")
    parser.add_argument("--bootstrap", type=int, default=4000, help="resamples behind standard errors (4000)")
    parser.add_argument("--json", type=Path, help="also write the verdicts to this file")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Print every number; exit with 1 if one differs."""
    args = parse(argv)
    verdicts: list[ReproductionVerdict] = []
    try:
        if not 2 <= args.bootstrap <= 4000:
            raise InputError(f"--bootstrap is {args.bootstrap}; it must be 2 to 4000, as many as were published.")
        with tempfile.TemporaryDirectory() as temporary:
            roots = [download(p, Path(temporary)) if "://" in p else Path(p) for p in args.data]
            sets = _best_versions([pair for root in roots for pair in find(root)])
            if args.data and not sets:
                raise InputError(f"no known data set in {', '.join(args.data)}; --help lists them.")
            for name, path in [*sets, ("synthetic_approach2", Path())]:
                own = judge(name, path, n_bootstrap=args.bootstrap)
                print(report(name, path if path.name else None, own), end="\n\n", flush=True)
                verdicts += own
        if args.json:
            write_json(args.json, [verdict._asdict() | {"agrees": verdict.agrees} for verdict in verdicts])
    except InputError as error:
        sys.exit(f"error: {error}")
    failed = [verdict for verdict in verdicts if not verdict.agrees]
    print(f"{len(verdicts) - len(failed)} of {len(verdicts)} numbers agree.")
    for verdict in failed:
        print(f"differs: {verdict.dataset}, {verdict.title}: {verdict.row[1]} published, {verdict.row[2]} here")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
