"""XXH64, the hash that turns record ids into keys: compiled, for use inside other compiled functions.

Written from the specification (Yann Collet, xxHash, doc/xxhash_spec.md, version 0.1.1).
"""

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled, inlined
from .unaligned_loads import load_word

_P1, _P2, _P3 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)
_P4, _P5 = np.uint64(0x85EBCA77C2B2AE63), np.uint64(0x27D4EB2F165667C5)
_ZERO, _BYTES_4, _BYTES_8, _BYTES_32 = np.uint64(0), np.uint64(4), np.uint64(8), np.uint64(32)


@compiled
def xxh64(data: NDArray[np.uint8], begin: int, end: int) -> np.uint64:
    """XXH64 of `data[begin:end]`, seed 0.

    Examples
    --------
    >>> hex(xxh64(np.zeros(0, np.uint8), 0, 0))
    '0xef46db3751d8e999'
    """
    i, stop = np.uint64(begin), np.uint64(end)  # unsigned: signed indices would be tested for < 0
    n = stop - i
    mixed = _P5
    if n >= _BYTES_32:
        a, b, c, d = _P1 + _P2, _P2, _ZERO, _ZERO - _P1
        while i + _BYTES_32 <= stop:
            a, b = _round(a, load_word(data, i)), _round(b, load_word(data, i + _BYTES_8))
            i += _BYTES_8 + _BYTES_8
            c, d = _round(c, load_word(data, i)), _round(d, load_word(data, i + _BYTES_8))
            i += _BYTES_8 + _BYTES_8
        mixed = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
        mixed = _merge(_merge(_merge(_merge(mixed, a), b), c), d)
    mixed += n
    while i + _BYTES_8 <= stop:
        mixed = _rotate(mixed ^ _round(_ZERO, load_word(data, i)), 27) * _P1 + _P4
        i += _BYTES_8
    if i + _BYTES_4 <= stop:
        mixed = _rotate(mixed ^ (_half_word(data, i) * _P1), 23) * _P2 + _P3
        i += _BYTES_4
    while i < stop:
        mixed = _rotate(mixed ^ (np.uint64(data[i]) * _P5), 11) * _P1
        i += np.uint64(1)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * _P2
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _P3
    return mixed ^ (mixed >> np.uint64(32))


@inlined
def _half_word(data: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    low = np.uint64(data[at]) | np.uint64(data[at + np.uint64(1)]) << np.uint64(8)
    high = np.uint64(data[at + np.uint64(2)]) | np.uint64(data[at + np.uint64(3)]) << np.uint64(8)
    return low | high << np.uint64(16)


@inlined
def _rotate(word: np.uint64, bits: int) -> np.uint64:
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@inlined
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotate(lane + word * _P2, 31) * _P1


@inlined
def _merge(mixed: np.uint64, lane: np.uint64) -> np.uint64:
    return (mixed ^ _round(_ZERO, lane)) * _P1 + _P4
