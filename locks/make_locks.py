"""Make the locks, with uv: `python locks/make_locks.py`, or `make locks`.

    python locks/make_locks.py             # after a change of pyproject.toml: versions stay where they can
    python locks/make_locks.py --upgrade   # the newest versions that pyproject.toml allows

`develop.txt` is everything, tests and documentation included. Each of the others is one extra, at the same versions.
They are for Linux and every Python that the package supports. A hash is that of a file as the public index serves it;
`EXTRA_HASHES` adds files of other indexes.
"""

import argparse
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
EXTRAS = ("core", "train", "workflow", "publish", "all")
EVERYTHING = "develop"
OLDEST_PYTHON = "3.11.5"
"""mkdocs-material asks for it; uv would refuse 3.11."""

EXTRA_HASHES = {
    "torch==2.13.0": ("6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",),
}
"""torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl: PyTorch's build for CPUs, which its own index has."""

LINUX = " or ".join(f"(platform_machine == '{one}' and sys_platform == 'linux')" for one in ("aarch64", "x86_64"))
FOR = f"python_full_version < '3.15' and implementation_name == 'cpython' and ({LINUX})"
"""Marker that uv gives every package, from `environments` of pyproject.toml; the locks say it once, at their top."""

HEADER = """# {what}: exact versions with hashes. Made by `make locks`; do not edit.
# For CPython 3.11 to 3.14 on Linux, x86-64 and AArch64.
"""


def compiled(name: str, *, extras: list[str], at: Path | None, upgrade: bool = False) -> str:
    """The lock of some extras.

    Parameters
    ----------
    name : str
        Of the lock.
    extras : list of str
    at : Path, optional
        Lock whose versions are kept.
    upgrade : bool
        Whether versions are left as the lock of this name has them.
    """
    uv = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
    uv += ["--no-header", "--no-annotate", "--no-sources", "--python-version", OLDEST_PYTHON]
    uv += [word for extra in extras for word in ("--extra", extra)]
    if at and at.is_file() and not upgrade:
        uv += ["--constraint", str(at)]
    done = subprocess.run([*uv, str(ROOT / "pyproject.toml")], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"uv could not make locks/{name}.txt:\n{done.stderr}")
    return with_extra_hashes(done.stdout.replace(f" ; {FOR}", "").replace(f" and {FOR}", ""))


def with_extra_hashes(text: str) -> str:
    """A lock that also allows the files of `EXTRA_HASHES`."""
    lines = []
    for line in text.splitlines(keepends=True):
        lines.append(line)
        pin = line.partition(" ")[0]
        lines += [f"    --hash=sha256:{one} \\\n" for one in EXTRA_HASHES.get(pin, ())]
    return "".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Write all locks."""
    parser = argparse.ArgumentParser(description="Make the locks.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows")
    upgrade = parser.parse_args(argv).upgrade
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    everything = HERE / f"{EVERYTHING}.txt"
    every = list(project["optional-dependencies"])
    text = compiled(EVERYTHING, extras=every, at=everything, upgrade=upgrade)
    everything.write_text(HEADER.format(what="Everything, tests and documentation included") + text, encoding="utf-8")
    for name in EXTRAS:
        text = compiled(name, extras=[] if name == "core" else [name], at=everything)
        what = "plmscale" if name == "core" else f"plmscale[{name}]"
        (HERE / f"{name}.txt").write_text(HEADER.format(what=what) + text, encoding="utf-8")


if __name__ == "__main__":
    main()
