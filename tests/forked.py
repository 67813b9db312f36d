"""Commands that need not be programs of their own in a test: the same, forked from a process that has the imports.

A start of Snakemake or of a training job is mostly imports. What is run here is what `subprocess.run` would run; tests
that are about the process itself (what it imports, its signals, its kill) start one.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Literal

from plmscale.cli.in_jobs.fork_server import fork_servers

SERVER = Path(__file__).with_name("job_server.py")
Kind = Literal["training", "workflow"]
SET_BY_TORCH = ("PYTORCH_NVML_BASED_CUDA_CHECK", "TORCHINDUCTOR_CACHE_DIR")
"""Variables that a process has once a test in it has imported torch: jobs with them would find no server of theirs."""
ENTRIES = {"training": ["-m", "plmscale", "train"], "workflow": ["-m", "snakemake"]}


@cache
def server(kind: Kind, *, of: str = "run") -> subprocess.Popen[str]:
    """The server of a kind of jobs in this test session, apart for each of its users: it has one job at a time."""
    env = os.environ | {"PYTHONPATH": str(SERVER.parents[1] / "src"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(SERVER), kind]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout and process.stdout.readline() == "ready\n"
    atexit.register(_end, process)
    return process


@cache
def servers_of_jobs() -> dict[str, str]:
    """The variables by which jobs of a workflow find servers as those of `plmscale run`, and import nothing."""
    stack = ExitStack()
    found = stack.enter_context(fork_servers(engine="torch", keep=()))
    atexit.register(stack.close)
    return found


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


def _end(process: subprocess.Popen[str]) -> None:
    """Let a server end, by the end of its input; one that waits for a job of a test that failed is killed."""
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


def run(
    words: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, ranks: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run `python -m snakemake …` or `python -m plmscale train …` of this checkout to its end.

    Like `subprocess.run(words, env=env, cwd=cwd, capture_output=True, text=True)`; training by several ranks if asked.
    """
    (kind,) = (kind for kind, entry in ENTRIES.items() if list(words[1 : 1 + len(entry)]) == entry)
    assert words[0] == sys.executable
    here, of_jobs = server(kind), servers_of_jobs() if kind == "workflow" else {}
    assert here.stdin and here.stdout
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        job = {"arguments": list(words[1 + len(ENTRIES[kind]) :]), "log": str(out), "errors": str(err)}
        own = {key: value for key, value in (env or os.environ).items() if key not in SET_BY_TORCH}
        job |= {"environment": own | of_jobs, "folder": str(cwd or Path.cwd())}
        if ranks > 1:
            job |= {"ranks": ranks}
            job["environment"] |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        here.stdin.write(json.dumps(job) + "\n")
        here.stdin.flush()
        _, status = here.stdout.readline(), int(here.stdout.readline())
        return subprocess.CompletedProcess(list(words), status, out.read_text(), err.read_text())
