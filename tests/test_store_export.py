"""FASTA → store → FASTA, with Biopython as the reader of both; and any FASTA that hypothesis thinks of."""

import gzip
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plmscale.cli.main import main
from plmscale.errors import InputError
from plmscale.sequences.alphabet import RESIDUES
from plmscale.sequences.fasta import FastaReader, decode
from plmscale.sequences.store import Store, build_store
from plmscale.sets.store_export import export_fasta

EXAMPLE = Path(__file__).parents[1] / "resources" / "example" / "swissprot_20k.fasta.gz"
GENEROUS = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

LETTERS = RESIDUES + "J" + RESIDUES.lower() + "j"
NAMES = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
TITLES = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=20)
LINES = st.lists(st.text(LETTERS + " \t", max_size=30), max_size=4)
ENDS = st.sampled_from(["\n", "\r\n", "\n\n", "\r\n \r\n"])


@st.composite
def fasta_texts(draw):
    """Legal FASTA: any names, widths, line ends, blanks, cases, final stars, empty records, a last line cut short."""
    parts = []
    for _ in range(draw(st.integers(1, 6))):
        end = draw(ENDS)
        star = draw(st.sampled_from(["", "", "*"]))
        parts.append(f">{draw(NAMES)} {draw(TITLES)}" + end.replace("\n\n", "\n"))
        parts += [line + end for line in draw(LINES)] + [star + end]
    text = "".join(parts)
    return text.rstrip("\r\n") if draw(st.booleans()) else text


def mapped(text):
    """What Biopython reads, after the documented mapping: no white space, upper case, no final star, X for J."""
    for title, sequence in SimpleFastaParser(StringIO(text)):
        letters = "".join(sequence.split()).upper().removesuffix("*").replace("J", "X")
        if letters:
            yield title.split()[0], letters


def read(path, *, block_size):
    for records in FastaReader(path, block_size=block_size):
        ends = np.cumsum(records.lengths)
        for name, begin, end in zip(records.ids, ends - records.lengths, ends, strict=True):
            yield name.decode(), decode(records.tokens[begin:end])


@GENEROUS
@given(text=fasta_texts(), block_size=st.integers(1, 200))
def test_what_biopython_reads_is_read_the_same(tmp_path, text, block_size):
    path = tmp_path / "a.fasta"
    path.write_bytes(text.encode())
    assert list(read(path, block_size=block_size)) == list(mapped(text))


@GENEROUS
@given(text=fasta_texts(), block_size=st.integers(1, 200), data=st.data())
def test_a_damaged_file_is_an_error_at_its_place(tmp_path, text, block_size, data):
    """An illegal character put between two letters of a sequence is named with its record, line and residue."""
    lines = text.split("\n")
    spots = [
        (number, at)
        for number, line in enumerate(lines)
        if not line.startswith(">")
        for at, letter in enumerate(line)
        if letter in LETTERS
    ]
    if not spots:
        return
    number, at = data.draw(st.sampled_from(spots))
    bad = data.draw(st.sampled_from(["-", ".", "1", "?", "*", "\x00", ">"]))
    if bad == ">" and at == 0:
        return
    lines[number] = lines[number][:at] + bad + lines[number][at:]
    header = max(i for i in range(number) if lines[i].startswith(">"))
    before = sum(letter in LETTERS for line in lines[header + 1 : number] for letter in line)
    before += sum(letter in LETTERS for letter in lines[number][:at])
    path = tmp_path / "a.fasta"
    path.write_bytes("\n".join(lines).encode())
    shown = "byte 0x00" if bad == "\x00" else repr(bad)
    name = lines[header][1:].split()[0]
    with pytest.raises(InputError) as raised:
        list(read(path, block_size=block_size))
    assert f"line {number + 1}: record {name} has {shown} at residue {before + 1}." in str(raised.value)


@GENEROUS
@given(text=fasta_texts(), cut=st.floats(0, 1, exclude_max=True))
def test_a_cut_gzip_is_an_error_that_counts_the_complete_records(tmp_path, text, cut):
    path = tmp_path / "a.fasta.gz"
    packed = gzip.compress(text.encode(), mtime=0)
    path.write_bytes(packed[: max(3, int(cut * len(packed)))])
    with pytest.raises(InputError, match=r"after \d+ complete records") as raised:
        list(read(path, block_size=64))
    said = int(re.findall(r"after (\d+) complete", str(raised.value))[0])
    assert said <= sum(line.startswith(">") for line in text.split("\n"))


@GENEROUS
@given(text=fasta_texts())
def test_a_store_gives_its_fasta_back(tmp_path, text):
    first: dict[str, str] = {}
    for name, letters in mapped(text):
        first.setdefault(name, letters)
    (tmp_path / "a.fasta").write_bytes(text.encode())
    if not first:
        with pytest.raises(InputError, match="none of them with residues"):
            build_store(tmp_path / "a.fasta", tmp_path / "store")
        return
    build_store(tmp_path / "a.fasta", tmp_path / "store")
    export_fasta(Store.open(tmp_path / "store"), tmp_path / "b.fasta")
    with (tmp_path / "b.fasta").open(newline="") as written:
        assert list(SimpleFastaParser(written)) == list(first.items())


def test_real_proteins_come_back_byte_for_byte(tmp_path):
    build_store(EXAMPLE, tmp_path / "store")
    main(["export-fasta", str(tmp_path / "store"), str(tmp_path / "all.fasta.gz")])
    with gzip.open(EXAMPLE, "rt") as source, gzip.open(tmp_path / "all.fasta.gz", "rt") as back:
        expected = [(title.split()[0], letters) for title, letters in SimpleFastaParser(source)]
        assert list(SimpleFastaParser(back)) == expected
    chosen = np.array([0, 5, 16_383, 16_384, 19_999])
    np.save(tmp_path / "some.npy", chosen)
    main(
        ["export-fasta", str(tmp_path / "store"), str(tmp_path / "some.fasta"), "--subset", str(tmp_path / "some.npy")]
    )
    with (tmp_path / "some.fasta").open() as back:
        assert list(SimpleFastaParser(back)) == [expected[i] for i in chosen]


def test_errors_of_the_command_line_are_one_line(tmp_path):
    with pytest.raises(SystemExit, match="error: .*stats.json does not exist"):
        main(["export-fasta", str(tmp_path / "none"), str(tmp_path / "a.fasta")])
