"""Commands that need not be programs of their own in a test: the same, forked from a process that has the imports.

A start of Snakemake or of a training job is mostly imports. What is run here is what `subprocess.run` would run; tests
that are about the process itself (what it imports, its signals, its kill) start one.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

SERVER = Path(__file__).with_name("job_server.py")
Kind = Literal["training", "workflow"]
ENTRIES = {"training": ["-m", "plmscale", "train"], "workflow": ["-m", "snakemake"]}


def started(kind: Kind, *, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """A server of jobs of one kind that has its imports."""
    words = [sys.executable, str(SERVER), kind]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout and process.stdout.readline() == "ready\n"
    return process


@cache
def _server(kind: Kind) -> subprocess.Popen[str]:
    """The server of this test session."""
    env = os.environ | {"PYTHONPATH": str(SERVER.parents[1] / "src"), "OMP_NUM_THREADS": "1"}
    process = started(kind, env=env)
    atexit.register(process.communicate)  # closes its input, by which it ends
    return process


def run(
    words: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m snakemake …` or `python -m plmscale train …` of this checkout to its end.

    Like `subprocess.run(words, env=env, cwd=cwd, capture_output=True, text=True)`.
    """
    (kind,) = (kind for kind, entry in ENTRIES.items() if list(words[1 : 1 + len(entry)]) == entry)
    assert words[0] == sys.executable
    server = _server(kind)
    assert server.stdin and server.stdout
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        job = {"arguments": list(words[1 + len(ENTRIES[kind]) :]), "log": str(out), "errors": str(err)}
        job |= {"environment": dict(env or os.environ), "folder": str(cwd or Path.cwd())}
        server.stdin.write(json.dumps(job) + "\n")
        server.stdin.flush()
        _, status = server.stdout.readline(), int(server.stdout.readline())
        return subprocess.CompletedProcess(list(words), status, out.read_text(), err.read_text())
