"""Every reader of files from elsewhere, on thousands of changed ones: the right value, or one sentence.

Anything else that a reader raises fails its test. Limits of time and memory are those of the suite: an input that asks
for more than a file holds would be noticed at once.
"""

import io
import json
import random
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file

from conftest import ROOT
from hostile import N, changed, inputs
from plmscale.errors import InputError
from plmscale.files import read_json, read_object, read_text
from plmscale.model.weights import read_safetensors
from plmscale.plan.study import plan_study
from plmscale.sequences.alphabet import RESIDUES, decode
from plmscale.sequences.fasta import FastaReader
from plmscale.sequences.metalink import read_metalink
from plmscale.sequences.streams import DamagedStream, HashedFile, UnsupportedCompression, decompressed
from plmscale.study.config import Config, ModelSize, Subset
from plmscale.study.configuration import read_yaml
from plmscale.study.published_settings import PublishedModel
from plmscale.study.study import load_study
from plmscale.study.table_rows import read_rows

DATA = Path(__file__).parent / "data/hostile"


def test_json_is_what_the_standard_library_reads_or_an_error(tmp_path):
    path, right = tmp_path / "a.json", 0
    honest = [
        json.dumps({"a": [1, 2.5, None, True, "é"], "b": {"c": {"d": []}}, "n": -1e-3}).encode(),
        json.dumps([{"step": i, "loss": 1 / (i + 1)} for i in range(20)], indent=1, ensure_ascii=False).encode(),
        b'"\\ud83d\\ude00"',
    ]
    for data in inputs(honest, seed=1):
        path.write_bytes(data)
        try:
            found = read_json(path)
        except InputError as error:
            assert str(path) in str(error)
            continue
        assert repr(found) == repr(json.loads(data.decode("utf-8-sig")))  # NaN is not equal to itself
        right += 1
    assert right > 50


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("é".encode("latin-1") + b"=1", r"line 1, column 1: byte 0xe9 is not UTF-8"),
        ("é".encode("utf-16"), "is UTF-16"),
        ("é".encode("utf-32"), "is UTF-32"),
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'"\\ud800"', "half of a surrogate pair"),
        (b"1" * 5000, "not valid JSON"),
        (b"[1]", "holds a list, not an object"),
        (b"", "line 1: not valid JSON"),
    ],
)
def test_json_that_is_refused_by_name(tmp_path, data, says):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match=says):
        read_object(tmp_path / "a.json")


def test_a_file_that_has_no_end_or_is_none_is_an_error(tmp_path):
    with pytest.raises(InputError, match="is larger than"):
        read_text("/dev/zero", largest=1000)
    for path in (tmp_path, tmp_path / "none", "a\0b", "a" * 5000):
        with pytest.raises(InputError, match="cannot be read|does not exist"):
            read_json(path)


def test_a_key_that_is_missing_is_said_with_its_file(tmp_path):
    (tmp_path / "a.json").write_text('{"cell": {"model": {}}}')
    with pytest.raises(InputError, match=r"a.json: an object has no 'subset', only 'model'"):
        read_json(tmp_path / "a.json")["cell"]["subset"]


CONFIGS = [
    b"models: config/toy_models.tsv\nsubsets: config/toy_subsets.tsv\nseeds: [0, 1]\nsource: a.fasta\n"
    b"hardware:\n  name: A100-80GB\n  max_nodes: 4\n  target_hours: 1.5\n"
    b"training: {batch_tokens: 5000, stop: {tolerance: 1.0e-3}}\n",
    b"max_length: &x 512\nexecution: &y\n  threads: 2\ndata_seed: *x\n"
    b"analysis:\n  budgets: [1.0e+17, 1.0e+18]\n  flops: 6nd\n",
]


def test_configurations_are_read_or_refused(tmp_path):
    path, read = tmp_path / "c.yaml", 0
    for data in inputs(CONFIGS, seed=2):
        path.write_bytes(data)
        try:
            study = load_study(read_yaml(path), base=ROOT, with_published=False)
        except InputError:
            continue
        text = study.config.model_dump_json()
        assert "NaN" not in text and "Infinity" not in text
        read += 1
    assert read > 5


LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS, "stands for more than 100,000 values"),
        ("a: &a [*a]", "an alias stands for a block that holds it"),
        ("[" * 2000, "nested more than 50 deep"),
        ("a: {" * 60, "no valid YAML|nested"),
        ("seeds: [0]\nseeds: [1]", "line 2, column 1: seeds is already on line 1"),
        ("1: 2", "the key '1' is no text"),
        ("no: 2", "the key 'no' is no text"),
        ("max_length: 010", "base 8"),
        ("max_length: 1:30", "base 60"),
        ("a: 2020-13-45", "month must be in"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: " + "9" * 5000, "4300 digits"),
        ("a: b\n" * 100_000, "is larger than"),
    ],
    ids=range(13),
)
def test_yaml_that_is_refused_by_name(tmp_path, text, says):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=says):
        read_yaml(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"training": {"batch_tokens": 10**18}}, r"batch_tokens: must be a whole number from 1 to 1e\+09"),
        ({"hardware": {"max_nodes": 10**9}}, "max_nodes: Input should be less than or equal to 10000;"),
        ({"max_length": float("nan")}, "max_length"),
        ({"budget_gpu_hours": float("inf")}, "budget_gpu_hours"),
        ({"seeds": [True]}, "true and false are no value of this setting"),
        ({"seeds": [1, 1]}, "1 is there twice"),
        ({"source": "a{b}.fasta"}, "which Snakemake cannot carry"),
        ({"source": "-a.fasta"}, "begins with a dash"),
        ({"models": "a\0b"}, "which Snakemake cannot carry"),
        ({"compare": ["x" * 300]}, "255"),
        ({"source": "https://example.org/"}, "does not end with the name of a file"),
        ({"source": "https://example.org/{a}.gz"}, "Snakemake cannot carry|name of a file"),
        ({"source": "https://[::1/a.gz"}, "no host"),
        ({"source": 5}, "valid string"),
        ({"x" * 5000: 1}, "no such setting"),
        ({"training": []}, "training"),
        ({"seeds": list(range(5000))}, "at most 1000"),
    ],
    ids=range(17),
)
def test_settings_that_are_refused(raw, says):
    with pytest.raises(InputError, match=says) as raised:
        load_study(raw, base=ROOT)
    assert len(str(raised.value)) < 3000


@pytest.mark.parametrize("key", ["source", "source_metalink"])
@pytest.mark.parametrize("url", ["https://me:pa55word@example.org/a.gz", "https://example.org/a.gz?token=pa55word"])
def test_a_password_in_a_url_is_refused_and_not_repeated(key, url):
    with pytest.raises(InputError, match="netrc") as raised:
        load_study({key: url}, base=ROOT)
    assert "pa55word" not in str(raised.value)


TABLES = [
    (ModelSize, ROOT / "config/models.tsv"),
    (Subset, ROOT / "config/ladder_subsets.tsv"),
    (PublishedModel, ROOT / "config/published_plms.tsv"),
]


@pytest.mark.parametrize(("kind", "shipped"), TABLES, ids=lambda one: getattr(one, "__name__", ""))
def test_tables_are_read_or_refused(tmp_path, kind, shipped):
    lines = shipped.read_bytes().splitlines(keepends=True)
    honest = [b"".join(lines[-6:]) if kind is PublishedModel else b"".join(lines[:5])]
    if kind is PublishedModel:
        honest = [next(line for line in lines if line.startswith(b"name\t")) + honest[0]]
    path, read = tmp_path / "t.tsv", 0
    for data in inputs(honest, seed=3, n=N if kind is not PublishedModel else N // 2):
        path.write_bytes(data)
        try:
            rows = read_rows(path, kind)
        except InputError as error:
            assert str(path) in str(error)
            assert len(str(error)) < 3000
            continue
        read += 1
        cells = {cell.strip() for line in data.decode("utf-8-sig").splitlines() for cell in line.split("\t")}
        for _, row in rows:
            numbers = [v for v in row.model_dump().values() if isinstance(v, int | float) and not isinstance(v, bool)]
            given = {float(c) for c in cells if c and c.strip("+-.eE0123456789") == "" and c.strip("+-.eE")}
            assert all(float(number) in given | {1.0} for number in numbers)
    assert read > 20


HEADER = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules\n"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{x}\t2\t32\t128\t2\t1e-3\tcosine", "name"),
        ("a/b\t2\t32\t128\t2\t1e-3\tcosine", "name"),
        ("-a\t2\t32\t128\t2\t1e-3\tcosine", "name"),
        (".a\t2\t32\t128\t2\t1e-3\tcosine", "name"),
        ("a b\t2\t32\t128\t2\t1e-3\tcosine", "name"),
        ("\u0410\t2\t32\t128\t2\t1e-3\tcosine", "name"),
        ("x" * 101 + "\t2\t32\t128\t2\t1e-3\tcosine", "at most 100"),
        ("a\t1000000000\t32\t128\t2\t1e-3\tcosine", "n_layers: Input should be less than or equal to 1000"),
        ("a\t1_0\t32\t128\t2\t1e-3\tcosine", "n_layers is '1_0'. Write a plain number"),
        ("a\t2\t32\t128\t2\t1_0e-3\tcosine", "learning_rate"),
        ("a\t2\t32\t128\t2\t1e-3\tcosine,cosine", "'cosine' is there twice"),
        ("a\t2\t32\t128\t2\t1e-3", "6 cells, but the header has 7"),
        ("a\t2\t32\t128\t2\t1e-3\tcosine\t", "8 cells, but the header has 7"),
        ("a\t2\t32\t128\t2\tnan\tcosine", "learning_rate"),
        ('a\t2\t32\t128\t2\t"1e-3\tcosine', "no row of a tab-separated table"),
        ("a\t" + "2" * 140_000 + "\t32\t128\t2\t1e-3\tcosine", "no row of a tab-separated table: field larger"),
    ],
    ids=range(16),
)
def test_rows_of_sizes_that_are_refused(tmp_path, row, says):
    (tmp_path / "models.tsv").write_text(HEADER + row + "\n")
    with pytest.raises(InputError, match=says) as raised:
        read_rows(tmp_path / "models.tsv", ModelSize)
    assert "line 2" in str(raised.value)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize(
    ("name", "says"), [("models_latin1.tsv", "is not UTF-8"), ("models_overflow.tsv", "less than or equal")]
)
def test_tables_that_a_fuzzer_found(name, says):
    with pytest.raises(InputError, match=says):
        read_rows(DATA / name, ModelSize)


def reference(data: bytes) -> list[tuple[bytes, str]] | None:
    """The records of a FASTA text, letter by letter; None where it is none, or one that is to be refused."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    records: list[tuple[bytes, str]] = []
    if b"\r" in data and b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    if any(data[i + 1 : i + 2] not in (b"\r", b"\n", b"") for i, byte in enumerate(data) if byte == 13):
        return None
    for line in data.lstrip(b" \t\v\f\r\n").split(b"\n"):
        if line.startswith(b">"):
            words = line[1:].split(None, 1) if line[1:].strip(b" \t\v\f\r") else []
            if not words:
                return None
            records.append((words[0], ""))
            continue
        letters = "".join(line.decode("latin-1").split(" ")).translate({ord(c): None for c in "\t\v\f\r"})
        if not records:
            if letters:
                return None
            continue
        records[-1] = (records[-1][0], records[-1][1] + letters)
    found = []
    for name, letters in records:
        body = letters[:-1] if letters.endswith("*") else letters
        if any(letter.upper() not in RESIDUES + "J" or ord(letter) > 127 for letter in body):
            return None
        found.append((name, body.upper().replace("J", "X")))
    return [one for one in found if one[1]] if found else None


def test_fasta_is_what_a_reader_letter_by_letter_reads(tmp_path):
    path, right = tmp_path / "a.fasta", 0
    honest = [
        b">a first\nMKVLAGJ\nRSTE*\n\n>b\nmkv\n>c\n\n>d x\nMK V\n",
        b">a\r\nMKV\r\nLL\r\n>b\r\nMM\r\n",
        b">a\rMKV\r>b\rMM\r",
        b"\xef\xbb\xbf>sp|P1|A desc > more\nMKV\n",
    ]
    for k, data in enumerate(inputs(honest, seed=4)):
        path.write_bytes(data)
        expected = reference(data)
        try:
            found: list[tuple[bytes, str]] = []
            for records in FastaReader(path, block_size=(1, 3, 7, 1 << 20)[k % 4]):
                ends = np.cumsum(records.lengths)
                texts = [decode(records.tokens[e - n : e]) for n, e in zip(records.lengths, ends, strict=True)]
                found += list(zip(records.ids, texts, strict=True))
        except InputError as error:
            special = data.startswith((b"\xff\xfe", b">\0", b"\0>", b"BZh", b"PK", b"\x1f\x8b"))
            assert expected is None or special, (data, str(error))
            continue
        assert found == expected, data
        right += 1
    assert right > 200


def gzip_member(text: bytes, rng: random.Random) -> bytes:
    """A member with any of the optional fields of RFC 1952."""
    flags = rng.randrange(32) & ~1
    header = b"\x1f\x8b\x08" + bytes([flags]) + b"\0" * 4 + b"\0\xff"
    if flags & 4:
        extra = rng.randbytes(rng.choice((0, 6, 300)))
        header += struct.pack("<H", len(extra)) + extra
    for flag, words in ((8, b"a name.fasta\0"), (16, b"a comment\0")):
        header += words if flags & flag else b""
    if flags & 2:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    packer = zlib.compressobj(wbits=-15)
    body = packer.compress(text) + packer.flush()
    return header + body + struct.pack("<II", zlib.crc32(text), len(text) & 0xFFFFFFFF)


def zstd_frame(text: bytes, rng: random.Random) -> bytes:
    """A frame, perhaps behind one that is to be skipped, as pzstd writes it."""
    frame = pa.compress(text, codec="zstd", asbytes=True)
    skipped = rng.randbytes(rng.randrange(9))
    before = struct.pack("<II", 0x184D2A50 + rng.randrange(16), len(skipped)) + skipped
    return before + bytes(frame) if rng.random() < 0.7 else bytes(frame)


def unpacked(data: bytes, block_size: int) -> bytes:
    with HashedFile(io.BytesIO(data)) as source:
        return b"".join(decompressed(source, block_size=block_size))


@pytest.mark.parametrize("make", [gzip_member, zstd_frame])
def test_streams_of_any_parts_are_whole_and_changed_ones_are_errors(make):
    rng, errors = random.Random(5), 0
    for k in range(N):
        texts = [rng.randbytes(rng.choice((0, 1, 50, 3000))) for _ in range(rng.randint(1, 4))]
        data = b"".join(make(text, rng) for text in texts)
        block_size = rng.choice((8, 100, 1 << 16))
        if k % 2 == 0:
            padding = b"\0" * rng.randrange(5) if make is gzip_member else b""
            assert unpacked(data + padding, block_size) == b"".join(texts)
            continue
        try:
            found = unpacked(changed(data, rng), block_size)
        except (DamagedStream, UnsupportedCompression):
            errors += 1
            continue
        assert len(found) <= 1 << 24  # frames of zstd need no checksum: their content may be another
    assert errors > 100


def test_a_file_of_pzstd_is_read():
    assert sum(records.lengths.size for records in FastaReader(DATA / "p.fasta.zst")) == 4


def test_a_record_beyond_the_largest_is_named(tmp_path, monkeypatch):
    from plmscale.sequences import fasta_records, plain_text

    monkeypatch.setattr(plain_text, "_LOOKED_AT", 10)
    monkeypatch.setattr(fasta_records, "LARGEST_RECORD", 10_000)
    monkeypatch.setattr(fasta_records, "LARGEST_NAME", 1000)
    path = tmp_path / "a.fasta"
    for text, says in (
        (b">long\n" + b"MKVL\n" * 3000, "record long has more than 10,000"),
        (b">" + b"n" * 5000, "a name of"),
    ):
        for block_size in (64, 1 << 20):
            path.write_bytes(text + b"\n>b\nMKV\n")
            if says == "a name of" and block_size > 5000:
                continue  # a name within a block is no trouble
            with pytest.raises(InputError, match=says):
                list(FastaReader(path, block_size=block_size))


METALINK = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<metalink version="3.0"><version>2024_02</version><files>'
    b'<file name="a.gz"><size>300113</size><verification><hash type="md5">0123456789abcdef0123456789abcdef</hash>'
    b"</verification></file></files></metalink>"
)


def test_metalinks_are_read_or_refused():
    read = 0
    for data in inputs([METALINK], seed=6):
        try:
            found = read_metalink(data, name="a.gz", where="there")
        except InputError as error:
            assert "there" in str(error)
            assert len(str(error)) < 3000
            continue
        assert str(found.size).encode() in data
        assert len(found.md5) == 32
        read += 1
    assert read > 20


def test_safetensors_are_read_or_refused(tmp_path):
    path, read = tmp_path / "m.safetensors", 0
    save_file({"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(0)}, path, metadata={"format": "pt"})
    honest = path.read_bytes()
    huge = [struct.pack("<Q", n) + honest[8:] for n in (1 << 60, (1 << 64) - 1, 1 << 33, 0, len(honest))]
    for data in [*inputs([honest], seed=7), *huge]:
        path.write_bytes(data)
        try:
            found = read_safetensors(path)
        except InputError as error:
            assert str(path) in str(error)
            continue
        assert sum(tensor.nbytes for tensor in found.values()) <= len(data)
        read += 1
    assert read > 5


def extreme(schema: dict, blocks: dict, *, high: bool) -> dict:
    """Every number of a block of settings at an end of its range."""
    found = {}
    for name, part in schema["properties"].items():
        part = next((one for one in part.get("anyOf", ()) if one.get("type") != "null"), part)
        if "$ref" in part:
            found[name] = extreme(blocks[part["$ref"].rpartition("/")[2]], blocks, high=high)
        elif part.get("type") in ("integer", "number") and "enum" not in part:
            closed, opened = ("maximum", "exclusiveMaximum") if high else ("minimum", "exclusiveMinimum")
            value = part[closed] if closed in part else part[opened] + (-1e-9 if high else 1e-9)
            found[name] = int(value) if part["type"] == "integer" else float(value)
    return found


@pytest.mark.parametrize("high", [True, False])
def test_a_plan_with_every_number_at_its_end_is_a_plan(tmp_path, high):
    schema = Config.model_json_schema()
    raw = extreme(schema, schema["$defs"], high=high)
    del raw["training"]["masking"], raw["advice"], raw["budget_gpu_hours"]  # these two are asked for, or refused
    raw["hardware"]["memory_gib"] = 1e6  # else no cell fits, which is said
    began = time.process_time()
    assert "56 cells" in plan_study(raw, folder=tmp_path, root=ROOT)
    assert time.process_time() - began < 30
