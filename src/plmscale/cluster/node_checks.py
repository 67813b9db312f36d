"""What a node has: programs, scratch, GPUs, and whether they compute what a CPU does."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from ..sets.mmseqs_program import find_mmseqs
from .checks import Check, of_json
from .description import said
from .file_checks import check_files, room

KERNEL_SECONDS, RANK_SECONDS = 300.0, 180.0
"""Seconds that the tests of kernels and of ranks may take."""

OLDEST_DRIVER = 525
"""First driver of CUDA 12 for Linux (NVIDIA, CUDA Toolkit release notes, table 3)."""


def check_node(folder: Path, *, computes: bool) -> Iterator[Check]:
    """Checks of this machine; `computes` where cells are to be trained on it."""
    yield from check_files(folder)
    yield Check("Python", "ok", sys.executable)
    yield _modules()
    yield _mmseqs()
    yield _scratch()
    gpus = said(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"])
    rows = [line.split(", ") for line in (gpus or "").splitlines() if line.count(", ") == 2]
    yield from _devices(rows, computes=computes)
    if not rows:
        yield Check("kernels", "skipped", "no GPU")
        yield Check("NCCL", "skipped", "no GPU")
        return
    yield from _of_program("kernels", ["-m", "plmscale.model.device_checks.kernels", "cuda"], KERNEL_SECONDS)
    if len(rows) < 2:
        yield Check("NCCL", "skipped", "one GPU")
        return
    words = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={len(rows)}"]
    yield from _of_program("NCCL", [*words, "-m", "plmscale.model.device_checks.ranks", "nccl"], RANK_SECONDS)


def _modules() -> Check:
    loaded = os.environ.get("LOADEDMODULES", "")
    has = "MODULESHOME" in os.environ or "LMOD_CMD" in os.environ
    if loaded:
        return Check("modules", "ok", f"loaded: {loaded.replace(':', ', ')}; jobs get the same from sbatch")
    return Check("modules", "ok", "none loaded" if has else "this machine has none")


def _mmseqs() -> Check:
    try:
        return Check("MMseqs2", "ok", f"{find_mmseqs()}")
    except InputError as error:
        return Check(
            "MMseqs2", "failed", str(error).split(". ")[0], "install MMseqs2, or pip install 'plmscale[workflow]'"
        )


def _scratch() -> Check:
    name = "node-local scratch"
    folder = Path(os.environ.get("SLURM_TMPDIR") or tempfile.gettempdir())
    if not os.access(folder, os.W_OK):
        return Check(name, "failed", f"{folder} cannot be written to", "set TMPDIR to a local folder in the job")
    kinds = said(["stat", "--file-system", "--format=%T", str(folder)]) or ""
    if kinds.strip() == "tmpfs":
        return Check(
            name, "warning", f"{folder} is memory (tmpfs)", "set TMPDIR to a disk: what lies there is the job's"
        )
    found = room(folder, name=name)
    return Check(name, found.outcome, f"{folder}, {found.found}", found.remedy)


def _devices(rows: list[list[str]], *, computes: bool) -> Iterator[Check]:
    if not rows:
        if computes:
            there = shutil.which("nvidia-smi")
            found = "nvidia-smi lists none" if there else "there is no nvidia-smi"
            remedy = "ask for --gpus-per-node, or for the driver; plan for `hardware.device: cpu` if there are none"
            yield Check("GPU", "failed", found, remedy)
        else:
            yield Check("GPU", "skipped", "no GPU")
        return
    yield Check("GPU", "ok", f"{len(rows)} × {rows[0][0]}, {rows[0][2]}")
    driver = rows[0][1]
    if driver.split(".")[0].isdigit() and int(driver.split(".")[0]) < OLDEST_DRIVER:
        remedy = f"ask for {OLDEST_DRIVER} or newer, or install a torch of CUDA 11"
        yield Check("driver", "failed", f"{driver}, older than CUDA 12", remedy)
    else:
        yield Check("driver", "ok", driver)


def _of_program(name: str, words: list[str], seconds: float) -> Iterator[Check]:
    """Checks that another process prints, so that what goes wrong in it ends only that."""
    text = said([sys.executable, *words], timeout=seconds)
    rows = [json.loads(line) for line in (text or "").splitlines() if line.startswith('{"name"')]
    if not rows:
        command = " ".join(["python", *words])
        yield Check(name, "failed", f"no answer within {seconds:.0f} s, or an error", f"run `{command}` on the node")
    yield from of_json(rows)
