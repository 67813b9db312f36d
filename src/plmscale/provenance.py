"""What made a result: versions and commit."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RECORDED = ("plmscale", "torch", "deepspeed", "numpy", "scipy", "snakemake")


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that results may depend on, and the commit if run from a checkout."""
    found: dict[str, str | None] = {"python": platform.python_version(), "commit": commit()}
    for name in RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def commit() -> str | None:
    """Commit of the checkout that the package runs from, with `+` if it has changes; None outside a checkout."""
    here = Path(__file__).parent
    if not (here.parents[1] / "pyproject.toml").is_file():  # installed: a repository around it is somebody else's
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty=+", "--exclude=*", "--abbrev=12"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None if described.returncode == 0 else None


def fingerprint(*modules: str, scripts: Path | None = None) -> str:
    """Hash of the source of some of this package's modules, of all that they import from it, and of some scripts."""
    here = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    sources = [_file(name, here) for name in sorted(dependencies(*modules))]
    for path in [*sources, *(sorted(scripts.glob("*.py")) if scripts else ())]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def dependencies(*modules: str) -> set[str]:
    """These modules of the package and those that they import, directly or not; found without importing them.

    Parameters
    ----------
    *modules : str
        Names within the package: `study.grid`, or `runs.importers` for the package of that name.

    Examples
    --------
    >>> sorted(dependencies("presentation.formats"))
    ['estimates', 'presentation', 'presentation.formats']
    """
    found: set[str] = set()
    pending = {f"{__package__}.{name}" for name in modules}
    while pending:
        found |= pending
        imported = {each for name in pending for each in _imports().find_modules_directly_imported_by(name)}
        packages = {name.rpartition(".")[0] for name in pending}  # Python runs their `__init__` first
        pending = (imported | packages) - found - {str(__package__)}
    return {name.removeprefix(f"{__package__}.") for name in found}


@cache
def _imports() -> Any:
    """The graph of the package's imports."""
    import grimp  # here, since nothing but the workflow asks for it

    return grimp.build_graph(str(__package__), cache_dir=None)


def _file(name: str, here: Path) -> Path:
    path = here.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
