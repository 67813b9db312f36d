"""Names and paths in settings: those that Snakemake, the shell or a file system would take for something else."""

import re
from typing import TypeVar
from urllib.parse import urlsplit

from .urls import file_name, has_secrets

Item = TypeVar("Item", str, int)

ENDS_WITH_BUDGET = frozenset({"cosine", "wsd"})
"""Schedules whose shape depends on the run's token budget."""

_IN_PATHS = re.compile(r"[{}\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST_PATH, _LONGEST_NAME = 4000, 255


def check_path(path: str | None) -> None:
    """Check a path that a rule has among its files; a URL is checked by its file's name.

    Raises
    ------
    ValueError
        For braces, which are wildcards to Snakemake, control characters, a leading dash, and what is too long.
    """
    if path is None:
        return
    if found := _IN_PATHS.search(path):
        raise ValueError(f"the path holds {found[0]!r}, which Snakemake cannot carry. Rename the file, or link to it")
    if path.startswith("-"):
        raise ValueError("the path begins with a dash, as an option does. Write ./ before it")
    if len(path.encode()) > _LONGEST_PATH or max(len(part.encode()) for part in path.split("/")) > _LONGEST_NAME:
        raise ValueError(f"a path has at most {_LONGEST_PATH} bytes, each name in it {_LONGEST_NAME}")


def check_url(url: str | None) -> str | None:
    """Give a path or URL back if it can be downloaded, and recorded for everybody to read.

    Raises
    ------
    ValueError
        For a URL with a password or a token, without a host, or without the name of a file at its end.
    """
    if url is None or "://" not in url:
        return url
    if has_secrets(url):
        raise ValueError(
            "a user, password or token in a URL would be in every log and record. Put it into ~/.netrc, which is read, "
            "or download the file yourself and give its path"
        )
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ValueError("the URL has no host, or white space in it")
    if file_name(url) is None:
        raise ValueError("the URL does not end with the name of a file (letters, digits and . _ + = @ ~ -)")
    return url


def each_once(values: list[Item]) -> list[Item]:
    """Give a list back if nothing is in it twice.

    Raises
    ------
    ValueError
        With what is.
    """
    if twice := [value for i, value in enumerate(values) if value in values[:i]]:
        raise ValueError(f"{twice[0]!r} is there twice")
    return values
