"""A process that imports what training needs once, and forks for each job: many small cells, one start of Python.

A cell of a small study takes seconds, and importing torch as many. The server belongs to one `plmscale run` on one
machine without accelerators. Each job is a fork of it, as if it had been started by itself: no job sees the state of
another. A job has the output, folder and environment of its client (`fork_client`), gets its signals, and is killed
when the client is gone. Where libraries would read another environment at import, the job starts Python itself.
"""

import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

from .fork_client import ADDRESS

READ_AT_IMPORT = ("OMP", "GOMP", "KMP", "MKL", "OPENBLAS", "BLIS", "DNNL", "ONEDNN", "ATEN", "TORCH", "PYTORCH")
READ_AT_IMPORT += ("CUDA", "DS", "NUMBA", "NUMEXPR", "NPY", "LD", "MALLOC", "PYTHON", "LC", "LANG", "TMPDIR", "HOME")
"""First words of the names of variables that a library may read once and for all."""

_TRAINING, _BESIDES = "plmscale.training.train", f"{__package__}.loaded_before"
IMPORTED = {"torch": (_TRAINING, _BESIDES), "deepspeed": (_TRAINING, _BESIDES, "deepspeed")}
"""What jobs of an engine import."""

_LONGEST_ADDRESS = 100  # of a socket in the file system: 107 bytes on Linux
_LOOK_SECONDS = 0.02
_READ_SECONDS = 10


@dataclass
class Request:
    """What a client asks for, and the descriptors of its input and output."""

    words: list[str]
    folder: str
    environment: dict[str, str]
    umask: int
    files: list[int]

    def enter(self) -> list[str]:
        """Take over the files, folder and environment of this job; return its words."""
        for number, file in enumerate(self.files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(self.folder)
        os.umask(self.umask)
        os.environ.clear()
        os.environ.update(self.environment)
        return self.words


@dataclass
class Server:
    """Jobs by process number, each with its client."""

    listener: socket.socket
    alive: int
    imports: Sequence[str]
    seen: dict[str, str] | None = None
    jobs: dict[int, socket.socket] = field(default_factory=dict)

    def serve(self) -> Request | None:
        """Fork for each client; a `Request` in the fork, None in the server once the study and all jobs have ended."""
        is_open = True
        while is_open or self.jobs:
            watched: list[Any] = [self.listener, self.alive] if is_open else []
            wait = _LOOK_SECONDS if self.jobs else None
            ready = select.select([*watched, *self.jobs.values()], [], [], wait)[0]
            self._pass_signals_on(ready)
            self._reap()
            if self.alive in ready:
                is_open = False
                self.listener.close()
            elif self.listener in ready and (request := self._accept()):
                return request
        return None

    def _accept(self) -> Request | None:
        client, _ = self.listener.accept()
        files: list[int] = []
        try:
            client.settimeout(_READ_SECONDS)
            head, files, _, _ = socket.recv_fds(client, 8, 3)
            with client.makefile("rb") as stream:
                request = Request(**json.loads(stream.read(int.from_bytes(head, "big"))), files=files)
            accepted = len(files) == 3 and self._has_imported_in(request.environment, words=request.words)
            client.sendall(json.dumps({"accepted": accepted}).encode() + b"\n")
            if accepted:
                if (process := os.fork()) == 0:
                    self._forget(client)
                    return request
                client.settimeout(None)
                self.jobs[process] = client
        except (OSError, ValueError, TypeError, ImportError):
            client.close()
        for file in files:
            os.close(file)
        return None

    def _has_imported_in(self, environment: dict[str, str], *, words: Sequence[str]) -> bool:
        """Whether a job's environment is the one in which the libraries were imported: that of the first job."""
        if "--threads" in words:  # as `plmscale train` does before it imports torch
            environment.setdefault("OMP_NUM_THREADS", words[words.index("--threads") + 1])
        read = {key: value for key, value in environment.items() if key.split("_")[0] in READ_AT_IMPORT}
        if self.seen is None:
            for key in [key for key in os.environ if key.split("_")[0] in READ_AT_IMPORT]:
                del os.environ[key]
            os.environ.update(read)
            for name in self.imports:
                import_module(name)
            self.seen = read
        return read == self.seen

    def _forget(self, client: socket.socket) -> None:
        """In a fork: what belongs to the server and to other jobs."""
        for one in (self.listener, client, *self.jobs.values()):
            one.close()
        os.close(self.alive)

    def _pass_signals_on(self, ready: Sequence[Any]) -> None:
        for process, client in self.jobs.items():
            if client in ready:
                try:
                    numbers = client.recv(16)
                except OSError:
                    numbers = b""
                for number in numbers or bytes([signal.SIGKILL]):
                    with suppress(ProcessLookupError):
                        os.kill(process, number)

    def _reap(self) -> None:
        for process, client in list(self.jobs.items()):
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                with client, suppress(OSError):
                    client.sendall(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode() + b"\n")
                del self.jobs[process]


@contextmanager
def fork_server(*, engine: str, keep: Sequence[int]) -> Iterator[dict[str, str]]:
    """A server while a study runs.

    Parameters
    ----------
    engine : str
        What its jobs train with.
    keep : sequence of int
        Descriptors that jobs inherit: the lock of the study's folder.

    Yields
    ------
    dict
        The variable by which jobs find it; empty where the folder of temporary files has too long a path.
    """
    with tempfile.TemporaryDirectory(prefix="plmscale-") as folder:  # readable by its owner alone
        address = str(Path(folder, "jobs"))
        if len(address.encode()) > _LONGEST_ADDRESS:
            yield {}
            return
        command = [sys.executable, "-m", __name__, address, *IMPORTED[engine]]
        with Popen(command, stdin=PIPE, stdout=DEVNULL, pass_fds=keep, start_new_session=True) as server:
            try:
                yield {ADDRESS: address}
            finally:
                assert server.stdin
                server.stdin.close()


def main() -> Request | None:
    """Serve at the socket named first; its standard input ends with the study."""
    address, *imports = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    return Server(listener, os.dup(0), imports).serve()


if __name__ == "__main__" and (job := main()):
    sys.argv = ["plmscale", *job.enter()]
    time.tzset()
    from plmscale.cli.main import main as plmscale

    sys.exit(plmscale())
