"""Files that are either whole or absent."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of the operating system that mean: there is no room for this file."""


BROKEN = (errno.EROFS, errno.EIO, errno.ESTALE)
"""Errors of a file system that became read-only, or is gone."""


def no_room(error: BaseException) -> bool:
    """Whether a write failed because the disk or the quota is full.

    safetensors and torch report what the system said in their own exceptions' text alone.
    """
    said = os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT)
    return getattr(error, "errno", None) in FULL or any(text in str(error) for text in said)


def why_no_room(folder: Path, n_bytes: int) -> str:
    """Why a file of so many bytes cannot be written into a folder, by an attempt at it; empty if it can."""
    probe = folder / f".room.partial-{os.getpid()}"
    try:
        opened = os.open(probe, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.posix_fallocate(opened, 0, n_bytes)
        finally:
            os.close(opened)
            probe.unlink(missing_ok=True)
    except OSError as error:
        return f"disk full ({error.strerror})" if no_room(error) else f"{error.strerror}"
    return ""


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what to do where a file or folder cannot be written."""
    try:
        yield
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"cannot write {path}: {error.strerror} ({error.filename}). Choose a folder that you may write to."
        ) from error
    except Exception as error:  # libraries tell of a full disk by errors of several classes
        if no_room(error):
            mend = "Make room there, or raise the quota; run again."
            raise InputError(f"cannot write {path}: disk full ({error}). {mend}") from error
        if isinstance(error, OSError) and error.errno in BROKEN:
            raise InputError(f"cannot write {path}: {error.strerror}. Mend the file system; run again.") from error
        raise


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
        If the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            sync_file(partial)
            partial.replace(path)
            sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True) if partial.parent.is_dir() else None


@contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `folder`, and rename it when the block ends without an error.

    Parameters
    ----------
    folder : str or Path
        The folder to be written: it must not exist, or be empty.

    Yields
    ------
    Path
        Where to write. A process that is killed leaves it behind under its name `.….partial-…`.

    Raises
    ------
    InputError
        If there is something already, or the folder above cannot be written to.
    """
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"{folder} exists already. Remove it, or choose another folder.")
    partial = folder.absolute().with_name(f".{folder.absolute().name}.partial-{os.getpid()}")
    try:
        with _explained(folder):
            partial.mkdir(parents=True)
            yield partial
            for path in partial.rglob("*"):
                sync_folder(path) if path.is_dir() else sync_file(path)
            sync_folder(partial)
            partial.replace(folder)
            sync_folder(folder.absolute().parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sync_file(path: Path) -> None:
    """Force the contents of a file to disk (fsync(2))."""
    with path.open("rb") as written:
        os.fsync(written.fileno())


def sync_folder(folder: Path) -> None:
    """Force the entries of a folder to disk: without it a crash may undo a rename (fsync(2), notes).

    Network file systems that cannot do this answer EINVAL; their servers order it themselves.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(opened)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinities are refused: they are not JSON."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


def check_writable(folder: Path, *, option: str = "--directory") -> None:
    """Check that a folder can be written to, or made; nothing is made.

    Parameters
    ----------
    folder : Path
    option : str
        What names the folder on the command line, for the message.

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
            f"cannot write to {folder}: {there} is a file. Move it away, or choose another folder: {option}."
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(
            f"cannot write to {folder}: no permission for {there}. Ask for it, or choose another folder: {option}."
        )
