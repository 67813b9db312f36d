"""A new environment with the wheel of this checkout and nothing but what it asks for, made without a network.

The environment has the files of those distributions that the wheel's own metadata ask for, linked from the environment
that the tests run in, and the wheel itself by pip.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import termios
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from conftest import ROOT


def build_wheel(folder: Path) -> Path:
    """The wheel of this checkout, built into `folder` with the build backend of this environment."""
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("plmscale-*.whl")
    return wheel


def requirements(wheel: Path) -> list[Requirement]:
    """What a wheel says that it requires, extras included."""
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(archive.read(name))
    return [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]


def closure(asked: list[Requirement], *, extra: str = "") -> dict[str, Distribution]:
    """The distributions that requirements lead to, by name, as they are installed here.

    Parameters
    ----------
    asked : list of Requirement
    extra : str
        Extra of the package whose requirements they are.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    pending = [(one, extra) for one in asked]
    while pending:
        one, of_extra = pending.pop()
        if one.marker and not one.marker.evaluate({"extra": of_extra}):
            continue
        name = canonicalize_name(one.name)
        for wanted in ("", *sorted(one.extras)):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                found[name] = distribution(name)
                pending += [(Requirement(text), wanted) for text in found[name].requires or ()]
    return found


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    @property
    def packages(self) -> Path:
        (found,) = self.folder.glob("lib/python*/site-packages")
        return found

    def run(self, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run its Python, which sees nothing of the environment that the tests run in."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
        clean |= {"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
        command = [str(self.python), *map(str, words)]
        return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True)

    def run_on_terminal(self, *words: str | Path, cwd: Path) -> tuple[int, str]:
        """Run its Python on a pseudo-terminal; its exit status, and what a person sees."""
        terminal, end = os.openpty()
        termios.tcsetwinsize(end, (24, 80))  # a new one has no size, and tqdm shows nothing on it
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
        command = [str(self.python), *map(str, words)]
        with subprocess.Popen(command, cwd=cwd, env=clean, stdin=end, stdout=end, stderr=end) as process:
            os.close(end)
            seen = b""
            with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
                while part := os.read(terminal, 4096):
                    seen += part
        os.close(terminal)
        return process.returncode, seen.decode()


def install(wheel: Path, folder: Path, *, extra: str = "") -> Environment:
    """A new environment in `folder` with a wheel, one of its extras or none, and what these require."""
    venv.create(folder, with_pip=False)
    made = Environment(folder)
    for one in closure(requirements(wheel), extra=extra).values():
        for source, relative in _files(one):
            target = made.packages / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(source, target)
    pip = [sys.executable, "-m", "pip", "--python", str(made.python), "install", "--quiet"]
    pip += ["--disable-pip-version-check", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, env={**os.environ, "PYTHONPATH": ""})
    return made


def _files(one: Distribution) -> Iterator[tuple[Path, Path]]:
    """Files of a distribution below site-packages: where each is, and its path there; bytecode if it is kept."""
    for file in one.files or ():
        source = Path(str(one.locate_file(file)))
        if ".." in file.parts or file.is_absolute() or file.suffix == ".pyc" or not source.is_file():
            continue
        yield source, Path(file)
        if file.suffix == ".py":
            bytecode = Path(importlib.util.cache_from_source(str(source)))
            if bytecode.is_file():
                yield bytecode, Path(file).parent / "__pycache__" / bytecode.name


def _link(source: Path, target: Path) -> None:
    if target.exists():  # two distributions have the same file
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
