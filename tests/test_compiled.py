"""Compiled functions are kept, and let go when a module that they are put together from changes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import ROOT
from plmscale.compiled import PARTS

SOURCES = ROOT / "src/plmscale"
USE = """
import numpy as np
from plmscale.sequences.byte_counts import count_bytes
counts = np.zeros(28, np.int64)
count_bytes(np.full(200, 5, np.uint8), counts)
print(counts[5], sum(count_bytes.stats.cache_hits.values()))
"""


def test_every_module_that_others_are_put_together_from_is_a_part():
    """Modules that compile, or say how, and are imported by such modules."""
    texts = {path.relative_to(SOURCES).with_suffix("").as_posix(): path.read_text() for path in SOURCES.rglob("*.py")}
    compiles = re.compile(r"^import numba|^from \.+compiled import", re.M)
    compiling = {name: text for name, text in texts.items() if compiles.search(text)}
    imported = {name for module in compiling for name in modules_imported(module, compiling[module])}
    with_code = {name for name in imported if name in compiling} | {"sequences/alphabet", "sets/ranks"}
    calling = {"model/cpu_attention/kernel", "sequences/byte_counts", "sequences/fasta_kernel", "sets/batch_kernel"}
    assert with_code - calling - {"sets/rank_kernel"} == set(PARTS), "those in `calling` are called from Python"


def modules_imported(module: str, text: str) -> set[str]:
    """Paths of the modules that a module imports from, relative to the package."""
    found = set()
    for dots, name in re.findall(r"^from (\.+)([\w.]*) import", text, re.M):
        folder = module.split("/")[: -len(dots)]
        found.add("/".join([*folder, *name.split(".")]))
    return found


def test_a_changed_part_is_compiled_anew(tmp_path):
    """A counter that counts twice after an edit of a module that it only imports from."""
    shutil.copytree(SOURCES, tmp_path / "plmscale", ignore=shutil.ignore_patterns("__pycache__"))
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"PYTHONPATH": str(tmp_path)}

    def used() -> list[int]:
        done = subprocess.run([sys.executable, "-c", USE], env=env, capture_output=True, text=True, check=True)
        return [int(word) for word in done.stdout.split()]

    assert used() == [200, 0]
    assert used() == [200, 1], "kept"
    part = Path(tmp_path / "plmscale/sequences/byte_vectors.py")
    text = part.read_text()
    twice = text.replace("builder.ctpop(flags)", "builder.shl(builder.ctpop(flags), ir.Constant(_WORD, 1))")
    assert twice != text
    part.write_text(twice)
    in_vectors = 200 // 64 * 64, 200 // 32 * 32, 200 // 16 * 16
    counted, hits = used()
    assert counted in [200 + n for n in in_vectors]
    assert hits == 0


def test_kept_code_of_a_class_that_has_another_name_now_is_compiled_anew(tmp_path):
    module = tmp_path / "pairs.py"
    text = """
from typing import NamedTuple
from plmscale.compiled import compiled

class Pair(NamedTuple):
    first: int
    second: int

@compiled
def total(pair):
    return pair.first + pair.second

print(total(Pair(1, 2)), sum(total.stats.cache_hits.values()))
"""
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {
        "PYTHONPATH": f"{tmp_path}:{SOURCES.parent}"
    }
    printed = []
    for name in ("Pair", None, "Couple"):
        if name:
            module.write_text(text.replace("Pair", name))
        done = subprocess.run([sys.executable, "-c", "import pairs"], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.split())
    assert printed == [["3", "0"], ["3", "1"], ["3", "0"]]
