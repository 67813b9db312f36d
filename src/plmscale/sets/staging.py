"""Store and sets on a disk of the node: copied there once, shared by the node's jobs, removed by the last.

Training reads residues at random places, which a shared file system may be slow at. What is copied has a folder of its
own, named after the files that it is of (path, inode, size, time). Everybody who reads it holds a shared lock
(flock(2), which the kernel lets go when a process dies); who copies or removes it holds the lock alone. A copy is
compared with what was read, and renamed into place when it is whole. So a killed copy is never read, and what killed
jobs leave is removed by the next that stages anything. Where staging is not possible, files are read where they are.
"""

import fcntl
import logging
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from ..errors import InputError
from .scratch import private_folder

SETTING = "execution.staging"

STORE, STORE_LINKS = ("tokens.npy", "offsets.npy", "stats.json"), ("keys.npy", "ids.txt")
"""Files of a store that training reads, and those that need only be there."""

ROOM = 1.02
"""Free bytes that must be there for a byte to copy."""

CHUNK = 1 << 23

log = logging.getLogger(__name__)


@contextmanager
def staged(store: Path, sets: Sequence[Path], *, below: str) -> Iterator[tuple[Path, list[Path]]]:
    """Copies of a store and of sets on this node while the block runs, or the files themselves.

    Parameters
    ----------
    store : Path
        Folder of the token store.
    sets : sequence of Path
        Files of ids.
    below : str
        Folder on a disk of the node; environment variables in it are those of the job. Empty: nothing is copied.

    Yields
    ------
    Path
        The store to read.
    list of Path
        The sets to read, in the order given.
    """
    found = (store, list(sets))
    with ExitStack() as stack:
        if below:
            try:
                with ExitStack() as entries:
                    found = _staged(store, sets, below=below, entries=entries)
                    stack.push(entries.pop_all())
            except (OSError, InputError) as error:
                why = str(error).rstrip(".")
                log.warning("not staged: %s. Store and sets are read where they are.", why)
        yield found


def _staged(store: Path, sets: Sequence[Path], *, below: str, entries: ExitStack) -> tuple[Path, list[Path]]:
    """The copies; `entries` holds their locks."""
    area = _area(below)
    copies = [_Entry(area, [store / name for name in STORE], links=[store / name for name in STORE_LINKS])]
    copies += [_Entry(area, [path]) for path in sets]
    _sweep(area, spared={each.folder.name for each in copies})
    folders = [entries.enter_context(each) for each in copies]
    return folders[0], [folder / path.name for folder, path in zip(folders[1:], sets, strict=True)]


def _area(below: str) -> Path:
    """The folder of this user's copies, made or checked."""
    folder = Path(os.path.expandvars(below))
    if "$" in str(folder) or not folder.is_absolute():
        raise InputError(f"{SETTING} is {below!r}, on this node {str(folder)!r}, which is no absolute path")
    if not folder.is_dir():
        raise InputError(f"{SETTING}: there is no folder {folder} on this node")
    area = folder / f"plmscale-{os.geteuid()}-staged"
    private_folder(area, setting=SETTING)
    return area


class _Entry:
    """The copies of some files, in one folder.

    Parameters
    ----------
    area : Path
    files : sequence of Path
        What is copied.
    links : sequence of Path
        What is linked to where it is.
    """

    def __init__(self, area: Path, files: Sequence[Path], *, links: Sequence[Path] = ()) -> None:
        self._files, self._links = files, links
        self.folder = area / _key([*files, *links])
        self._lock = _lock_of(self.folder)
        self._fd = -1

    def __enter__(self) -> Path:
        while True:
            self._fd = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_SH)  # waits for a copy under way
                if not self._is_there():
                    fcntl.flock(self._fd, fcntl.LOCK_EX)
                    if _is_current(self._fd, self._lock) and not self.folder.is_dir():
                        self._copy()
                    fcntl.flock(self._fd, fcntl.LOCK_SH)  # lets go for an instant, in which another may remove it
                if self._is_there():
                    return self.folder
            except BaseException:
                self.__exit__()
                raise
            os.close(self._fd)

    def __exit__(self, *_: object) -> None:
        try:
            _remove_unused(self._fd, self.folder)
        finally:
            os.close(self._fd)

    def _is_there(self) -> bool:
        return _is_current(self._fd, self._lock) and self.folder.is_dir()

    def _copy(self) -> None:
        """Copy, compare, and rename into place; under the lock, held alone."""
        needed, free = ROOM * sum(path.stat().st_size for path in self._files), shutil.disk_usage(self._lock).free
        if needed > free:
            where = self.folder.parent.parent
            raise InputError(f"{SETTING}: {needed / 1e9:.3g} GB are needed in {where}, {free / 1e9:.3g} GB are free")
        _remove_partial(self.folder)
        partial = _partial(self.folder)
        partial.mkdir(mode=0o700)
        try:
            for path in self._files:
                _copied(path, partial / path.name)
            for path in self._links:
                (partial / path.name).symlink_to(path.resolve())
            partial.rename(self.folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _key(paths: Sequence[Path]) -> str:
    """Of which files a copy is."""
    key = blake2b(digest_size=12)
    for path in paths:
        found = path.stat()
        key.update(repr((os.fsencode(path.resolve()), found.st_ino, found.st_size, found.st_mtime_ns)).encode())
    return key.hexdigest()


def _copied(source: Path, target: Path) -> None:
    """Copy a file with its time, and compare checksums of what was read and of what is on the disk."""
    before, crc = source.stat(), 0
    with source.open("rb") as read, target.open("xb") as written:
        while block := read.read(CHUNK):
            written.write(block)
            crc = zlib.crc32(block, crc)
        written.flush()
        os.fsync(written.fileno())
        if hasattr(os, "posix_fadvise"):  # read back from the disk
            os.posix_fadvise(written.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    found = 0
    with target.open("rb") as copy:
        while block := copy.read(CHUNK):
            found = zlib.crc32(block, found)
    if found != crc:
        raise InputError(f"{SETTING}: the copy of {source} has another checksum: the disk of {target.parent} errs")
    after = source.stat()
    if (before.st_ino, before.st_size, before.st_mtime_ns) != (after.st_ino, after.st_size, after.st_mtime_ns):
        raise InputError(f"{source} was changed while it was copied")
    os.utime(target, ns=(after.st_atime_ns, after.st_mtime_ns))


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _partial(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.partial-{os.getpid()}")


def _is_current(fd: int, lock: Path) -> bool:
    """Whether an opened lock is still the one of that name: who removes a copy removes its lock, too."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), lock.stat())
    return False


def _remove_unused(fd: int, folder: Path) -> None:
    """Remove a copy if nobody else holds its lock."""
    lock = _lock_of(folder)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if not _is_current(fd, lock):
        return
    with suppress(OSError):
        partial = _partial(folder)
        if folder.is_dir():
            folder.rename(partial)
        _remove_partial(folder)
        lock.unlink(missing_ok=True)


def _remove_partial(folder: Path) -> None:
    for left in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(left, ignore_errors=True)


def _sweep(area: Path, *, spared: set[str]) -> None:
    """Remove what killed jobs left: copies that nobody holds."""
    for lock in area.glob("*.lock"):
        if lock.stem in spared:
            continue
        with suppress(FileNotFoundError):
            fd = os.open(lock, os.O_RDWR)
            try:
                _remove_unused(fd, lock.with_suffix(""))
            finally:
                os.close(fd)
