"""The sequences of lowest rank among 64 million, in a second. Compiled; `ranks.rank` defines the rank."""

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled
from .ranks import mix

_BINS = 1 << 16
_FIRST_BITS = np.uint64(48)


_mix = compiled(mix)


@compiled
def lowest(keys: NDArray[np.uint64], among: NDArray[np.bool_], start: np.uint64, n: int) -> NDArray[np.int64]:
    """Those `n` of the sequences `among` for which mix(keys[i] ^ start) is lowest, ascending.

    One pass counts the first 16 bits of the ranks, which gives the value of these bits at which the n-th lies; the next
    takes the whole ranks of the sequences with just this value (one in 65,536), to be sorted; the last takes the
    sequences whose rank is not above the n-th. Each computes the ranks anew: keeping them would take 512 MB.
    """
    counts = np.zeros(_BINS, dtype=np.int64)
    for i in range(keys.size):
        counts[_mix(keys[i] ^ start) >> _FIRST_BITS] += among[i]
    boundary, below = 0, 0
    while below + counts[boundary] < n:
        below += counts[boundary]
        boundary += 1
    ties = np.empty(counts[boundary], dtype=np.uint64)
    at = 0
    for i in range(keys.size):
        value = _mix(keys[i] ^ start)
        if among[i] and value >> _FIRST_BITS == np.uint64(boundary):
            ties[at] = value
            at += 1
    ties = np.sort(ties)
    last = ties[n - below - 1]
    equal = n - below - np.searchsorted(ties, last)  # sequences of one key tie; of them the first are taken
    chosen = np.empty(n, dtype=np.int64)
    at = 0
    for i in range(keys.size):
        value = _mix(keys[i] ^ start)
        if among[i] and (value < last or (value == last and equal > 0)):
            equal -= value == last
            chosen[at] = i
            at += 1
    return chosen
