"""Draw the example data set: 20,000 proteins of a Swiss-Prot release, the same ones on every machine.

    python make_example.py uniprot_sprot.fasta.gz swissprot_20k.fasta.gz

Each record gets the rank blake2b(seed + record id), and the records of the lowest ranks are kept, in the order of the
file. This is a uniform sample without replacement that depends neither on the order of the file nor on Python's random
numbers. Headers and line breaks are copied byte for byte. Needs the standard library only.
"""

import argparse
import gzip
import hashlib
import heapq
from collections.abc import Iterator
from pathlib import Path


def records(path: Path) -> Iterator[bytes]:
    """Yield each record of a gzipped FASTA file as it stands, from its `>` to the end of its last line."""
    record: list[bytes] = []
    with gzip.open(path, "rb") as lines:
        for line in lines:
            if line.startswith(b">") and record:
                yield b"".join(record)
                record = []
            record.append(line)
    yield b"".join(record)


def rank(record: bytes, *, seed: int) -> int:
    """Rank of a record: a hash of the seed and of the first word of its header."""
    record_id = record[1:].split(maxsplit=1)[0]
    return int.from_bytes(hashlib.blake2b(b"%d\0%s" % (seed, record_id), digest_size=8).digest(), "little")


def write_gzip(path: Path, text: bytes) -> None:
    """Write a gzip file that is the same at every call: neither a name nor a time in its header."""
    with path.open("wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=9, mtime=0) as packed:
        packed.write(text)


def main() -> None:
    """Read the arguments, draw the sample, write it and print what the README states about it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="gzipped FASTA file to draw from")
    parser.add_argument("destination", type=Path, help="gzipped FASTA file to write")
    parser.add_argument("--count", type=int, default=20_000, help="records to draw (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the ranks (default: %(default)s)")
    arguments = parser.parse_args()

    ranks = [rank(record, seed=arguments.seed) for record in records(arguments.source)]
    if len(ranks) < arguments.count:
        raise SystemExit(f"{arguments.source} has {len(ranks)} records, fewer than --count {arguments.count}.")
    chosen = set(heapq.nsmallest(arguments.count, range(len(ranks)), key=ranks.__getitem__))
    # The last record of a file may lack its line break; in the sample every record ends with one.
    kept = [record.rstrip(b"\n") + b"\n" for i, record in enumerate(records(arguments.source)) if i in chosen]
    text = b"".join(kept)
    write_gzip(arguments.destination, text)

    residues = sum(len(b"".join(record.split(b"\n")[1:])) for record in kept)
    print(f"records drawn from    {len(ranks):,}")
    print(f"records               {len(kept):,}")
    print(f"residues              {residues:,}")
    print(f"bytes, uncompressed   {len(text):,}  sha256 {hashlib.sha256(text).hexdigest()}")
    packed = arguments.destination.read_bytes()
    print(f"bytes, gzip           {len(packed):,}  sha256 {hashlib.sha256(packed).hexdigest()}")


if __name__ == "__main__":
    main()
