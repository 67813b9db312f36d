"""Download the wheels of a lock, and write what installs them."""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from .. import __version__
from ..errors import InputError
from ..files import atomic_folder
from ..study.workflow_files import workflow_root

EXTRAS = ("core", "train", "workflow", "publish", "all")
CUDA = re.compile(r"(nvidia-|cuda-|triton==)")
"""Beginnings of the pins that PyTorch's build for CPUs does without."""

WHEELS, LOCK, INSTALL, CHECKSUMS = "wheels", "lock.txt", "install.sh", "SHA256SUMS"

_INSTALL = """#!/bin/sh
# Installs plmscale {version} from this folder, without a network: PYTHON=/path/to/venv/bin/python sh install.sh
set -eu
cd "$(dirname "$0")"
sha256sum --check --quiet {checksums}
exec "${{PYTHON:-python3}}" -m pip install --no-index --find-links {wheels} '{requirement}'
"""


def bundle(
    out: Path,
    *,
    extra: str,
    wheel: Path | None = None,
    container: Path | None = None,
    cpu: bool = False,
    pip: Sequence[str] = (),
) -> None:
    """Write a folder from which plmscale is installed without a network.

    It is for the Python and the platform that it is made with.

    Parameters
    ----------
    out : Path
        Folder to write: it must not exist, or be empty.
    extra : str
        One of `EXTRAS`.
    wheel : Path, optional
        Wheel of plmscale; left out, the one of the checkout or of the package index.
    container : Path, optional
        Image that is copied into the folder.
    cpu : bool
        Leave the libraries of CUDA out.
    pip : sequence of str
        More options of `pip wheel`, such as where the builds of PyTorch for CPUs are.

    Raises
    ------
    InputError
        If pip is missing or fails, a file is missing, or PyTorch is not the build for CPUs that `cpu` asks for.
    """
    if find_spec("pip") is None:
        raise InputError("bundle needs pip: python -m ensurepip, or run it in an environment that python -m venv made.")
    for path, option in ((wheel, "--wheel"), (container, "--container")):
        if path is not None and not path.is_file():
            raise InputError(f"{option}: {path} does not exist.")
    with atomic_folder(out) as folder:
        wheels = folder / WHEELS
        (folder / LOCK).write_text(lock_of(extra, cpu=cpu), encoding="utf-8")
        _pip(["--require-hashes", "--requirement", str(folder / LOCK), *pip], wheels)
        _own_wheel(wheel, wheels, pip)
        if cpu and (cuda := [path.name for path in wheels.glob("torch-*.whl") if "+cpu" not in path.name]):
            raise InputError(
                f"bundle --cpu: pip found {cuda[0]}, no build for CPUs. Say where one is: -- --find-links FOLDER"
            )
        if container is not None:
            shutil.copyfile(container, folder / container.name)
        requirement = f"plmscale{'' if extra == 'core' else f'[{extra}]'}=={__version__}"
        text = _INSTALL.format(version=__version__, checksums=CHECKSUMS, wheels=WHEELS, requirement=requirement)
        (folder / INSTALL).write_text(text, encoding="utf-8")
        (folder / CHECKSUMS).write_text(_checksums(folder), encoding="utf-8")


def lock_of(extra: str, *, cpu: bool) -> str:
    """The lock of an extra, without the packages of CUDA if they are left out."""
    text = (workflow_root() / f"locks/{extra}.txt").read_text(encoding="utf-8")
    if not cpu:
        return text
    entries = re.split(r"^(?=\S)", text, flags=re.M)
    return "".join(entry for entry in entries if not CUDA.match(entry))


def _own_wheel(wheel: Path | None, wheels: Path, pip: Iterable[str]) -> None:
    if wheel is not None:
        shutil.copyfile(wheel, wheels / wheel.name)
        return
    checkout = workflow_root() / "pyproject.toml"
    _pip([str(checkout.parent) if checkout.is_file() else f"plmscale=={__version__}", *pip], wheels)


def _pip(words: list[str], wheels: Path) -> None:
    """Make wheels of what is named, without what that needs in turn: a lock names all of it."""
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*command, "--wheel-dir", str(wheels), *words], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise InputError(f"bundle: pip could not get the wheels. It says: {' '.join(said[-3:]) or 'nothing'}")


def _checksums(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
