"""Exact tokens of the sets that exist already; reads their records alone."""

from collections.abc import Iterable
from pathlib import Path

from ..files import read_json


def counted_tokens(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """`n_tokens` of those subsets whose `{name}.json` already stands in `folder`; the others are left out."""
    found = {name: folder / f"{name}.json" for name in names}
    return {name: read_json(path)["n_tokens"] for name, path in found.items() if path.is_file()}
