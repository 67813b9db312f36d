"""Vectors of bytes, against one byte at a time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from plmscale.sequences.alphabet import CODES, MASK, RESIDUES
from plmscale.sequences.byte_counts import count_bytes
from plmscale.sequences.byte_vectors import LOOKED_UP, WIDTH, equal_bytes, first_flag, look_up, n_equal
from plmscale.sequences.fasta_records import RecordParser

FEATURES = {"avx512bw": False, "avx2": False, "ssse3": False}


@njit
def flagged(data, at, byte):
    """Bytes that are `byte`, their number, and the place of the first of them or -1."""
    same = equal_bytes(data, at, byte)
    return same, n_equal(data, at, byte), np.int64(first_flag(same)) if same else -1


@njit
def looked_up(text, at, target, to):
    return look_up(text, at, target, to)


def as_flags(bits: int) -> list[bool]:
    return [bool(int(bits) >> i & 1) for i in range(WIDTH)]


@pytest.mark.parametrize("byte", [0, 10, 33, 62, 128, 255])
def test_every_byte_has_its_flag(byte):
    data = np.random.default_rng(byte).choice(np.array([0, 9, 10, 32, 33, 62, 127, 128, 200, 255], np.uint8), size=200)
    for at in range(data.size - WIDTH):
        part = data[at : at + WIDTH]
        same, n, first = flagged(data, at, byte)
        assert as_flags(same) == (part == byte).tolist()
        assert n == np.count_nonzero(part == byte)
        assert first == (np.flatnonzero(part == byte).tolist() or [-1])[0]


@pytest.mark.skipif(not LOOKED_UP, reason="this processor looks up no vectors")
def test_residues_and_nothing_else_are_looked_up():
    text = np.arange(256, dtype=np.uint8)
    text = np.concatenate([text, np.random.default_rng(0).permutation(text)])
    for at in range(0, text.size - WIDTH + 1, 7):
        target = np.full(WIDTH + 4, 99, np.uint8)
        flags = looked_up(text, at, target, 2)
        expected = [CODES[letter] if chr(letter) in RESIDUES else 0 for letter in text[at : at + WIDTH].tolist()]
        assert target.tolist() == [99, 99, *expected, 99, 99]
        assert as_flags(flags) == [code == 0 for code in expected]


@pytest.mark.parametrize("n", [0, 1, WIDTH - 1, WIDTH, WIDTH + 1, 100_003])
def test_counts_of_bytes(n):
    tokens = np.random.default_rng(n).integers(MASK, size=n, dtype=np.uint8)
    counts = np.ones(MASK, np.int64)
    count_bytes(tokens, counts)
    assert (counts - 1).tolist() == np.bincount(tokens, minlength=MASK).tolist()


TEXT = (b">first of all\n" + b"MKVLAAGG" * 40 + b"\nAC\n>b\r\nmkv*\r\n\n>c\n" + (b"W" * 60 + b"\n") * 5) * 3


def parsed() -> list[tuple[bytes, list[int], list[int]]]:
    """What a parser makes of the text in blocks of several sizes."""
    found = []
    for size in (len(TEXT), 64, 61, 7):
        parser = RecordParser()
        parts = [parser.feed(TEXT[at : at + size]) for at in range(0, len(TEXT), size)] + [parser.end()]
        ids = b"".join(part.id_text for part in parts)
        found.append((ids, *(np.concatenate([getattr(p, x) for p in parts]).tolist() for x in ("tokens", "lengths"))))
    return found


@pytest.mark.parametrize("known", [(), ("ssse3",), ("ssse3", "avx2")], ids=["none", "16", "32"])
def test_narrower_vectors_parse_the_same(known, tmp_path):
    """What other processors run, here whatever this one has."""
    if any(feature not in sys_features() for feature in known):
        pytest.skip("this processor has no such instruction")
    code = (
        "import llvmlite.binding as llvm; features = llvm.get_host_cpu_features()\n"
        f"features.update({ {name: name in known for name in FEATURES} })\n"
        "llvm.get_host_cpu_features = lambda: features\n"
        f"import test_byte_vectors as t; assert t.LOOKED_UP == {16 * len(known)}\n"
        "print(t.parsed() == eval(input()))\n"
        "t.test_counts_of_bytes(100_003); t.test_every_byte_has_its_flag(10)\n"
    )
    env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, input=repr(parsed()), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"


def sys_features() -> set[str]:
    import llvmlite.binding as llvm

    return {name for name, there in llvm.get_host_cpu_features().items() if there}
