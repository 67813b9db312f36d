"""Hand a job over to the study's fork server, and stand for it: pass on its output, signals and exit status.

Only the standard library is imported, so that it starts quickly. See `fork_server`.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TRAINING_SERVER, SCRIPT_SERVER = "PLMSCALE_TRAINING_SERVER", "PLMSCALE_SCRIPT_SERVER"
"""Environment variables: the sockets of the servers of training jobs, and of scripts of the workflow."""

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
_TIMEOUT_SECONDS = 60


def handed_over(words: Sequence[str], *, to: str, environment: Mapping[str, str] = os.environ) -> int | None:
    """Have a server run `plmscale`, or a script, with these words, and wait.

    Parameters
    ----------
    words : sequence of str
        The subcommand and its arguments; for the server of scripts, the script's path and its arguments.
    to : {"PLMSCALE_TRAINING_SERVER", "PLMSCALE_SCRIPT_SERVER"}
    environment : mapping

    Returns
    -------
    int or None
        The exit status, negative for the signal that ended the job; None where there is no server, or it declines.
    """
    if not (address := environment.get(to)):
        return None
    own = {key: value for key, value in environment.items() if key not in (TRAINING_SERVER, SCRIPT_SERVER)}
    job = {"words": list(words), "folder": str(Path.cwd()), "environment": own, "umask": _umask()}
    request = json.dumps(job | {"python": python_here()}).encode()
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.settimeout(_TIMEOUT_SECONDS)
            server.connect(address)
            # Descriptors travel with the first byte; the length tells where the request ends.
            socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
            server.sendall(request)
            replies = server.makefile("r")
            if not json.loads(replies.readline() or "{}").get("accepted"):
                return None
        except (OSError, ValueError):
            return None
        server.settimeout(None)
        with _signals_to(server):
            answer: dict[str, Any] = json.loads(replies.readline() or "{}")
    # Without an answer the server was killed, and its jobs with it.
    return answer.get("status", -signal.SIGKILL)


def python_here() -> list[str | int]:
    """Which Python this is, also if a container has another one at the same place."""
    file = Path(sys.executable).stat()
    return [sys.prefix, file.st_dev, file.st_ino]


def leave(status: int) -> None:
    """End this process as the job ended: by the same status, or the same signal."""
    if status < 0:
        with suppress(OSError, ValueError):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


@contextmanager
def _signals_to(server: socket.socket) -> Iterator[None]:
    def forward(number: int, _: object) -> None:
        with suppress(OSError):
            server.sendall(number.to_bytes(1, "big"))

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now
