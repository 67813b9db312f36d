"""Files that are either whole or absent."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and move it into place when the block ends without an error.

    Parameters
    ----------
    path : str or Path
        The file to be written. Its folder is made if absent.

    Yields
    ------
    Path
        Where to write. It has the same suffix as `path`, since many writers choose the format by it.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"cannot write {path}: {error.strerror} ({error.filename}). Choose a folder that you may write to."
        ) from error
    finally:
        partial.unlink(missing_ok=True) if partial.parent.is_dir() else None


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinities are refused: they are not JSON."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        If the file is missing or is not JSON; the message names the file and, for bad JSON, the line.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist.") from error
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}: not valid JSON ({error.msg}). Delete it and run again."
        ) from error


def check_writable(folder: Path) -> None:
    """Check that a folder can be written to, or made; nothing is made.

    Raises
    ------
    InputError
        If it cannot; the message names what stands in the way.
    """
    there = folder
    while not there.exists():
        there = there.absolute().parent
    if not there.is_dir():
        raise InputError(
            f"cannot write to {folder}: {there} is a file. Move it away, or choose another folder: --directory."
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(
            f"cannot write to {folder}: no permission for {there}. Ask for it, or choose another folder: --directory."
        )
