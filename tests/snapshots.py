"""What an earlier version of the package left, packed into `tests/data/`: how it is made, unpacked and compared."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import forked

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parents[1]
COUNTED = ("python", "numpy", "scipy", "pandas", "pyarrow", "matplotlib", "jinja2", "torch", "deepspeed")
"""Packages whose version may change a number, a figure or a page."""

ELSEWHERE = b"/elsewhere"
"""Stands for the folder of a checkout in what Snakemake recorded: captions and templates are inputs by their path."""


def workflow(tree: Path, folder: Path, *more: str) -> list[str]:
    """The command that runs the workflow of a checkout in a folder, on two cores."""
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(tree / "Snakefile"), "--directory", str(folder)]
    return [*words, "--configfile", str(folder / "config.yaml"), "--cores", "2", *more]


def environment(tree: Path) -> dict[str, str]:
    """The environment in which that checkout's package is imported, and arithmetic has one thread."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}


def run(tree: Path, folder: Path, *more: str) -> None:
    """Run the workflow of a checkout to its end."""
    words, env = workflow(tree, folder, *more), environment(tree)
    here = tree == ROOT  # of another checkout nothing is imported here
    done = forked.run(words, env=env) if here else subprocess.run(words, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr


def machine() -> dict[str, str]:
    """Processor and versions that numbers may depend on: equal ones compute the same, bit for bit."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"processor": _processor()} | {name: python if name == "python" else version(name) for name in COUNTED}


def differences(made: dict[str, str], *, but: Iterable[str] = ()) -> list[str]:
    """How this machine differs from the one that made something; differences in `but` do not matter there."""
    here = machine()
    return [
        f"{key} {value} was {made.get(key)}" for key, value in here.items() if key not in but and made.get(key) != value
    ]


def pack(archive: Path, folder: Path, files: Iterable[Path], *, tree: Path) -> None:
    """These files below `folder` as an archive. No path of this machine is in it: that of the checkout is renamed."""
    with tarfile.open(archive, "w:xz", preset=9) as out:
        for file in sorted(files):
            content = file.read_bytes().replace(str(tree).encode(), ELSEWHERE)
            for here in (str(folder), str(ROOT), sys.prefix, f"{Path.home()}/"):
                assert here.encode() not in content, f"{file} names {here}"
            entry = _nobody(out.gettarinfo(file, str(file.relative_to(folder))))
            entry.size = len(content)
            out.addfile(entry, BytesIO(content))


def unpack(archive: Path, folder: Path) -> Path:
    """An archive with the times of its files."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _processor() -> str:
    """Model of the processor as Linux tells of it: its name alone may stand for several."""
    known = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        known.setdefault(key.strip(), value.strip())
    parts = [
        known.get("model name", "unknown"),
        *(f"{key} {known.get(key)}" for key in ("cpu family", "model", "stepping")),
    ]
    return ", ".join(parts)
