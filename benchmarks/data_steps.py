"""What `data.py` measures, one step a process. A step's imports and made-up input are made before its clock starts."""

import gzip
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np

Step = Callable[[Path, Path], object]
N = 64_000_000
_CODES = bytes(max(0, "LAGVSERTIDPKQNFYMHWCXBUZO".find(chr(letter))) + 3 for letter in range(256))


def store() -> Step:
    """The store of this package, with everything that it keeps. Compiled code is loaded before, as imports are."""
    from plmscale.sequences.store import build_store

    begin = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "two.fasta").write_text(">a\nACD\n>b\nKL\n")
        build_store(Path(folder) / "two.fasta", Path(folder) / "store")
    loaded = time.process_time() - begin

    def step(source: Path, scratch: Path) -> dict[str, float]:
        build_store(source, scratch / "store")
        return {"loaded": loaded}

    return step


def same_output() -> Step:
    """The store's reader, writing what every peer writes: no checksum, ids, keys, counts, nor a look for repeats."""
    from plmscale.sequences.fasta import BLOCK_SIZE
    from plmscale.sequences.fasta_records import RecordParser
    from plmscale.sequences.npy_stream import NpyWriter
    from plmscale.sequences.streams import HashedFile, ahead, decompressed

    warm = RecordParser()
    warm.feed(b">a\nACD\n")
    warm.end()

    def step(source: Path, scratch: Path) -> None:
        parser, end = RecordParser(), 0
        with ExitStack() as stack:
            raw = stack.enter_context(source.open("rb"))
            tokens, offsets = (
                NpyWriter(scratch / f"{name}.npy", dtype, stack)
                for name, dtype in (("tokens", "u1"), ("offsets", "<i8"))
            )
            blocks = ahead(decompressed(cast(HashedFile, raw), block_size=BLOCK_SIZE))
            for records in chain(map(parser.feed, blocks), map(RecordParser.end, [parser])):
                tokens.append(records.tokens)
                offsets.append(end + np.cumsum(records.lengths))
                end += records.tokens.size
            tokens.finish()
            offsets.finish()

    return step


def inflate() -> Step:
    """Only decompress, as the store does, and hash the source."""
    from plmscale.sequences.fasta import BLOCK_SIZE
    from plmscale.sequences.streams import HashedFile, decompressed

    def step(source: Path, _: Path) -> None:
        with source.open("rb") as raw, HashedFile(raw) as file:
            # Some blocks stay alive, as in a store: else the allocator gives each back to the system and gets it again.
            deque(decompressed(file, block_size=BLOCK_SIZE), maxlen=8)

    return step


def _tokens(sequences: Iterable[str], scratch: Path) -> None:
    """What every peer writes: tokens and offsets."""
    offsets = [0]
    with (scratch / "tokens.bin").open("wb") as out:
        for sequence in sequences:
            out.write(sequence.encode().translate(_CODES))
            offsets.append(offsets[-1] + len(sequence))
    np.save(scratch / "offsets.npy", np.array(offsets))


def biopython() -> Step:
    """gzip and Biopython's SimpleFastaParser."""
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    def step(source: Path, scratch: Path) -> None:
        with gzip.open(source, "rt") as text:
            _tokens((sequence for _, sequence in SimpleFastaParser(text)), scratch)

    return step


def dnaio() -> Step:
    """dnaio with its own decompression, in one thread."""
    import dnaio as library

    def step(source: Path, scratch: Path) -> None:
        with library.open(source, open_threads=1) as records:
            _tokens((record.sequence for record in records), scratch)

    return step


def pyfastx() -> Step:
    """pyfastx.Fastx with its own decompression."""
    from pyfastx import Fastx

    return lambda source, scratch: _tokens((record[1] for record in Fastx(str(source))), scratch)


def sample() -> Step:
    """10 % of 64 million by rank of their keys."""
    from plmscale.sets.ranks import lowest

    rng = np.random.default_rng(0)
    keys, every = rng.integers(2**64, size=N, dtype=np.uint64), np.ones(N, dtype=np.bool_)
    lowest(keys[:1000], every[:1000], n=10, seed=0)  # compiles
    return lambda *_: {"chosen": lowest(keys, every, n=N // 10, seed=0).size}


def _plan(order: Any) -> Step:
    from plmscale.sets.batch_plan import plan_batches

    rng = np.random.default_rng(0)
    lengths = np.concatenate([rng.lognormal(5.57, 0.65, N // 64).clip(10, 1024).astype(np.uint16) for _ in range(64)])
    plan_batches(lengths[:1000], batch_tokens=5000, order=order, seed=0).padding_share(lengths[:1000])  # compiles

    def step(*_: Path) -> dict[str, float]:
        plan = plan_batches(lengths, batch_tokens=50_000, order=order, seed=0)
        return {"batches": len(plan), "plan MB": plan.n_bytes / 1e6, "padding": plan.padding_share(lengths)}

    return step


STEPS: dict[str, Callable[[], Step]] = {
    "store": store,
    "same_output": same_output,
    "inflate": inflate,
    "biopython": biopython,
    "dnaio": dnaio,
    "pyfastx": pyfastx,
    "sample": sample,
    "plan_bucketed": lambda: _plan("bucketed"),
    "plan_sorted": lambda: _plan("sorted"),
}
