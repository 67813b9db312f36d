"""Files of a study as they are published: hosts have numbers in place of names, and no link leads to nothing."""

import html
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..files import read_object, read_text, write_json
from .contents import Item

RECORDS = ("run.json", "trunk.json")
"""Files that name hosts."""

REPORT, LINKED = "results/report.html", ("figures", "tables")
"""The page, and the parts that it has links to."""


def copy_files(
    items: Iterable[Item], folder: Path, *, without: Collection[str] = (), paths: Mapping[str, str] | None = None
) -> None:
    """Copy files to a folder; a host has the same number in all of them.

    Parameters
    ----------
    items : iterable of Item
    folder : Path
        The published folder.
    without : collection of str
        Parts that are left out.
    paths : mapping, optional
        What the report has in place of some paths.
    """
    numbers: dict[str, str] = {}
    for item in items:
        target = folder / item.target
        target.parent.mkdir(parents=True, exist_ok=True)
        if item.target == REPORT:
            text = without_links(read_text(item.source), [part for part in LINKED if part in without])
            for path, name in (paths or {}).items():
                text = text.replace(html.escape(path), html.escape(name))
            target.write_text(text, encoding="utf-8")
        elif target.name in RECORDS:
            write_json(target, numbered(read_object(item.source), numbers))
        else:
            shutil.copyfile(item.source, target)


def without_links(page: str, parts: Collection[str]) -> str:
    """The report without links to some parts.

    Parameters
    ----------
    page : str
    parts : collection of str
        Folders beside the page.

    Examples
    --------
    >>> without_links('<p class="files">Law: <a href="figures/law.pdf">pdf</a></p><p>End</p>', ["figures"])
    '<p>End</p>'
    """
    links = "|".join(rf'<a href="{re.escape(part)}/[^"]*">[^<]*</a>' for part in parts)
    return re.sub(r'<p class="files">[^<]*</p>', "", re.sub(links, "", page)) if links else page


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
