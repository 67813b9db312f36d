"""Eight bytes at a time, against one at a time."""

import numpy as np
import pytest
from numba import njit

from plmscale.sequences.unaligned_loads import HIGH_BITS, below, load_word, n_before, store_word


@njit
def first(text, at, limit):
    """Bytes of the word before the first below `limit`, -1 without one; and the word."""
    word = load_word(text, np.uint64(at))
    low = below(word, np.uint64(limit))
    return np.int64(n_before(low)) if low else np.int64(-1), word


@njit
def store(data, at, word):
    store_word(data, np.uint64(at), word)


def test_words_are_little_endian_wherever_they_lie():
    text = np.random.default_rng(0).integers(256, size=100, dtype=np.uint8)
    for at in range(93):
        word = first(text, at, 1)[1]
        assert word == int.from_bytes(text[at : at + 8].tobytes(), "little")
        target = np.zeros(100, np.uint8)
        store(target, at, np.uint64(word))
        assert target[at : at + 8].tolist() == text[at : at + 8].tolist()
        assert not target[:at].any() and not target[at + 8 :].any()


@pytest.mark.parametrize("limit", [33, 128, 1])
def test_the_first_byte_of_a_kind(limit):
    rng = np.random.default_rng(limit)
    values = np.array([0, 1, 9, 10, 11, 32, 33, 62, 65, 127, 128, 129, 255], np.uint8)
    shares = np.where(values < limit, 0.02, 1.0)
    text = rng.choice(values, size=30_000, p=shares / shares.sum())
    found = set()
    for at in range(text.size - 8):
        part = text[at : at + 8].tolist()
        lows = [i for i, byte in enumerate(part) if byte < limit]
        low, _ = first(text, at, limit)
        assert low == (lows[0] if lows else -1)
        found.add(int(low))
    assert sorted(found) == list(range(-1, 8)), "every position occurs"
    assert HIGH_BITS == 0xE0E0E0E0E0E0E0E0
