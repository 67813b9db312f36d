"""The files of a store while it is being built. Nothing here grows with the number of sequences."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .alphabet import MASK
from .npy_stream import NpyWriter

if TYPE_CHECKING:
    from .fasta_records import Records

_SHORT = 1 << 16


class LengthCounts:
    """How many sequences there are of each length: order statistics without a list of 64 million lengths.

    Examples
    --------
    >>> counts = LengthCounts()
    >>> counts.add(np.array([3, 5, 5, 70_000]))
    >>> counts.smallest, counts.median(), counts.largest
    (3, 5.0, 70000)
    """

    def __init__(self) -> None:
        self._short = np.zeros(_SHORT, dtype=np.int64)
        self._long: Counter[int] = Counter()
        self.n = 0

    def add(self, lengths: NDArray[np.int64]) -> None:
        """Count some lengths."""
        found = np.bincount(lengths[lengths < _SHORT])
        self._short[: found.size] += found
        self._long.update(lengths[lengths >= _SHORT].tolist())
        self.n += lengths.size

    @property
    def smallest(self) -> int:
        """The smallest length."""
        return self._nth(0)

    @property
    def largest(self) -> int:
        """The largest length."""
        return self._nth(self.n - 1)

    def median(self) -> float:
        """The median; the mean of the two in the middle of an even number."""
        return (self._nth((self.n - 1) // 2) + self._nth(self.n // 2)) / 2

    def _nth(self, rank: int) -> int:
        """The length with `rank` lengths before it in order."""
        below = np.cumsum(self._short)
        if rank < below[-1]:
            return int(np.searchsorted(below, rank, side="right"))
        rank -= int(below[-1])
        for length in sorted(self._long):
            rank -= self._long[length]
            if rank < 0:
                return length
        raise IndexError("no length has this rank")


class StoreWriter:
    """The files of a store, growing block by block.

    Attributes
    ----------
    n_sequences : int
        Sequences written so far.
    lengths : LengthCounts
        Of the sequences written so far.
    counts : ndarray of int64, shape (MASK,)
        How often each token id occurs among the residues written so far.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._tokens = NpyWriter(folder / "tokens.npy", "u1", stack)
        self._offsets = NpyWriter(folder / "offsets.npy", "<i8", stack)
        self._keys = NpyWriter(folder / "keys.npy", "<u8", stack)
        self._ids = stack.enter_context((folder / "ids.txt").open("wb"))
        self._offsets.append(np.zeros(1, dtype=np.int64))
        self._end = 0
        self.n_sequences = 0
        self.counts = np.zeros(MASK, dtype=np.int64)
        self.lengths = LengthCounts()

    def add(self, records: "Records") -> None:
        """Append some records."""
        from .byte_counts import count_bytes  # here, since it imports the compiler

        if not records.lengths.size:
            return
        self._tokens.append(records.tokens)
        self._offsets.append(self._end + np.cumsum(records.lengths))
        self._keys.append(records.keys)
        self._ids.write(records.id_text)
        self._end += records.tokens.size
        self.n_sequences += records.lengths.size
        count_bytes(records.tokens, self.counts)
        self.lengths.add(records.lengths)

    def finish(self) -> None:
        """Write the final headers; the files stay open until the stack closes them."""
        for file in (self._tokens, self._offsets, self._keys):
            file.finish()
