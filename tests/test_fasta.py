"""The parser against Biopython, on real proteins and on files that are awkward in every way that we tolerate."""

import bz2
import gzip
import importlib.util
import random
import subprocess
import sys
from hashlib import sha256
from io import StringIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser

from plmscale.errors import InputError
from plmscale.sequences import fasta
from plmscale.sequences.fasta import FastaReader, decode, encode

EXAMPLE = Path(__file__).parents[1] / "resources" / "example" / "swissprot_20k.fasta.gz"


def parsed(path, **options):
    """All records as (id, sequence), and the reader."""
    reader = FastaReader(path, **options)
    records = []
    for block in reader:
        ends = np.cumsum(block.lengths)
        assert block.tokens.size == ends[-1] if ends.size else block.tokens.size == 0
        for name, end, length in zip(block.ids, ends, block.lengths, strict=True):
            records.append((name.decode(), decode(block.tokens[end - length : end])))
    return records, reader


def biopython(text):
    """What Biopython reads, after the documented mapping: white space out, upper case, one final * off, J to X."""
    found = []
    for title, sequence in SimpleFastaParser(StringIO(text)):
        letters = "".join(sequence.split()).upper().removesuffix("*").replace("J", "X")
        found.append((title.split()[0], letters))
    return [record for record in found if record[1]]


def awkward(rng, *, n=40):
    """A legal FASTA text with everything that is tolerated, and exact counts of it by construction."""
    counts = dict.fromkeys(("lower", "j", "stars", "crlf", "blank", "white", "empty"), 0)
    lines = []

    def add(line):
        crlf = rng.random() < 0.3
        counts["crlf"] += crlf
        lines.append(line + ("\r\n" if crlf else "\n"))

    for i in range(n):
        style = rng.choice([">UniRef50_{} n=1 > Tax=x y\t", ">tr|A0A{}|NAME_ORG Protein > of J*", ">{}", ">{} "])
        add(style.format(i))
        length = rng.choice([0, 1, 2, 59, 60, 61, 700])
        letters = rng.choices(fasta.RESIDUES + "J" + "jlagv", k=length)
        counts["empty"] += length == 0
        counts["j"] += sum(letter in "jJ" for letter in letters)
        counts["lower"] += sum(letter.islower() for letter in letters)
        if length and rng.random() < 0.3:
            letters.append("*")
            counts["stars"] += 1
        width = rng.choice([1, 13, 60, 10_000])
        for begin in range(0, len(letters), width):
            line = "".join(letters[begin : begin + width])
            if rng.random() < 0.2:
                space = rng.choice([" ", "\t", "  "])
                line = line[: width // 2] + space + line[width // 2 :]
                counts["white"] += len(space)
            add(line)
            if rng.random() < 0.1:
                add("")
                counts["blank"] += 1
    return "".join(lines), counts


def test_alphabet_has_the_order_of_fair_esm():
    spec = importlib.util.find_spec("esm")
    if spec is None:
        pytest.skip("fair-esm is not installed")
    scope: dict = {}
    exec((Path(spec.origin).parent / "constants.py").read_text(), scope)  # noqa: S102 (importing esm imports torch)
    theirs = [letter for letter in scope["proteinseq_toks"]["toks"] if letter not in ".-"]
    assert list(fasta.TOKENS) == ["<cls>", "<pad>", "<eos>", *theirs, "<mask>"]
    assert len(fasta.TOKENS) == 29
    assert (fasta.TOKENS[fasta.START], fasta.TOKENS[fasta.PAD], fasta.TOKENS[fasta.END]) == ("<cls>", "<pad>", "<eos>")
    assert fasta.TOKENS[fasta.MASK] == "<mask>"
    assert sorted(fasta.TOKENS[i] for i in fasta.STANDARD) == sorted("ACDEFGHIKLMNPQRSTVWY")


def test_encode_and_decode():
    assert decode(encode(fasta.RESIDUES)) == fasta.RESIDUES
    assert decode(encode(b"mkvJj")) == "MKVXX"
    assert [fasta.TOKENS[i] for i in encode("MKV")] == ["M", "K", "V"]
    assert encode("").size == 0
    for bad, where in (("MK-V", 3), ("MKV*", 4), ("1", 1), ("MÄ", 2)):
        with pytest.raises(InputError, match=f"residue {where}: "):
            encode(bad)
    with pytest.raises(InputError, match="token 28"):
        decode(np.array([5, 28], dtype=np.uint8))


def test_real_proteins_as_biopython_reads_them():
    records, reader = parsed(EXAMPLE)
    assert records == biopython(gzip.decompress(EXAMPLE.read_bytes()).decode())
    assert len(records) == reader.tally.n_records_read == 20_000
    assert reader.n_bytes == EXAMPLE.stat().st_size
    assert reader.sha256 == sha256(EXAMPLE.read_bytes()).hexdigest()


@pytest.mark.parametrize("seed", range(25))
def test_awkward_files_at_every_block_size(tmp_path, seed):
    rng = random.Random(seed)
    text, counts = awkward(rng)
    path = tmp_path / "proteins.txt"
    path.write_text(text, newline="")
    for block_size in [1 << 20, *rng.sample(range(1, 300), 4)]:
        records, reader = parsed(path, block_size=block_size)
        assert records == biopython(text), f"block size {block_size}"
        tally = reader.tally
        assert (tally.n_records_read, tally.empty_dropped) == (40, counts["empty"])
        assert (tally.lower_case_to_upper, tally.j_to_x) == (counts["lower"], counts["j"])
        assert (tally.stars_removed, tally.white_space_removed) == (counts["stars"], counts["white"])
        assert (tally.crlf_lines, tally.blank_lines) == (counts["crlf"], counts["blank"])
        assert len(tally.empty_examples) == min(5, counts["empty"])


@pytest.mark.parametrize("block_size", [1, 2, 3, 1 << 20])
def test_ends_and_beginnings(tmp_path, block_size):
    path = tmp_path / "proteins.fasta"
    for text in (">a\nMK", ">a\nMK\n", "\n\r\n >a\nMK\n\n", ">a\r\nMK\r\n>b", ">a\nMK\n>b\n", ">b\n>a\nM\nK\n"):
        path.write_bytes(text.encode())
        assert parsed(path, block_size=block_size)[0] == [("a", "MK")], text


def test_compression_is_told_by_content(tmp_path):
    text, _ = awkward(random.Random(1))
    raw = text.encode()
    files = {
        "plain.gz": raw,
        "gzip.fasta": gzip.compress(raw),
        "members.gz": gzip.compress(raw[:999]) + gzip.compress(raw[999:]),
        "padded.gz": gzip.compress(raw) + bytes(512),
        "zstd.fasta": pa.compress(raw, codec="zstd", asbytes=True),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        for block_size in (7, 1 << 20):
            records, reader = parsed(tmp_path / name, block_size=block_size)
            assert records == biopython(text), name
            assert reader.sha256 == sha256(content).hexdigest(), name
            assert reader.n_bytes == len(content)


@pytest.mark.parametrize("seed", range(12))
def test_cut_gzip_says_after_how_many_complete_records(tmp_path, seed):
    rng = random.Random(seed)
    text = "".join(f">r{i}\n{''.join(rng.choices('ACDEFGHIKL', k=rng.randint(1, 400)))}\n" for i in range(300))
    packed = gzip.compress(text.encode())
    path = tmp_path / "cut.fasta.gz"
    path.write_bytes(packed[: rng.choice([rng.randrange(20, len(packed)), len(packed) - rng.randint(1, 8)])])
    with gzip.open(path) as stream:  # the oracle: what the standard library gets out of it
        whole = b""
        with pytest.raises(EOFError):
            while True:
                whole += stream.read(1)
    read = []
    with pytest.raises(InputError, match="ends in the middle of the compressed stream") as raised:
        for block in FastaReader(path, block_size=rng.choice([50, 4096, 1 << 20])):
            read += block.ids
    complete = max(whole.count(b">") - 1, 0)
    assert f"after {complete} complete records" in str(raised.value)
    assert len(read) == complete


def test_damaged_files(tmp_path):
    raw = b">a\n" + bytes(random.Random(0).choices(b"ACDEFGHIKL", k=5000)) + b"\n"
    packed = bytearray(gzip.compress(raw))
    packed[-6] ^= 1  # in the CRC
    zstd = pa.compress(raw, codec="zstd", asbytes=True)
    cases = {
        "crc.gz": (bytes(packed), "is damaged in the compressed stream.*checksum.*Download it again"),
        "tail.gz": (gzip.compress(raw) + b"garbage after", "is damaged in the compressed stream"),
        "cut.zst": (zstd[: len(zstd) // 2], "ends in the middle of the compressed stream"),
        "a.bz2": (bz2.compress(raw), "is compressed with bzip2. Compress it with gzip"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message) as raised:
            parsed(tmp_path / name)
        assert name in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "holds no record"),
        (gzip.compress(b"", mtime=0), "holds no record"),
        (b"MKV\n>a\nMKV\n", "line 1: 'MKV' stands before the first"),
        (b"\n\nMKV\n>a\nMKV\n", "line 3: 'MKV' stands before the first"),
        (b"\xff\xfe>\x00a\x00", "line 1: the text is in UTF-16"),
        (b">a\nMK\n>b\nMK\nV-K\n", "line 5: record b has '-' at residue 4"),
        (b">a\nM K\n\n  V5K\n", "line 4: record a has '5' at residue 4"),
        (b">a x\r\nMK*V\r\n", r"line 2: record a has '\*' at residue 3"),
        (b">a\nMKV**\n", r"line 2: record a has '\*' at residue 4"),
        (b">a\nMK\xe9\n", "line 2: record a has byte 0xe9 at residue 3"),
        (b">a\nMK\n >b\nMK\n", "line 3: record a has '>' at residue 3"),
        (b">a\nMK\n>\nMK\n", "line 3: a `>` without a name"),
        (b">a\nMK\n> \nMK\n", "line 3: a `>` without a name"),
    ],
)
@pytest.mark.parametrize("block_size", [1, 5, 1 << 20])
def test_errors_name_the_place(tmp_path, content, message, block_size):
    path = tmp_path / "bad.fasta"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        parsed(path, block_size=block_size)
    assert str(path) in str(raised.value)


def test_line_numbers_far_into_a_file(tmp_path):
    rng = random.Random(5)
    text, _ = awkward(rng, n=200)
    lines = text.split("\n")
    bad = rng.choice([i for i, line in enumerate(lines) if line.strip() and not line.startswith(">")][50:])
    lines[bad] = "?" + lines[bad]
    path = tmp_path / "bad.fasta"
    path.write_text("\n".join(lines), newline="")
    for block_size in (10, 1000, 1 << 20):
        with pytest.raises(InputError, match=rf"line {bad + 1}: .*'\?'"):
            parsed(path, block_size=block_size)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.fasta", tmp_path):
        with pytest.raises(InputError, match="cannot read"):
            parsed(path)


def test_titin_is_kept_whole(tmp_path):
    sequence = "".join(random.Random(0).choices(fasta.RESIDUES, k=35_213))
    (tmp_path / "titin.fasta").write_text(f">titin\n{sequence}\n>b\nM\n")
    assert parsed(tmp_path / "titin.fasta", block_size=1000)[0] == [("titin", sequence), ("b", "M")]


def test_the_data_layer_does_not_import_torch():
    code = "import sys, plmscale.sets.subsets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
