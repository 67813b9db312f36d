"""What made a result: versions and commit."""

import ast
import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
    here = Path(__file__).parent
    found: set[str] = set()
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += [*_imports(name, here), *_packages(name)]
    return found


def _packages(name: str) -> list[str]:
    """The packages that a module lies in: Python runs their `__init__` before it."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _file(name: str, here: Path) -> Path:
    path = here.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imports(name: str, here: Path) -> list[str]:
    """Modules of the package that a module names in its relative imports."""
    file = _file(name, here)
    parents = list(file.relative_to(here).parts[:-1])
    found = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*parents[: len(parents) - node.level + 1], *(node.module.split(".") if node.module else [])]
            within = [[*base, alias.name] for alias in node.names]
            named = [parts for parts in within if _file(".".join(parts), here).is_file()]
            found += [".".join(parts) for parts in (named or [base])]
    return found
