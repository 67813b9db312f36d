"""One training of a cell at a time, on every machine that shares the file system.

The lock is the chain of files `lock.1`, `lock.2`, …: the last one names the holder. A file is linked into place, which
fails where one exists (link(2); atomic over NFS, open(2) on O_EXCL), and nobody but its holder ever removes one. So
what a dead holder left is never removed by those who wait, who might then remove each other's: they link the next file,
and whoever succeeds looks again whether everything before it is what it took for dead.

Whether a holder is alive is asked of the kernel where it is the same machine, else of its heartbeat: it touches its
file, and a file that has not changed for a minute, by the clock of who watches, is dead unless SLURM says that its job
runs. Over NFS a listing may be some seconds old (nfs(5), acregmax is 60 s): set `noac` or use a file system without
such a cache if two jobs may start in the same minute; what is lost otherwise is time, since a holder that finds another
behind it leaves before it writes.
"""

import json
import logging
import os
import socket
import subprocess
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

from ..clock import start_ticks

HEARTBEAT = 10.0
"""Seconds between two signs of life."""

SILENT = 60.0
"""Seconds without one after which a holder on another machine is dead, unless SLURM says otherwise."""

ACTIVE = {"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"}
"""States of a SLURM job that may have processes (squeue(1))."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock.

    Attributes
    ----------
    host, boot, namespace : str
        The machine: its name, this boot of it, and the namespace of process ids (another container is another machine).
    pid, ticks : int
        The process, and when it began in clock ticks since boot, since process ids come again.
    slurm_job, slurm_step : str or None
    since : float
        When it took the lock, in seconds since the epoch.
    token : str
        Of this lock alone.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    ticks: int
    slurm_job: str | None
    slurm_step: str | None
    since: float
    token: str

    @classmethod
    def here(cls) -> "Holder":
        """This process."""
        env = os.environ
        return cls(
            host=socket.gethostname(),
            boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            namespace=str(Path("/proc/self/ns/pid").readlink()),
            pid=os.getpid(),
            ticks=start_ticks("self") or 0,
            slurm_job=env.get("SLURM_JOB_ID"),
            slurm_step=env.get("SLURM_STEP_ID"),
            since=time.time(),
            token=uuid4().hex,
        )

    def __str__(self) -> str:
        job = f", SLURM job {self.slurm_job}" if self.slurm_job else ""
        return f"process {self.pid} on {self.host}{job}, since {time.strftime('%F %T', time.localtime(self.since))}"


@dataclass
class LockFile:
    """A lock file as found: who holds it (None where that cannot be read), its number, and its last sign of life."""

    path: Path
    number: int
    holder: Holder | None
    touched: float


class CellLock:
    """The lock of one cell.

    Parameters
    ----------
    folder : Path
        Where its files lie.
    silent : float
        See `SILENT`.

    Attributes
    ----------
    last_seen : float or None
        Once taken: when the one who held it before gave its last sign of life, if it left without releasing.
    """

    def __init__(self, folder: Path, *, silent: float = SILENT) -> None:
        self.folder, self._silent = folder, silent
        self.last_seen: float | None = None
        self._path: Path | None = None
        self._me = Holder.here()
        self._watched: tuple[str, float, float] = ("", 0.0, 0.0)
        self._stop = threading.Event()

    def take(self) -> Holder | None:
        """Take the lock if nobody holds it.

        Returns
        -------
        Holder or None
            Who holds it; None if it is taken now.
        """
        before = lock_files(self.folder)
        if before and self._alive(before[-1]):
            return before[-1].holder or self._somebody()
        number = before[-1].number + 1 if before else 1
        path = self.folder / f"lock.{number}"
        if not self._link(path):
            return self._holder_now()
        self._path = path
        known = {each.path.name: each.touched for each in before}
        now = {each.path.name: each.touched for each in lock_files(self.folder) if each.path != path}
        if now != known:  # somebody released and another began anew meanwhile: one of us has to leave
            path.unlink(missing_ok=True)  # who released may have taken it along
            self._path = None
            return self._holder_now()
        if before:
            self.last_seen = before[-1].touched
            log.warning("took over the lock of %s, which is gone", before[-1].holder or before[-1].path)
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        return None

    def _holder_now(self) -> Holder:
        there = lock_files(self.folder)
        return (there[-1].holder if there else None) or self._somebody()

    def _somebody(self) -> Holder:
        """Who was a moment quicker, and is gone already, or has not written yet who it is."""
        return replace(self._me, host="a machine not known yet", pid=0, slurm_job=None, since=time.time())

    def held(self) -> bool:
        """Whether this process holds the lock still: a machine that stood still for long may have lost it."""
        there = lock_files(self.folder)
        return bool(there) and there[-1].path == self._path and there[-1].holder == self._me

    def release(self) -> None:
        """Give it back. Its own file goes last, so that it holds until then."""
        self._stop.set()
        if self._path and self.held():
            for each in lock_files(self.folder):
                each.path.unlink(missing_ok=True)

    def _link(self, path: Path) -> bool:
        """Make a lock file with its content at once; whether it was not there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self._me), indent=1)
        try:
            return _link_unnamed(path, text)
        except OSError:
            return self._link_named(path, text)

    def _link_named(self, path: Path, text: str) -> bool:
        own = self.folder / f".lock-{self._me.token}"
        try:
            own.write_text(text)
            try:
                os.link(own, path)
            except FileExistsError:
                return False
            except OSError:
                if own.stat().st_nlink == 2:  # an answer of the server was lost: it is there (open(2) on NFS)
                    return True
                return _create(path, text)  # a file system without links
            return True
        finally:
            own.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            try:
                os.utime(self._path or self.folder)
            except OSError as error:
                log.warning("no sign of life could be given: %s", error)

    def _alive(self, found: LockFile) -> bool:
        holder, me = found.holder, self._me
        if holder and holder.host == me.host and holder.boot != me.boot:
            return False  # this machine was started again since
        if holder and (holder.host, holder.namespace) == (me.host, me.namespace):
            return start_ticks(str(holder.pid)) == holder.ticks
        now = time.monotonic()
        if self._watched[:2] != (found.path.name, found.touched):
            self._watched = (found.path.name, found.touched, now)
        if now - self._watched[2] < self._silent:
            return True
        if holder and holder.slurm_job and holder.slurm_job != me.slurm_job and runs(holder.slurm_job):
            self._watched = (found.path.name, found.touched, now)  # suspended, for example: ask again later
            return True
        return False


def lock_files(folder: Path) -> list[LockFile]:
    """The files of a lock, the holder's last. Reads only."""
    found = []
    for path in folder.glob("lock.*"):
        number = path.name.removeprefix("lock.")
        if not number.isdecimal():
            continue
        try:
            touched = path.stat().st_mtime
            holder = Holder(**json.loads(path.read_text()))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, RecursionError):  # being written where there are no links
            touched, holder = path.stat().st_mtime, None
        found.append(LockFile(path, int(number), holder, touched))
    return sorted(found, key=lambda each: each.number)


def seems_alive(found: LockFile) -> bool:
    """Whether the holder of a lock lives, by one look: of another machine, whether it gave a sign lately."""
    holder = found.holder
    here = Holder.here()
    if holder and (holder.host, holder.boot, holder.namespace) == (here.host, here.boot, here.namespace):
        return start_ticks(str(holder.pid)) == holder.ticks
    return abs(time.time() - found.touched) < SILENT


def _link_unnamed(path: Path, text: str) -> bool:
    """Link a file that had no name, so that a kill leaves nothing; an `OSError` where there are none (NFS)."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.fdopen(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY, 0o666), "w") as file:
            file.write(text)
            file.flush()
            try:
                # open(2), O_TMPFILE. Python follows the link of /proc only with a folder for relative paths.
                os.link(f"/proc/self/fd/{file.fileno()}", path, src_dir_fd=folder, follow_symlinks=True)
            except OSError:
                if os.fstat(file.fileno()).st_nlink:  # an answer was lost: it has its name
                    return True
                raise
    except FileExistsError:
        return False
    finally:
        os.close(folder)
    return True


def _create(path: Path, text: str) -> bool:
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(opened, "w") as file:
        file.write(text)
    return True


def runs(job: str, *, own: bool = False) -> bool:
    """Whether SLURM says that a job, or a job of this user, may have processes."""
    try:
        asked = ["squeue", "--noheader", "--jobs", job, "--format", "%T"]
        asked += [f"--user={os.getuid()}"] if own else []
        said = subprocess.run(asked, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(ACTIVE & set(said.stdout.split()))
