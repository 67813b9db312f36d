"""A store as FASTA again."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from ..files import atomic
from ..sequences.alphabet import LETTERS
from ..sequences.store import Store

_CHUNK = 1 << 14


def export_fasta(store: Store, path: str | Path, *, ids: NDArray[np.int64] | None = None, width: int = 60) -> None:
    """Write sequences with their record ids, atomically.

    What comes back is the source but for what `stats.json` counts: upper case, J as X, no final star, no white space,
    the first of repeated ids, no empty records; and headers are ids alone.

    Parameters
    ----------
    store : Store
    path : str or Path
        Compressed with gzip if it ends with `.gz`.
    ids : ndarray of int64, optional
        Which sequences, ascending; all if not given.
    width : int
        Residues a line.
    """
    with atomic(path) as partial:
        opened = igzip.open(partial, "wb") if partial.suffix == ".gz" else partial.open("wb")
        with opened as out:
            for text in _records(store, np.arange(store.n_sequences) if ids is None else ids, width):
                cast(BinaryIO, out).write(text)


def _records(store: Store, ids: NDArray[np.int64], width: int) -> Iterator[bytes]:
    with (store.folder / "ids.txt").open("rb") as names:
        for first in range(0, store.n_sequences, _CHUNK):
            lines = list(islice(names, _CHUNK))
            here = ids[slice(*np.searchsorted(ids, [first, first + len(lines)]))]
            for i in here.tolist():
                letters = store.sequence(i).tobytes().translate(LETTERS)
                rows = [letters[begin : begin + width] for begin in range(0, len(letters), width)]
                yield b">" + lines[i - first] + b"\n".join(rows) + b"\n"
