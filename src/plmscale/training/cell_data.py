"""The data that a cell is trained on: sealed when it begins, and watched while it trains.

Subsets and the store are memory-mapped. So a file that somebody replaces or cuts short under a running job would change
what the rest of the run is trained on, or end it by SIGBUS. A run therefore looks at the files before each batch, and
its checkpoints and its result carry checksums of the ids and of the residues behind them: an interrupted cell does not
go on with other sequences, whatever made them others.
"""

import argparse
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from ..sequences.store import Store
from ..sets.batches import Batches, GlobalBatch
from ..sets.staging import staged
from ..sets.subsets import Ids, read_subset
from ..study.grid import Cell
from .manifest import Digest, digest, digest_of

Seal = dict[str, Digest]
"""Checksums of what a run is a function of, by what they are of: "cell", "training set" (its file), "residues"; of a
result "holdout" too. Earlier versions sealed the first two."""

STORE = ("tokens.npy", "offsets.npy")


class _State(NamedTuple):
    """What tells that a file is the one that was opened."""

    inode: int
    n_bytes: int
    written: int


class CellData:
    """Store, training set and holdout of a cell, opened.

    Parameters
    ----------
    store, subset : Path
    holdout : Path or None

    Raises
    ------
    InputError
        If a file is missing or damaged, or the ids are not of the store.
    """

    def __init__(self, store: Path, subset: Path, *, holdout: Path | None) -> None:
        self._store, self._subset, self._holdout = store, subset, holdout
        paths = [store / name for name in STORE] + [path for path in (subset, holdout) if path]
        self._known = {path: _state(path) for path in paths}
        self.store = Store.open(store)
        self.ids: Ids = read_subset(subset, store=self.store)
        self.holdout: Ids = read_subset(holdout, store=self.store) if holdout else np.zeros(0, np.int64)
        self._sealed: Seal | None = None

    @classmethod
    def of(cls, args: argparse.Namespace) -> "CellData":
        """The data that the arguments of `plmscale train` name, where they are."""
        return cls(args.store, args.subset, holdout=args.holdout)

    @classmethod
    @contextmanager
    def on_this_node(cls, args: argparse.Namespace) -> Iterator["CellData"]:
        """The same, or copies of it on a disk of this node while the block runs."""
        sets = [args.subset, *([args.holdout] if args.holdout else [])]
        with staged(args.store, sets, below=args.staging) as (store, (subset, *holdout)):
            yield cls(store, subset, holdout=holdout[0] if holdout else None)

    @property
    def seal(self) -> Seal:
        """Checksums of the training set, of its file and of the residues behind its ids; and of the holdout's."""
        if self._sealed is None:
            held = {"holdout": residues_digest(self.store, self.holdout)} if self.holdout.size else {}
            trained = {"training set": digest(self._subset), "residues": residues_digest(self.store, self.ids)}
            self._sealed = trained | held
        return self._sealed

    @seal.setter
    def seal(self, found: Seal) -> None:
        """Take what another rank has found, which need not be computed again."""
        self._sealed = found

    def seal_of(self, cell: Cell) -> Seal:
        """Of what a run of a cell on this training set is a function."""
        return {"cell": digest_of(cell.frozen())} | {name: self.seal[name] for name in ("training set", "residues")}

    def seal_of_result(self, cell: Cell) -> Seal:
        """The same of its result, which has the loss on the holdout."""
        return {"cell": digest_of(cell.frozen())} | self.seal

    @property
    def written(self) -> float:
        """When the newest of the files was written, in seconds since the epoch."""
        return max(each.written for each in self._known.values() if each) / 1e9

    def check(self) -> None:
        """Look whether the files are those that were opened, or have the same content.

        Raises
        ------
        InputError
            If one is another, shorter, or gone; the message names it and says what becomes of the cell.
        """
        changed = [path for path, known in self._known.items() if _state(path) != known]
        if not changed:
            return
        try:
            now = CellData(self._store, self._subset, holdout=self._holdout)
            if now.seal == self.seal:  # touched, or written again with the same content
                self._known = now._known
                return
        except InputError:
            pass
        raise InputError(
            f"{changed[0]} was changed while this cell was trained on it: nothing more is trained or written. "
            "Run again: a cell whose data are the same goes on from its last checkpoint, another starts anew."
        )


class WatchedBatches(Batches):
    """Batches that look at their files before they read them.

    Parameters
    ----------
    data : CellData
    **how
        As for `Batches`.
    """

    def __init__(self, data: CellData, **how: Any) -> None:
        super().__init__(data.store, data.ids, **how)
        self._data = data

    def batch(self, step: int) -> GlobalBatch:
        """See `Batches.batch`.

        Raises
        ------
        InputError
            If a file is another one now.
        """
        self._data.check()
        return super().batch(step)


def residues_digest(store: Store, ids: Ids) -> Digest:
    """Number and CRC-32 of the residues of some sequences, and of their lengths.

    Sequences that lie beside each other are read in one piece: 3.6 GB/s of a whole store, 2.6 million scattered
    sequences a second of a sample (one core of the machine of benchmarks/results/data.md).

    Examples
    --------
    Where a sequence ends is part of it:

    >>> from types import SimpleNamespace
    >>> tokens = np.frombuffer(b"MKVA", np.uint8)
    >>> one, other = (SimpleNamespace(tokens=tokens, offsets=np.array(ends)) for ends in ([0, 1, 4], [0, 2, 4]))
    >>> residues_digest(one, np.array([0, 1])) == residues_digest(other, np.array([0, 1]))
    False
    """
    n_bytes = crc = 0
    residues = memoryview(store.tokens)  # type: ignore[arg-type]  (an array is a buffer)
    for part in _parts(ids):
        begins, ends = store.offsets[part], store.offsets[part + 1]
        crc = zlib.crc32((ends - begins).astype("<i8").tobytes(), crc)
        breaks = np.flatnonzero(begins[1:] != ends[:-1])
        firsts = begins[np.concatenate(([0], breaks + 1))].tolist()
        lasts = ends[np.concatenate((breaks, [part.size - 1]))].tolist()
        for begin, end in zip(firsts, lasts, strict=True):
            crc = zlib.crc32(residues[begin:end], crc)
        n_bytes += int((ends - begins).sum())
    return {"bytes": n_bytes, "crc32": crc}


def _parts(ids: Ids, *, size: int = 1 << 18) -> Iterator[Ids]:
    for begin in range(0, ids.size, size):
        yield np.asarray(ids[begin : begin + size])


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _State(found.st_ino, found.st_size, found.st_mtime_ns)
