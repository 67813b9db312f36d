"""The store against brute force on the records that Biopython reads."""

import gzip
import json
import math
import os
import random
import statistics
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import xxhash
from Bio.SeqIO.FastaIO import SimpleFastaParser

from plmscale.errors import InputError
from plmscale.sequences import store_repeats
from plmscale.sequences.fasta import RESIDUES, decode, encode
from plmscale.sequences.store import FILES, Store, build_store
from plmscale.sequences.store_repeats import repeats
from plmscale.sequences.store_writer import LengthCounts
from plmscale.sequences.xxhash import xxh64

EXAMPLE = Path(__file__).parents[1] / "resources" / "example" / "swissprot_20k.fasta.gz"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The example as a store, and as Biopython reads it."""
    folder = tmp_path_factory.mktemp("real") / "store"
    build_store(EXAMPLE, folder)
    with gzip.open(EXAMPLE, "rt") as text:
        records = [(title.split()[0], sequence) for title, sequence in SimpleFastaParser(text)]
    return Store.open(folder), records


def write(path, records):
    path.write_text("".join(f">{name} n=1\n{sequence}\n" for name, sequence in records))
    return path


def random_records(rng, n):
    return [(f"r{i}", "".join(rng.choices(RESIDUES, k=rng.randint(1, 90)))) for i in range(n)]


def test_real_proteins(real):
    store, records = real
    assert store.n_sequences == len(records) == 20_000
    assert b"".join(sequence.encode() for _, sequence in records) == decode(store.tokens).encode()
    assert store.lengths.dtype == np.int64
    assert store.lengths.tolist() == [len(sequence) for _, sequence in records]
    assert store.names(list(range(20_000))) == [name for name, _ in records]
    assert store.keys.tolist() == [xxhash.xxh64_intdigest(name.encode()) for name, _ in records]


def test_the_readme_of_the_example_states_what_is_there(real):
    store, _ = real
    readme = (EXAMPLE.parent / "README.md").read_text()
    text = gzip.decompress(EXAMPLE.read_bytes())
    assert sha256(EXAMPLE.read_bytes()).hexdigest() in readme
    assert sha256(text).hexdigest() in readme
    for count in (EXAMPLE.stat().st_size, len(text), store.n_sequences, store.tokens.size, store.lengths.max()):
        assert f"{count:,}" in readme
    assert all(f"{letter} {store.stats['composition'][letter]}" in readme for letter in "XZBUO")


def test_statistics_by_brute_force(real):
    store, records = real
    letters = Counter("".join(sequence for _, sequence in records))
    total = sum(letters.values())
    lengths = [len(sequence) for _, sequence in records]
    stats = store.stats
    assert stats["source"] == EXAMPLE.name
    assert stats["source_bytes"] == EXAMPLE.stat().st_size
    assert stats["source_sha256"] == sha256(EXAMPLE.read_bytes()).hexdigest()
    assert (stats["n_records_read"], stats["n_sequences"], stats["n_residues"]) == (20_000, 20_000, total)
    assert stats["composition"] == {letter: letters[letter] for letter in RESIDUES}
    assert stats["mean_length"] == pytest.approx(statistics.mean(lengths))
    assert stats["median_length"] == statistics.median(lengths)
    assert (stats["min_length"], stats["max_length"]) == (min(lengths), max(lengths))
    entropy = -sum(n / total * math.log(n / total) for n in letters.values())
    assert stats["unigram_entropy"] == pytest.approx(entropy, rel=1e-12)


def test_write_fasta_and_back(real, tmp_path):
    store, records = real
    ids = np.sort(np.random.default_rng(0).choice(20_000, 300, replace=False))
    store.write_fasta(ids, tmp_path / "some.fasta")
    with (tmp_path / "some.fasta").open() as text:
        assert list(SimpleFastaParser(text)) == [(str(i), records[i][1]) for i in ids]


def test_names_in_any_order(real):
    store, records = real
    ids = np.array([19_999, 0, 7, 7, 3])
    assert store.names(ids) == [records[i][0] for i in ids]


@pytest.mark.parametrize("seed", range(8))
def test_repeated_ids_keep_the_first(tmp_path, seed):
    rng = random.Random(seed)
    records = random_records(rng, 60)
    for _ in range(20):
        again = (rng.choice(records)[0], "".join(rng.choices(RESIDUES, k=rng.randint(0, 30))))
        records.insert(rng.randint(1, len(records)), again)
    first: dict[str, str] = {}
    repeats = []
    for name, sequence in records:
        if not sequence:
            continue
        if name in first:
            repeats.append(name)
        first.setdefault(name, sequence)
    build_store(write(tmp_path / "a.fasta", records), tmp_path / "store", block_size=rng.choice([40, 1 << 20]))
    store = Store.open(tmp_path / "store")
    found = {name: decode(store.sequence(i)) for i, name in enumerate(store.names(list(range(store.n_sequences))))}
    assert list(found.items()) == list(first.items())
    assert store.stats["repeated_dropped"] == len(repeats)
    assert store.stats["repeated_examples"] == repeats[:5]
    letters = Counter("".join(first.values()))
    assert store.stats["composition"] == {letter: letters[letter] for letter in RESIDUES}
    assert store.stats["n_records_read"] == len(records)


def test_two_ids_with_one_key_both_stay(tmp_path):
    np.save(tmp_path / "keys.npy", np.array([7, 7, 2, 7], dtype=np.uint64))
    (tmp_path / "ids.txt").write_text("a1\na2\nb\na1\n")
    positions, names = repeats(tmp_path)
    assert (positions.tolist(), names) == ([3], ["a1"])


@pytest.mark.parametrize("at_a_time", [5, 64, 1 << 22])
def test_repeats_are_found_in_any_number_of_passes(tmp_path, monkeypatch, at_a_time):
    monkeypatch.setattr(store_repeats, "KEYS_AT_A_TIME", at_a_time)
    monkeypatch.setattr(store_repeats, "_CHUNK", 17)
    rng = random.Random(at_a_time)
    names = [f"r{rng.randrange(400)}" for _ in range(300)]
    (tmp_path / "ids.txt").write_text("".join(f"{name}\n" for name in names))
    np.save(tmp_path / "keys.npy", np.array([xxhash.xxh64_intdigest(name.encode()) for name in names], dtype=np.uint64))
    positions, found = repeats(tmp_path)
    expected = [i for i, name in enumerate(names) if name in names[:i]]
    assert positions.tolist() == expected
    assert found == [names[i] for i in expected]


@pytest.mark.parametrize("seed", range(5))
def test_order_statistics_of_lengths_are_those_of_numpy(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, [3, 200, 70_000, 10**6, 10**9][seed], size=rng.integers(1, 60))
    counts = LengthCounts()
    for part in np.array_split(lengths, 4):
        counts.add(part)
    assert (counts.smallest, counts.largest) == (lengths.min(), lengths.max())
    assert counts.median() == np.median(lengths)


def test_keys_are_xxh64_of_ids_of_any_length():
    rng = random.Random(0)
    for n in [*range(70), 1000]:
        data = rng.randbytes(n)
        buffer = np.frombuffer(b"##" + data + b"#", dtype=np.uint8)
        assert int(xxh64(buffer, 2, 2 + n)) == xxhash.xxh64_intdigest(data)


def test_files_do_not_depend_on_the_block_size(tmp_path):
    source = write(tmp_path / "a.fasta", random_records(random.Random(0), 200))
    folders = []
    for block_size in (1, 33, 1000, 1 << 20):
        folders.append(tmp_path / str(block_size))
        build_store(source, folders[-1], block_size=block_size)
    for name in FILES:
        assert len({(folder / name).read_bytes() for folder in folders}) == 1, name


def test_files_are_what_numpy_itself_writes(tmp_path):
    records = random_records(random.Random(3), 50)
    build_store(write(tmp_path / "a.fasta", records), tmp_path / "store")
    tokens = np.concatenate([encode(sequence) for _, sequence in records])
    np.save(tmp_path / "tokens.npy", tokens)
    offsets = np.concatenate([[0], np.cumsum([len(sequence) for _, sequence in records])])
    np.save(tmp_path / "offsets.npy", offsets)
    for name in ("tokens.npy", "offsets.npy"):
        assert (tmp_path / "store" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_it_is_memory_mapped(real):
    store, _ = real
    base = store.tokens
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert not store.tokens.flags.writeable


def test_a_failed_build_leaves_nothing(tmp_path):
    source = write(tmp_path / "a.fasta", [*random_records(random.Random(0), 100), ("bad", "MK1")])
    with pytest.raises(InputError, match="record bad has '1' at residue 3"):
        build_store(source, tmp_path / "results" / "store", block_size=64)
    assert list((tmp_path / "results").iterdir()) == []
    write(source, [("a", ""), ("b", "")])
    with pytest.raises(InputError, match="2 records, none of them with residues"):
        build_store(source, tmp_path / "results" / "store")
    assert list((tmp_path / "results").iterdir()) == []


def test_a_failed_rebuild_keeps_the_old_store(tmp_path):
    source = write(tmp_path / "a.fasta", random_records(random.Random(0), 10))
    build_store(source, tmp_path / "store")
    write(source, [("bad", "MK1")])
    with pytest.raises(InputError):
        build_store(source, tmp_path / "store")
    assert Store.open(tmp_path / "store").n_sequences == 10
    write(source, random_records(random.Random(0), 20))
    build_store(source, tmp_path / "store")
    assert Store.open(tmp_path / "store").n_sequences == 20


def test_unwritable_folder(tmp_path):
    source = write(tmp_path / "a.fasta", [("a", "MK")])
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "store", tmp_path / "file"):
        with pytest.raises(InputError, match="cannot write .*Choose another folder"):
            build_store(source, folder)
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(InputError, match="cannot write"):
            build_store(source, tmp_path / "locked" / "store")


@pytest.mark.parametrize("name", FILES)
def test_open_needs_every_file(tmp_path, name):
    build_store(write(tmp_path / "a.fasta", [("a", "MK")]), tmp_path / "store")
    (tmp_path / "store" / name).unlink()
    with pytest.raises(InputError, match=name):
        Store.open(tmp_path / "store")


def test_open_refuses_files_that_do_not_belong_together(tmp_path):
    build_store(write(tmp_path / "a.fasta", random_records(random.Random(0), 10)), tmp_path / "store")
    store = Store.open(tmp_path / "store")
    wrong = {
        "tokens.npy": [store.tokens[:-1], store.tokens.astype(np.int64), store.tokens[None]],
        "offsets.npy": [store.offsets[:-1], store.offsets + 1],
        "keys.npy": [store.keys[1:], store.keys.astype(np.int64)],
    }
    for name, variants in wrong.items():
        path = tmp_path / "store" / name
        good = path.read_bytes()
        for values in variants:
            np.save(tmp_path / "wrong.npy", values)
            path.unlink()  # a mapped file is replaced, never written over
            path.write_bytes((tmp_path / "wrong.npy").read_bytes())
            with pytest.raises(InputError, match=name):
                Store.open(tmp_path / "store")
        path.write_bytes(good[: len(good) // 2])
        with pytest.raises(InputError, match=name):
            Store.open(tmp_path / "store")
        path.write_bytes(good)
    stats = tmp_path / "store" / "stats.json"
    stats.write_text(json.dumps(json.loads(stats.read_text()) | {"format_version": 0}))
    with pytest.raises(InputError, match="stats.json .*format_version is 0"):
        Store.open(tmp_path / "store")


MEASURED_BUILD = """
import sys
from pathlib import Path
from plmscale.sequences import store_repeats
from plmscale.sequences.store import build_store

store_repeats.KEYS_AT_A_TIME, store_repeats._CHUNK = 1 << 16, 1 << 14
build_store(sys.argv[1], sys.argv[2])
status = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak memory is read from /proc")
def test_memory_does_not_grow_with_the_number_of_sequences(tmp_path):
    """20 times the sequences: a single int64 kept for each of 1.9 million more would be 15 MB."""
    peaks = []
    for n in (100_000, 2_000_000):
        path = tmp_path / f"{n}.fasta"
        path.write_bytes(b"".join(b">%d\nMKV\n" % i for i in range(n)))
        words = [sys.executable, "-c", MEASURED_BUILD, str(path), str(tmp_path / f"store{n}")]
        peaks.append(int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) / 1024)
        assert Store.open(tmp_path / f"store{n}").n_sequences == n
    assert peaks[1] < 300
    assert peaks[1] - peaks[0] < 12


def test_what_a_killed_build_left_is_cleared_away(tmp_path):
    source = write(tmp_path / "a.fasta", random_records(random.Random(0), 10))
    left = tmp_path / ".store.partial-1"
    left.mkdir()
    (left / "tokens.npy").write_bytes(b"half")
    with pytest.raises(InputError):
        Store.open(tmp_path / "store")
    build_store(source, tmp_path / "store")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fasta", "store"]
