"""Rows of a table in JSON: an object a line, or one list of objects."""

import json
from typing import Any

from ..errors import InputError


def json_rows(text: str, *, source: str, whole: bool = True) -> list[tuple[int, dict[str, Any]]]:
    """Line (or place in the list) and values of every object; objects within objects give names `outer.inner`.

    Parameters
    ----------
    text : str
        Text of the file, or its first part.
    source : str
        File, for messages.
    whole : bool
        Whether `text` is all of the file; if not, its last line is left out.

    Raises
    ------
    InputError
        If a line is no object, or a name stands twice in one.
    """
    if text.lstrip().startswith("["):
        return [(i, _flat(one, source, i)) for i, one in enumerate(_loaded(text, source, 1), start=1)] if whole else []
    lines = text.replace("\r\n", "\n").split("\n")
    lines = lines if whole else lines[:-1]
    filled = [(i, line) for i, line in enumerate(lines, start=1) if line.strip()]
    return [(i, _flat(_loaded(line, source, i), source, i)) for i, line in filled]


def _loaded(text: str, source: str, line: int) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}, line {line}: not an object of JSON ({error}).") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"the name {max(names, key=names.count)!r} stands twice")
    return dict(pairs)


def _flat(value: Any, source: str, line: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{source}, line {line}: {str(value)[:60]!r} is no object of names and values.")
    flat: dict[str, Any] = {}
    waiting = [("", value)]
    while waiting:
        before, inner = waiting.pop(0)
        for name, one in inner.items():
            full = before + name.strip()
            if isinstance(one, dict):
                waiting.append((f"{full}.", one))
            elif full in flat:
                raise InputError(f"{source}, line {line}: the name {full!r} stands twice.")
            else:
                flat[full] = one
    return flat
