"""A forecast as a file: dated, with hashes of data and code, and with a checksum that shows a later edit."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_json, write_json

FORMAT = "plmscale forecast 1"
"""First value of every file."""

KEYS = ("made", "versions", "code", "data", "cells", "sizes", "laws")
"""What every file has besides its format and checksum."""


def checksum(content: Mapping[str, Any]) -> str:
    """SHA-256 of a forecast's content, whatever the order of its keys; its own checksum does not count."""
    kept = {key: value for key, value in content.items() if key != "checksum"}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_forecast(path: Path, content: Mapping[str, Any]) -> None:
    """Write a forecast, once.

    Raises
    ------
    InputError
        If there is one already: a forecast that can be made again is none.
    """
    if path.exists():
        raise InputError(
            f"{path}: there is a forecast already, made on {read_forecast(path)['made']}. It stays as it is; choose "
            "another file, or remove this one to make another."
        )
    whole = {"format": FORMAT, **content}
    write_json(path, whole | {"checksum": checksum(whole)})


def read_forecast(path: Path) -> dict[str, Any]:
    """The forecast that `write_forecast` wrote.

    Raises
    ------
    InputError
        If it is something else, or was changed since.
    """
    found = read_json(path)
    if not isinstance(found, dict) or found.get("format") != FORMAT or not set(KEYS) <= set(found):
        raise InputError(f"{path}: not a forecast of this package ({FORMAT}). Make one with `plmscale forecast`.")
    if checksum(found) != found.get("checksum"):
        raise InputError(
            f"{path}: the forecast was changed after it was made: its content has the SHA-256 {checksum(found)}, "
            f"recorded is {found.get('checksum')}. Take back the change; a changed forecast is not scored."
        )
    return found
