"""What a study needs of its file system, tried: hard links, locks, the clock, room, speed."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .checks import Check, guarded

LEAST_ROOM = 10e9
"""Bytes: two checkpoints of a few hundred million parameters at 12 bytes each (docs/administrators.md)."""

MOST_CLOCK = 1.0
"""Seconds that clocks may differ by (docs/slurm.md)."""

LEAST_SPEED = 50e6
"""Bytes per second below which writing a checkpoint of 8 GB takes longer than the warning before the walltime."""

TRIED_BYTES = 64 << 20
"""Bytes that the test of speed writes and reads."""


def check_files(folder: Path) -> Iterator[Check]:
    """Checks of the file system of a study's folder, or of its nearest folder that exists; nothing is left there."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    remedy = f"choose a folder that you can write to; {there} is not one"
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".plmscale-doctor-", dir=there))
    except OSError as error:
        yield Check("file system", "failed", f"{there}: {error.strerror}", remedy)
        return
    try:
        another = "move the study to a file system that has it: NFS, Lustre, GPFS or a local disk"
        yield guarded("link()", lambda: _link(scratch), remedy=another)
        yield guarded("locking", lambda: _lock(scratch), remedy=another)
        yield guarded("clock of the file system", lambda: _clock(scratch), remedy="ask the administrator about NTP")
        yield guarded("room", lambda: room(scratch), remedy="free some")
        yield guarded("speed of the file system", lambda: _speed(scratch), remedy="choose a faster one")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _link(folder: Path) -> Check:
    """As the lock of a cell is taken: a link to a name that exists is refused, and the file then has two names."""
    remedy = "the lock of a cell needs it: move the study to NFS, Lustre, GPFS or a local disk"
    first, second, third = (folder / name for name in ("first", "second", "third"))
    first.touch()
    third.touch()
    os.link(first, second)
    if first.stat().st_nlink != 2:
        return Check("link()", "failed", "a linked file does not have two names", remedy)
    try:
        os.link(first, third)
    except FileExistsError:
        return Check("link()", "ok", "atomic here: an existing name is refused")
    return Check("link()", "failed", "an existing name was linked over", remedy)


def _lock(folder: Path) -> Check:
    path = folder / "locked"
    with path.open("w") as one, path.open("w") as other:
        fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Check("locking", "ok", "flock() keeps a second holder out")
    return Check(
        "locking", "failed", "flock() let two in", "mount with locks (not `nolock`), or use another file system"
    )


def _clock(folder: Path) -> Check:
    before = time.time()
    (folder / "clock").write_text("x")
    written, after = (folder / "clock").stat().st_mtime, time.time()
    return clock(written, before=before, after=after, name="clock of the file system")


def clock(seen: float, *, before: float, after: float, name: str) -> Check:
    """Whether another clock, read between two readings of ours, can agree with ours.

    Examples
    --------
    >>> clock(107.0, before=100.0, after=102.0, name="clock").found
    'differs by at least 5.0 s'
    """
    off = max(before - seen, seen - after, 0.0)
    if off > MOST_CLOCK:
        return Check(name, "failed", f"differs by at least {off:.1f} s", "ask the administrator for NTP or chrony")
    return Check(name, "ok", "agrees to the second")


def room(folder: Path, *, name: str = "room") -> Check:
    """Room of a file system."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_ROOM:
        remedy = "free some, or ask for more quota; `plmscale plan` says what the study needs"
        return Check(name, "warning", f"{free / 1e9:.1f} GB free", remedy)
    return Check(name, "ok", f"{free / 1e9:.0f} GB free")


def _speed(folder: Path) -> Check:
    """Writing with fsync, and reading after the pages of the file are dropped where the system does that."""
    block, path = os.urandom(1 << 20), folder / "speed"
    began = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(TRIED_BYTES >> 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    wrote = TRIED_BYTES / (time.perf_counter() - began)
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began = time.perf_counter()
        while file.read(1 << 20):
            pass
    read = TRIED_BYTES / (time.perf_counter() - began)
    found = f"{wrote / 1e6:.0f} MB/s written, {read / 1e6:.0f} MB/s read"
    if min(wrote, read) < LEAST_SPEED:
        return Check("speed of the file system", "warning", found, "keep the store and checkpoints on a parallel one")
    return Check("speed of the file system", "ok", found)
