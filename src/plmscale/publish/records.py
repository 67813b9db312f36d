"""Files of a study as they are published: hosts have numbers in place of names."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..files import read_object, write_json
from .contents import Item

RECORDS = ("run.json", "trunk.json")
"""Files that name hosts."""


def is_record(path: str) -> bool:
    """Whether a file is written anew: it names hosts."""
    return path.rpartition("/")[2] in RECORDS


def copy_files(items: Iterable[Item], folder: Path) -> None:
    """Copy files to a folder; a host has the same number in all of them.

    Parameters
    ----------
    items : iterable of Item
    folder : Path
        The published folder.
    """
    numbers: dict[str, str] = {}
    for item in items:
        target = folder / item.target
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_record(item.target):
            write_json(target, numbered(read_object(item.source), numbers))
        else:
            shutil.copyfile(item.source, target)


def numbered(value: Any, numbers: dict[str, str]) -> Any:
    """A record with numbers in place of the names of hosts.

    Parameters
    ----------
    value : JSON value
    numbers : dict of str
        Number by name; a new name gets the next one.

    Examples
    --------
    >>> numbered({"attempts": [{"host": "node17", "world": 4}]}, {})
    {'attempts': [{'host': 'host 1', 'world': 4}]}
    """
    if isinstance(value, list):
        return [numbered(each, numbers) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: numbered(each, numbers) for key, each in value.items()}
    if isinstance(host := value.get("host"), str):
        found["host"] = numbers.setdefault(host, f"host {len(numbers) + 1}")
    return found
