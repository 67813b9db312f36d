"""Repeated record ids: found and taken out of a store that is being built, in bounded memory.

Memory grows with the number of repeated ids alone; the keys of all records are gone through in as many passes as it
takes to sort 32 MB at a time (16 at 64 million).
"""

from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .fasta_records import Records
from .npy_stream import NpyReader, chunks
from .store_writer import StoreWriter

KEYS_AT_A_TIME = 1 << 22
_CHUNK = 1 << 20
_SEQUENCES = 1 << 14


def repeats(folder: Path) -> tuple[NDArray[np.int64], list[str]]:
    """Positions of the sequences whose id stood before, ascending, and these ids.

    Keys that occur once are certainly new ids. Where a key occurs more often the ids themselves decide, so that two
    different ids with one hash (chance 1e-4 in 64 million) both stay.
    """
    shared = _shared_keys(folder / "keys.npy")
    if not shared.size:
        return np.empty(0, dtype=np.int64), []
    seen: set[bytes] = set()
    positions: list[int] = []
    repeated: list[str] = []
    with (folder / "ids.txt").open("rb") as lines:
        for first, keys in enumerate(chunks(folder / "keys.npy", size=_CHUNK)):
            suspects = np.isin(keys, shared).tolist()
            for i, (line, suspect) in enumerate(zip(islice(lines, keys.size), suspects, strict=True)):
                if suspect and line in seen:
                    positions.append(first * _CHUNK + i)
                    repeated.append(line[:-1].decode("utf-8", "backslashreplace"))
                elif suspect:
                    seen.add(line)
    return np.array(positions, dtype=np.int64), repeated


def _shared_keys(path: Path) -> NDArray[np.uint64]:
    """The keys that occur more than once, each once. Each pass takes the keys whose first bits have one value."""
    with path.open("rb") as file:
        n = NpyReader(file).size
    bits = max(0, (n // KEYS_AT_A_TIME).bit_length())
    found = []
    for part in range(1 << bits):
        keys = [chunk[chunk >> np.uint64(64 - bits) == part] if bits else chunk for chunk in chunks(path, size=_CHUNK)]
        in_order = np.sort(np.concatenate(keys)) if keys else np.empty(0, np.uint64)
        found.append(np.unique(in_order[1:][in_order[1:] == in_order[:-1]]))
    return np.concatenate(found)


def without(positions: NDArray[np.int64], folder: Path, *, target: Path) -> StoreWriter:
    """Write into `target` the files in `folder` without the sequences at `positions` (ascending)."""
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / f"{name}.npy").open("rb")) for name in ("tokens", "keys")}
        tokens, keys = NpyReader(files["tokens"]), NpyReader(files["keys"])
        offsets = NpyReader(stack.enter_context((folder / "offsets.npy").open("rb")))
        lines = stack.enter_context((folder / "ids.txt").open("rb"))
        writer = StoreWriter(target, stack)
        end = offsets.read(1)
        for first in range(0, keys.size, _SEQUENCES):
            ends = np.concatenate([end, offsets.read(_SEQUENCES)])
            names = b"".join(islice(lines, ends.size - 1))
            part = Records(names, tokens.read(int(ends[-1] - ends[0])), np.diff(ends), keys.read(_SEQUENCES))
            kept = np.ones(ends.size - 1, dtype=np.bool_)
            inside = slice(*np.searchsorted(positions, [first, first + kept.size]))
            kept[positions[inside] - first] = False
            writer.add(part if kept.all() else part.only(kept))
            end = ends[-1:]
        writer.finish()
    return writer
