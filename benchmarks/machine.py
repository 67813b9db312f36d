"""Facts about the machine that a measurement is stated with: never its name, never a path."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def facts(*packages: str) -> dict[str, str]:
    """Processor, cores, system, allocator, load, and the versions of these packages."""
    found = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "instructions": ", ".join(f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in _flags()) or "none",
        "load at start": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()}, CPython {platform.python_version()}",
        "allocator": allocator(),
    }
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def write_page(rows: list[dict[str, str]], stated: dict[str, str], out: Path | None) -> None:
    """Print a table with the facts; write it, too, under the first line and the command of the program that runs."""
    text = markdown(rows) + "\n" + "".join(f"- {key}: {value}\n" for key, value in stated.items())
    print(text)
    if out:
        title = (sys.modules["__main__"].__doc__ or "").partition("\n")[0]
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(f"# {title}\n\n`python benchmarks/{Path(sys.argv[0]).name}`\n\n{text}")


def allocator() -> str:
    """The memory allocator that this process runs with."""
    preloaded = Path(os.environ.get("LD_PRELOAD", "")).name
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return preloaded or (f"glibc with {tunables}" if tunables else "glibc, default")


def _cpuinfo(key: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def _processor() -> str:
    return _cpuinfo("model name")


def _flags() -> list[str]:
    return _cpuinfo("flags").split()


def markdown(rows: list[dict[str, str]]) -> str:
    """Rows as a markdown table; the columns are the keys of the first."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([row[c] for c in columns] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
