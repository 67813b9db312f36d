"""What made a result: versions and commit."""

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


def fingerprint(*modules: str) -> str:
    """Hash of the source of some of this package's modules."""
    here = Path(__file__).parent
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(modules):
        digest.update((here / f"{name}.py").read_bytes())
    return digest.hexdigest()
