"""A configuration as Snakemake puts it together: config/config.yaml, files over it, single values over these."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_text
from .yaml_text import LARGEST, parse_yaml


def read_configuration(files: Sequence[Path], values: Sequence[str] = (), *, root: Path) -> dict[str, Any]:
    """The settings that a command names.

    Parameters
    ----------
    files : sequence of Path
        Configurations, each laid over those before it: blocks are merged key by key, lists and values replaced.
    values : sequence of str
        `key=value`, the value as YAML.
    root : Path
        Folder of the workflow, with config/config.yaml.

    Raises
    ------
    InputError
        For a file that does not exist or is no YAML, with its line, and for a value without a key.
    """
    merged: dict[str, Any] = {}
    for path in (root / "config/config.yaml", *files):
        merged = overlaid(merged, read_yaml(path))
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--config: {text!r} is not a setting. Give key=value, such as source=proteins.fasta.gz.")
        merged = overlaid(merged, {key: parse_yaml(value, where=f"--config {text[:80]}")})
    return merged


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises
    ------
    InputError
        If it cannot be read, is no YAML (with line and column), or holds something else.
    """
    try:
        text = read_text(path, largest=LARGEST)
    except InputError as error:
        raise InputError(f"--configfile: {error} Give the path of a configuration (YAML).") from None
    found = parse_yaml(text, where=str(path))
    if not isinstance(found, dict | None):
        raise InputError(f"{path} holds {type(found).__name__}, no settings. Expected lines of the form key: value.")
    return found or {}


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`.

    Examples
    --------
    >>> overlaid({"a": {"x": 1, "y": 2}, "b": [1]}, {"a": {"x": 3}, "b": [2]})
    {'a': {'x': 3, 'y': 2}, 'b': [2]}
    """
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        merged[key] = overlaid(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
