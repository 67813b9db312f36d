"""A process that imports what jobs need once, and forks for each: many small cells and fits, one start of Python.

A cell of a small study takes seconds, and importing torch as many. The servers, one for training and one for scripts of
the workflow, belong to one `plmscale run` on one machine without accelerators. Each job is a fork, as if it had been
started by itself: no job sees the state of another. A job has the output, folder and environment of its client
(`fork_client`), gets its signals, and is killed when the client is gone. Where libraries would read another environment
at import, or the client has another Python (of conda, or of a container), the job starts by itself.
"""

import ast
import json
import os
import runpy
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Any

from .fork_client import SCRIPT_SERVER, TRAINING_SERVER, python_here

READ_AT_IMPORT = (
    *("OMP", "GOMP", "KMP", "MKL", "OPENBLAS", "BLIS", "DNNL", "ONEDNN", "ATEN", "TORCH", "PYTORCH", "CUDA", "DS"),
    *("NUMBA", "NUMEXPR", "NPY", "MPL", "LD", "MALLOC", "PYTHON", "LC", "LANG", "TMPDIR", "HOME"),
)
"""First words of the names of variables that a library may read once and for all."""

_TRAINING, _BESIDES = "plmscale.training.train", f"{__package__}.loaded_before"
IMPORTED = {"torch": (_TRAINING, _BESIDES), "deepspeed": (_TRAINING, _BESIDES, "deepspeed")}
"""What training jobs of an engine import."""

IMPORTED_BY_ALL = ("snakemake.script",)
"""What all scripts import; what else one does is imported before the first fork for it."""

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
    python: list[str | int]
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
    kind: str
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
            accepted = len(files) == 3 and request.python == python_here() and self._has_imported_for(request)
            client.sendall(json.dumps({"accepted": accepted}).encode() + b"\n")
            if accepted:
                if (process := os.fork()) == 0:
                    self._forget(client)
                    return request
                client.settimeout(None)
                self.jobs[process] = client
        except (OSError, ValueError, TypeError, SyntaxError, ImportError):
            client.close()
        for file in files:
            os.close(file)
        return None

    def _has_imported_for(self, request: Request) -> bool:
        """Whether the libraries of a job were imported in its environment: that of the first job."""
        environment, words = request.environment, request.words
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
        if read != self.seen:
            return False
        for name in imported_by(Path(request.folder, words[0])) if self.kind == SCRIPT_SERVER else ():
            import_module(name)
        return True

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


def imported_by(script: Path) -> list[str]:
    """The modules of plmscale that a script imports before it does anything."""
    statements = ast.parse(script.read_bytes()).body
    names = [one.module or "" for one in statements if isinstance(one, ast.ImportFrom) and not one.level]
    return [name for name in names if name.partition(".")[0] == "plmscale"]


@contextmanager
def fork_servers(*, engine: str, keep: Sequence[int]) -> Iterator[dict[str, str]]:
    """The servers of training jobs and of scripts while a study runs.

    Parameters
    ----------
    engine : str
        What training jobs train with.
    keep : sequence of int
        Descriptors that jobs inherit: the lock of the study's folder.

    Yields
    ------
    dict
        The variables by which jobs find them; empty where the folder of temporary files has too long a path.
    """
    with tempfile.TemporaryDirectory(prefix="plmscale-") as folder:  # readable by its owner alone
        addresses = {TRAINING_SERVER: str(Path(folder, "training")), SCRIPT_SERVER: str(Path(folder, "scripts"))}
        if max(len(address.encode()) for address in addresses.values()) > _LONGEST_ADDRESS:
            yield {}
            return
        with ExitStack() as servers:
            for kind, imports in ((TRAINING_SERVER, IMPORTED[engine]), (SCRIPT_SERVER, IMPORTED_BY_ALL)):
                command = [sys.executable, "-m", __name__, kind, addresses[kind], *imports]
                server = Popen(command, stdin=PIPE, stdout=DEVNULL, pass_fds=keep, start_new_session=True)
                servers.enter_context(server)  # which closes its standard input, and waits
            yield addresses


def main() -> Request | None:
    """Serve at the socket named second; its standard input ends with the study."""
    kind, address, *imports = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    return Server(listener, os.dup(0), kind, imports).serve()


if __name__ == "__main__" and (job := main()):
    words = job.enter()
    time.tzset()
    if sys.argv[1] == SCRIPT_SERVER:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
    else:
        sys.argv = ["plmscale", *words]
        from plmscale.cli.main import main as plmscale

        sys.exit(plmscale())
