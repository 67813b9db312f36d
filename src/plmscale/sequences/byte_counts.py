"""How often each value occurs among bytes. Compiled."""

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from .byte_vectors import WIDTH, n_equal

_VECTOR, _CHUNK, _ONE = np.uint64(WIDTH), np.uint64(1 << 14), np.uint64(1)


@compiled
def count_bytes(data: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Add to `counts` how often each byte below `counts.size`, a multiple of 4, occurs. There are no others.

    Over what stays in the first-level cache, once for each four of them: to compare 64 bytes with a few dozen values
    takes less time than to add to 64 counters, one after the other.
    """
    j, n = np.uint64(0), np.uint64(data.size)
    while j + _VECTOR <= n:
        end = min(j + _CHUNK, n - (n - j) % _VECTOR)
        for byte in range(0, counts.size, 4):
            at, a, b, c, d = j, np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
            while at < end:
                a += n_equal(data, at, byte)
                b += n_equal(data, at, byte + 1)
                c += n_equal(data, at, byte + 2)
                d += n_equal(data, at, byte + 3)
                at += _VECTOR
            counts[byte] += np.int64(a)
            counts[byte + 1] += np.int64(b)
            counts[byte + 2] += np.int64(c)
            counts[byte + 3] += np.int64(d)
        j = end
    while j < n:
        counts[data[j]] += 1
        j += _ONE
