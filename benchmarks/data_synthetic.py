"""A file like UniRef50: lengths and residues of a real one, headers as UniRef writes them."""

import zlib
from pathlib import Path

import numpy as np

from plmscale.sequences.alphabet import LETTERS
from plmscale.sequences.fasta import FastaReader

_CHUNK = 20_000
_LINE = 60


def write_synthetic(target: Path, *, like: Path, n: int) -> int:
    """Write `n` records, compressed; the bytes of text.

    Lengths are drawn from those of the file `like`, residues one by one from its composition, so they compress less
    than real ones. One seed, one file.
    """
    lengths, residues = _drawn_from(like)
    rng = np.random.default_rng(0)
    packer = zlib.compressobj(4, wbits=31)
    n_bytes = 0
    with target.open("wb") as out:
        for first in range(0, n, _CHUNK):
            chosen = rng.choice(lengths, size=min(_CHUNK, n - first))
            letters = residues[rng.integers(residues.size, size=int(chosen.sum()), dtype=np.uint16)].tobytes()
            text = _records(letters, chosen.tolist(), first, rng)
            n_bytes += len(text)
            out.write(packer.compress(text))
        out.write(packer.flush())
    return n_bytes


def _drawn_from(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Lengths, and 65,536 letters in the proportions of the file."""
    lengths, counts = [], np.zeros(256, dtype=np.int64)
    for records in FastaReader(path):
        lengths.append(records.lengths)
        counts += np.bincount(records.tokens, minlength=256)
    ends = np.round(np.cumsum(counts) / counts.sum() * (1 << 16)).astype(np.int64)
    tokens = np.repeat(np.arange(256, dtype=np.uint8), np.diff(ends, prepend=0))
    return np.concatenate(lengths), np.frombuffer(tokens.tobytes().translate(LETTERS), dtype=np.uint8)


def _records(letters: bytes, lengths: list[int], first: int, rng: np.random.Generator) -> bytes:
    parts, begin = [], 0
    taxa, sizes = rng.integers(1, 3_000_000, size=len(lengths)), rng.geometric(0.4, size=len(lengths))
    for i, (length, taxon, size) in enumerate(zip(lengths, taxa.tolist(), sizes.tolist(), strict=True)):
        name = f"A0A{first + i:07X}"
        parts.append(
            f">UniRef50_{name} Uncharacterized protein {taxon % 977} n={size} Tax=Escherichia sp. {taxon} "
            f"TaxID={taxon} RepID={name}_{taxon % 97:02d}LEU\n".encode()
        )
        sequence = letters[begin : begin + length]
        parts += [sequence[at : at + _LINE] + b"\n" for at in range(0, length, _LINE)]
        begin += length
    return b"".join(parts)
