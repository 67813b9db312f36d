"""The token store: a FASTA source tokenised once, memory-mapped ever after."""

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from os import getpid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .alphabet import FIRST_RESIDUE, LETTERS, RESIDUES
from .errors import InputError
from .fasta import FastaReader
from .files import atomic, read_json
from .store_writer import StoreWriter, first_of_each, keep_only

FORMAT_VERSION = 1
FILES = ("tokens.npy", "offsets.npy", "keys.npy", "ids.txt", "stats.json")
"""What a store consists of. stats.json is moved into place last: without it there is no store."""
_EXAMPLES = 5


def build_store(source: str | Path, folder: str | Path, *, block_size: int = 1 << 20) -> dict[str, Any]:
    """Tokenise a FASTA file into `folder`.

    One pass over the source. Memory is a few blocks plus at most 16 bytes per sequence (to find repeated ids, then for
    the median length), independent of the number of residues. All is written beside `folder` and moved in at the end.

    Parameters
    ----------
    source : str or Path
        FASTA file; see `fasta.FastaReader` for what is read and tolerated.
    folder : str or Path
        Gets `tokens.npy` (uint8, residues of all sequences in file order, no START or END), `offsets.npy` (int64,
        n_sequences + 1: sequence i is `tokens[offsets[i]:offsets[i + 1]]`), `keys.npy` (uint64, 8-byte blake2b of the
        record id, little endian), `ids.txt` (one record id a line) and `stats.json`.
    block_size : int
        Bytes of text handled at a time.

    Returns
    -------
    dict
        What stats.json holds.

    Raises
    ------
    InputError
        If the source cannot be used or `folder` cannot be written; nothing that looks complete is left behind.

    Notes
    -----
    Of records with the same id the first is kept. `unigram_entropy` is −Σ p ln p in nats over the letters of all
    residues: the loss of a model that knows nothing but the composition.
    """
    reader = FastaReader(source, block_size=block_size)
    with _new_folder(Path(folder)) as partial:
        with ExitStack() as stack:
            writer = StoreWriter(partial, stack)
            for records in reader:
                writer.add(records)
            writer.finish()
        if not writer.n_sequences:
            raise InputError(f"{source} has {reader.tally.n_records_read} records, none of them with residues.")
        counts = writer.counts
        kept, repeated = first_of_each(partial)
        if repeated:
            counts = counts - keep_only(partial, kept)
        lengths = np.diff(np.load(partial / "offsets.npy", mmap_mode="r"))
        stats = _stats(reader, lengths, counts) | {"repeated_dropped": len(repeated)}
        stats["repeated_examples"] = repeated[:_EXAMPLES]
        (partial / "stats.json").write_text(json.dumps(stats, indent=2, allow_nan=False) + "\n")
    return stats


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`; when the block ends without an error, move its files into `folder`."""
    partial = folder.with_name(f".{folder.name}.partial-{getpid()}")
    try:
        partial.mkdir(parents=True)
        yield partial
        folder.mkdir(exist_ok=True)
        (folder / "stats.json").unlink(missing_ok=True)  # from here on the old store is gone, the new one incomplete
        for name in FILES:
            (partial / name).replace(folder / name)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"cannot write {folder}: {error.strerror} ({error.filename}). Choose another folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _stats(reader: FastaReader, lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> dict[str, Any]:
    n_residues = int(lengths.sum())
    composition = {letter: int(counts[i]) for i, letter in enumerate(RESIDUES, FIRST_RESIDUE)}
    shares = [n / n_residues for n in composition.values() if n]
    return {
        "format_version": FORMAT_VERSION,
        "source": reader.path.name,
        "source_bytes": reader.n_bytes,
        "source_sha256": reader.sha256,
        "n_sequences": lengths.size,
        "n_residues": n_residues,
        "mean_length": n_residues / lengths.size,
        "median_length": float(np.median(lengths)),
        "min_length": int(lengths.min()),
        "max_length": int(lengths.max()),
        "unigram_entropy": -math.fsum(p * math.log(p) for p in shares),
        "composition": composition,
        **asdict(reader.tally),
    }


@dataclass(frozen=True)
class Store:
    """A tokenised source, memory-mapped: opening costs nothing, and only what is used is read.

    Attributes
    ----------
    folder : Path
        Where the files are.
    tokens : ndarray of uint8, shape (n_residues,)
        Residue ids of all sequences, one after the other, without START and END.
    offsets : ndarray of int64, shape (n_sequences + 1,)
        Sequence i is `tokens[offsets[i]:offsets[i + 1]]`.
    keys : ndarray of uint64, shape (n_sequences,)
        8-byte blake2b of each record id: what samples are drawn by.
    stats : dict
        Contents of stats.json.
    """

    folder: Path
    tokens: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    keys: NDArray[np.uint64]
    stats: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """Open the store in `folder`.

        Raises
        ------
        InputError
            If a file is missing or the files do not belong together; the message names the file.
        """
        folder = Path(folder)
        stats = read_json(folder / "stats.json")
        if stats.get("format_version") != FORMAT_VERSION:
            raise _unusable(
                folder / "stats.json", f"format_version is {stats.get('format_version')}, not {FORMAT_VERSION}"
            )
        tokens = _open_array(folder / "tokens.npy", "u1", stats["n_residues"])
        offsets = _open_array(folder / "offsets.npy", "<i8", stats["n_sequences"] + 1)
        keys = _open_array(folder / "keys.npy", "<u8", stats["n_sequences"])
        if not (folder / "ids.txt").is_file():
            raise _missing(folder / "ids.txt")
        if offsets[0] != 0 or offsets[-1] != tokens.size:
            raise _unusable(
                folder / "offsets.npy", f"runs from {offsets[0]} to {offsets[-1]}, not from 0 to {tokens.size}"
            )
        return cls(folder, tokens, offsets, keys, stats)

    @property
    def n_sequences(self) -> int:
        """Number of sequences."""
        return self.keys.size

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Residues of each sequence; int64, shape (n_sequences,)."""
        return np.diff(self.offsets)

    def sequence(self, i: int) -> NDArray[np.uint8]:
        """Residue ids of sequence `i`; a view into the file."""
        return self.tokens[self.offsets[i] : self.offsets[i + 1]]

    def names(self, ids: NDArray[np.int64] | list[int]) -> list[str]:
        """Record ids of the sequences `ids`, in their order. Reads ids.txt up to the largest of them."""
        wanted = np.unique(np.asarray(ids, dtype=np.int64))
        found: dict[int, str] = {}
        with (self.folder / "ids.txt").open("rb") as lines:
            position = 0
            for i in wanted.tolist():
                line = b""
                while position <= i:
                    line = next(lines, b"")
                    position += 1
                if not line:
                    raise _unusable(self.folder / "ids.txt", f"it has no line {i + 1}")
                found[i] = line[:-1].decode("utf-8", "backslashreplace")
        return [found[int(i)] for i in ids]

    def write_fasta(self, ids: NDArray[np.int64], path: str | Path) -> None:
        """Write the sequences `ids` as FASTA with the store index as name, so that a result resolves exactly to it."""
        with atomic(path) as partial, partial.open("wb") as out:
            for i in ids.tolist():
                out.write(b">%d\n%s\n" % (i, self.sequence(i).tobytes().translate(LETTERS)))


def _open_array(path: Path, dtype: str, n: int) -> NDArray[Any]:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (ValueError, OSError) as error:
        raise _unusable(path, str(error)) from error
    if values.dtype != np.dtype(dtype) or values.shape != (n,):
        raise _unusable(
            path, f"holds {values.dtype}{list(values.shape)}, but stats.json asks for {np.dtype(dtype)}[{n}]"
        )
    # A plain array on the same memory: slicing np.memmap is several times slower.
    return np.asarray(values)


def _missing(path: Path) -> InputError:
    return InputError(f"{path} is missing. Delete the folder {path.parent} and build the store again.")


def _unusable(path: Path, what: str) -> InputError:
    return InputError(f"{path} cannot be used: {what}. Delete the folder {path.parent} and build the store again.")
