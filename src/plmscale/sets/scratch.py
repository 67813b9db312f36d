"""A folder for temporary files that belongs to one user and one study, wherever it is asked for."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

from ..errors import InputError

SETTING = "clustering.scratch"

OF = "study.txt"
"""Says in a scratch folder which study it is of."""


@contextmanager
def scratch_folder(below: Path, *, study: Path, name: str) -> Iterator[Path]:
    """A folder for one set; it stays if the block fails, so that the next attempt goes on there.

    What MMseqs2 finds in it is taken for its own finished steps, so nobody else may have written there. The folder is
    in one that is named by user and study, is made with no rights for others, and is checked when it is there already.

    Parameters
    ----------
    below : Path
        Where it is made; others may use the same place, such as /tmp.
    study : Path
        The study's folder of sets.
    name : str
        Of the set.

    Raises
    ------
    InputError
        If there is something of that name that this user did not make for this study.
    """
    own = _own(below, study.resolve())
    work = own / name
    private_folder(work, setting=SETTING)
    yield work
    shutil.rmtree(work)


def _own(below: Path, study: Path) -> Path:
    """The folder of this user and study, made or checked."""
    key = blake2b(os.fsencode(study), digest_size=8).hexdigest()
    own = below.absolute() / f"plmscale-{os.geteuid()}-{key}"
    try:
        below.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{SETTING}: {below} cannot be made: {error.strerror}. Choose another.") from error
    private_folder(own, setting=SETTING)
    note = own / OF
    if not any(own.iterdir()):
        note.write_bytes(os.fsencode(study))
    if note.is_symlink() or not note.is_file() or note.read_bytes() != os.fsencode(study):
        raise _another(own, f"it is not of {study}", setting=SETTING)
    return own


def private_folder(folder: Path, *, setting: str) -> None:
    """Make a folder with no rights for others, or check that this user made it.

    Parameters
    ----------
    folder : Path
    setting : str
        The setting that asks for it, for messages.

    Raises
    ------
    InputError
        If it cannot be made, or there is something of that name that others made or may write to.
    """
    try:
        folder.mkdir(mode=0o700)
        return
    except FileExistsError:
        found = folder.lstat()
    except OSError as error:
        raise InputError(f"{setting}: {folder} cannot be made: {error.strerror}. Choose another.") from error
    if stat.S_ISLNK(found.st_mode) or not stat.S_ISDIR(found.st_mode):
        raise _another(folder, "it is a link, or no folder", setting=setting)
    if found.st_uid != os.geteuid():
        raise _another(folder, f"it belongs to the user {found.st_uid}", setting=setting)
    if found.st_mode & 0o022:
        raise _another(folder, f"others may write to it (mode {stat.S_IMODE(found.st_mode):o})", setting=setting)


def _another(folder: Path, why: str, *, setting: str) -> InputError:
    return InputError(
        f"{setting}: {folder} was not made by this study: {why}. Nothing in it is used or removed. Choose "
        "another folder, or move it away."
    )
