"""The files of a store while it is being built."""

from contextlib import ExitStack
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .fasta import Records

_COPY = 1 << 24


class _NpyWriter:
    """Append to a one-dimensional .npy file whose length is not known yet.

    numpy pads its headers so that the first axis can grow (GROWTH_AXIS_MAX_DIGITS): a header of another length has the
    same size, and is written over the first one at the end.
    """

    def __init__(self, path: Path, dtype: str, stack: ExitStack) -> None:
        self._file = stack.enter_context(path.open("wb"))
        self._dtype = np.dtype(dtype)
        self._n = 0
        self.finish()

    def append(self, values: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).data)
        self._n += values.size

    def finish(self) -> None:
        self._file.seek(0)
        header = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._n,)}
        npy.write_array_header_1_0(self._file, header)


class StoreWriter:
    """The files of a store, growing block by block.

    Attributes
    ----------
    n_sequences : int
        Sequences written so far.
    counts : ndarray of int64, shape (256,)
        How often each byte occurs among the tokens written so far.
    """

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._tokens = _NpyWriter(folder / "tokens.npy", "u1", stack)
        self._offsets = _NpyWriter(folder / "offsets.npy", "<i8", stack)
        self._keys = _NpyWriter(folder / "keys.npy", "<u8", stack)
        self._ids = stack.enter_context((folder / "ids.txt").open("wb"))
        self._offsets.append(np.zeros(1, dtype=np.int64))
        self._end = 0
        self.n_sequences = 0
        self.counts = np.zeros(256, dtype=np.int64)

    def add(self, records: Records) -> None:
        """Append some records."""
        if not records.ids:
            return
        self._tokens.append(records.tokens)
        self._offsets.append(self._end + np.cumsum(records.lengths))
        digests = b"".join([blake2b(name, digest_size=8).digest() for name in records.ids])
        self._keys.append(np.frombuffer(digests, dtype="<u8"))
        self._ids.write(b"\n".join(records.ids) + b"\n")
        self._end += records.tokens.size
        self.n_sequences += len(records.ids)
        self.counts += _histogram(records.tokens)

    def finish(self) -> None:
        """Write the final headers; the files stay open until the stack closes them."""
        for file in (self._tokens, self._offsets, self._keys):
            file.finish()


def _histogram(tokens: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each byte occurs. Counting pairs of bytes takes 0.4 of the time of counting bytes."""
    even = tokens.size // 2 * 2
    pairs = np.bincount(tokens[:even].view(np.uint16), minlength=1 << 16).reshape(256, 256)
    return pairs.sum(axis=0) + pairs.sum(axis=1) + np.bincount(tokens[even:], minlength=256)


def first_of_each(folder: Path) -> tuple[NDArray[np.bool_], list[str]]:
    """Which sequences are the first of their id, and the ids of the others.

    Keys that occur once are certainly new ids. Where a key occurs more often the ids themselves decide, so that two
    different ids with one hash (chance 1e-4 in 64 million) both stay.
    """
    keys = np.load(folder / "keys.npy", mmap_mode="r")
    in_order = np.sort(keys)
    several = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    kept = np.ones(keys.size, dtype=np.bool_)
    if not several.size:
        return kept, []
    suspects = np.isin(keys, several)
    seen: set[bytes] = set()
    repeated: list[str] = []
    with (folder / "ids.txt").open("rb") as lines:
        for i, line in enumerate(lines):
            if suspects[i]:
                if line in seen:
                    kept[i] = False
                    repeated.append(line[:-1].decode("utf-8", "backslashreplace"))
                seen.add(line)
    return kept, repeated


def keep_only(folder: Path, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rewrite the files without the sequences that are not kept; how often each token occurred in those."""
    tokens = np.load(folder / "tokens.npy", mmap_mode="r")
    offsets = np.load(folder / "offsets.npy", mmap_mode="r")
    dropped = np.zeros(256, dtype=np.int64)
    changes = [0, *(np.flatnonzero(np.diff(kept)) + 1).tolist(), kept.size]
    with ExitStack() as stack:
        new_tokens = _NpyWriter(folder / "new.npy", "u1", stack)
        for first, last in pairwise(changes):
            for begin in range(offsets[first], offsets[last], _COPY):
                part = np.asarray(tokens[begin : min(begin + _COPY, offsets[last])])
                if kept[first]:
                    new_tokens.append(part)
                else:
                    dropped += _histogram(part)
        new_tokens.finish()
        new_ids = stack.enter_context((folder / "new.txt").open("wb"))
        lines = stack.enter_context((folder / "ids.txt").open("rb"))
        new_ids.writelines(line for line, keep in zip(lines, kept, strict=True) if keep)
    new_offsets = np.concatenate([[0], np.cumsum(np.diff(offsets)[kept])])
    new_keys = np.load(folder / "keys.npy")[kept]
    (folder / "new.npy").replace(folder / "tokens.npy")
    (folder / "new.txt").replace(folder / "ids.txt")
    np.save(folder / "offsets.npy", new_offsets)
    np.save(folder / "keys.npy", new_keys)
    return dropped
