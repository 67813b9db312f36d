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

from ..errors import InputError
from ..files import atomic, read_as, read_object, sync_file, sync_folder
from .alphabet import FIRST_RESIDUE, LETTERS, RESIDUES
from .fasta import BLOCK_SIZE, FastaReader
from .store_writer import StoreWriter

FORMAT_VERSION = 2
FILES = ("tokens.npy", "offsets.npy", "keys.npy", "ids.txt", "stats.json")
"""What a store consists of. stats.json is moved into place last: without it there is no store."""
_EXAMPLES = 5
_CHUNK = 1 << 20


def build_store(
    source: str | Path, folder: str | Path, *, retrieval: Path | None = None, block_size: int = BLOCK_SIZE
) -> dict[str, Any]:
    """Tokenise a FASTA file into `folder`.

    One pass over the source. Memory does not grow with the number of sequences: some 150 MB for the compiler, some
    blocks, and 100 MB while repeated ids are looked for; only ids that are repeated are kept in memory. All is written
    beside `folder`, forced to disk, and moved in at the end, stats.json last: a build that was interrupted leaves no
    store, and starts anew; a store that is there is whole, after a power loss too.

    Parameters
    ----------
    source : str or Path
        FASTA file; see `fasta.FastaReader` for what is read and tolerated.
    folder : str or Path
        Gets `tokens.npy` (uint8, residues of all sequences in file order, no START or END), `offsets.npy` (int64,
        n_sequences + 1: sequence i is `tokens[offsets[i]:offsets[i + 1]]`), `keys.npy` (uint64, XXH64 of the record
        id), `ids.txt` (one record id a line) and `stats.json`.
    retrieval : Path, optional
        The record that `retrieve.retrieve` left beside the source; it is put into stats.json.
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
    from .store_repeats import repeats, without  # here, since they import the compiler

    record = read_object(retrieval) if retrieval else None
    reader = FastaReader(source, block_size=block_size)
    with _new_folder(Path(folder)) as partial:
        with ExitStack() as stack:
            writer = StoreWriter(partial, stack)
            for records in reader:
                writer.add(records)
            writer.finish()
        if not writer.n_sequences:
            raise InputError(f"{source} has {reader.tally.n_records_read} records, none of them with residues.")
        positions, repeated = repeats(partial)
        if repeated:
            (partial / "unique").mkdir()
            writer = without(positions, partial, target=partial / "unique")
            for name in FILES[:-1]:
                (partial / "unique" / name).replace(partial / name)
        stats = _stats(reader, writer) | {"repeated_dropped": len(repeated)}
        stats |= {"repeated_examples": repeated[:_EXAMPLES], "retrieval": record}
        (partial / "stats.json").write_text(json.dumps(stats, indent=2, allow_nan=False) + "\n")
    return stats


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`; when the block ends without an error, move its files into `folder`."""
    partial = folder.with_name(f".{folder.name}.partial-{getpid()}")
    try:
        for left in folder.parent.glob(f".{folder.name}.partial-*"):  # of a build that was killed
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for name in FILES:
            sync_file(partial / name)
        folder.mkdir(exist_ok=True)
        (folder / "stats.json").unlink(missing_ok=True)  # from here on the old store is gone, the new one incomplete
        sync_folder(folder)
        for name in FILES[:-1]:
            (partial / name).replace(folder / name)
        sync_folder(folder)  # the others are there before stats.json is: two renames may reach the disk in any order
        (partial / FILES[-1]).replace(folder / FILES[-1])
        sync_folder(folder)
        sync_folder(folder.absolute().parent)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"cannot write {folder}: {error.strerror} ({error.filename}). Choose another folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _stats(reader: FastaReader, writer: StoreWriter) -> dict[str, Any]:
    composition = {letter: int(writer.counts[i]) for i, letter in enumerate(RESIDUES, FIRST_RESIDUE)}
    n_residues = sum(composition.values())
    shares = [n / n_residues for n in composition.values() if n]
    return {
        "format_version": FORMAT_VERSION,
        "source": reader.path.name,
        "source_bytes": reader.n_bytes,
        "source_sha256": reader.sha256,
        "n_sequences": writer.n_sequences,
        "n_residues": n_residues,
        "mean_length": n_residues / writer.n_sequences,
        "median_length": writer.lengths.median(),
        "min_length": writer.lengths.smallest,
        "max_length": writer.lengths.largest,
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
        XXH64 of each record id: what samples are drawn by.
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
        stats = read_object(folder / "stats.json")
        if stats.get("format_version") != FORMAT_VERSION:
            raise _unusable(
                folder / "stats.json", f"format_version is {stats.get('format_version')}, not {FORMAT_VERSION}"
            )
        with read_as("the record of a store", where=folder / "stats.json"):
            n_residues, n_sequences = int(stats["n_residues"]), int(stats["n_sequences"])
        tokens = _open_array(folder / "tokens.npy", "u1", n_residues)
        offsets = _open_array(folder / "offsets.npy", "<i8", n_sequences + 1)
        keys = _open_array(folder / "keys.npy", "<u8", n_sequences)
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

    def input_lengths(self, ids: NDArray[np.int64], *, max_length: int) -> NDArray[np.uint16 | np.uint32]:
        """Positions that the sequences `ids` take as input, START and END included: 2 bytes a sequence.

        Parameters
        ----------
        ids : ndarray of int64, shape (n,)
        max_length : int
            Longest input in positions.

        Returns
        -------
        ndarray of uint16 (uint32 if `max_length` needs it), shape (n,)
        """
        found = np.empty(ids.size, dtype=np.uint16 if max_length < 1 << 16 else np.uint32)
        for begin in range(0, ids.size, _CHUNK):
            part = ids[begin : begin + _CHUNK]
            found[begin : begin + _CHUNK] = np.minimum(self.offsets[part + 1] - self.offsets[part] + 2, max_length)
        return found

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
