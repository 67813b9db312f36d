"""Bad input: one clear message, exit status ≠ 0, and nothing that looks complete."""

import gzip
import json
from pathlib import Path

import pytest

from test_workflow import MODELS, prepare, run, snakemake

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path) -> Path:
    return prepare(tmp_path)


def refused(folder: Path, *args: str) -> str:
    """Run the workflow, which must fail; what it printed."""
    done = run(folder, "--quiet", "all", *args)
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert "Traceback" not in output
    assert output.count("error") == 1, output
    assert not list(folder.glob("results/**/*.npy")), "a partial output looks complete"
    assert not list(folder.glob("results/**/run.json"))
    return output


def test_misspelt_key_is_named_with_the_known_ones(folder):
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text() + "traning: {}\n")
    output = refused(folder)
    assert "traning: no such setting" in output
    assert "training" in output


def test_misspelt_nested_key_has_its_path(folder):
    text = (folder / "config.yaml").read_text().replace("  batch_tokens:", "  batch_token:")
    (folder / "config.yaml").write_text(text)
    assert "training.batch_token: no such setting" in refused(folder)


def test_value_out_of_range_is_shown(folder):
    assert "epsilon" in (output := refused(folder, "--config", 'training={"optimizer": {"epsilon": 1e8}}'))
    assert "'1e8'" in output


def test_d_model_not_divisible_by_heads(folder):
    (folder / "models.tsv").write_text(MODELS.replace("M\t2\t24\t96\t2", "M\t2\t25\t96\t2"))
    output = refused(folder)
    assert "models.tsv, line 3" in output
    assert "25" in output
    assert "24 or 28" in output


def test_subset_that_copies_no_set(folder):
    rows = (folder / "subsets.tsv").read_text().replace("\tc40\t", "\tc41\t")
    (folder / "subsets.tsv").write_text(rows)
    output = refused(folder)
    assert "subsets.tsv, line 4" in output
    assert "'c41'" in output


def test_missing_source(folder):
    assert "source: the FASTA 'nothere.fasta' does not exist" in refused(folder, "--config", "source=nothere.fasta")


def test_missing_table(folder):
    assert "models: the table 'nothere.tsv' does not exist" in refused(folder, "--config", "models=nothere.tsv")


def test_empty_fasta(folder):
    (folder / "empty.fasta").write_text("")
    assert "empty.fasta is empty" in refused(folder, "--config", "source=empty.fasta")


def test_truncated_gzip(folder):
    raw = (folder / "proteins.fasta.gz").read_bytes()
    (folder / "cut.fasta.gz").write_bytes(raw[: len(raw) // 2])
    output = refused(folder, "--config", "source=cut.fasta.gz")
    assert "cut.fasta.gz ends in the middle" in output
    assert "complete records" in output


def test_illegal_letter(folder):
    (folder / "bad.fasta").write_text(">a\nMKV\n>b\nMK1V\n")
    output = refused(folder, "--config", "source=bad.fasta")
    assert "bad.fasta, line 4" in output
    assert "'1'" in output


@pytest.mark.parametrize("args", [(), ("--dry-run",)])
def test_output_that_cannot_be_written(folder, args):
    (folder / "results").write_text("not a folder")
    assert "cannot write to results" in refused(folder, *args)
    assert (folder / "results").read_text() == "not a folder"


def test_sample_larger_than_the_source(folder):
    (folder / "subsets.tsv").write_text(
        "name\tkind\tmin_identity\tsame_size_as\tn_sequences\ttrain\nbig\tsample\t\t\t100000\tyes\n"
    )
    done = run(folder, "--quiet", "all")
    assert done.returncode != 0
    assert "subset big: 100000 sequences requested" in done.stdout + done.stderr
    assert not (folder / "results/subsets/big.npy").exists()


def test_a_cell_that_cannot_fit_is_refused_with_need_and_limit(folder):
    output = refused(folder, "--config", 'hardware={"memory_gib": 0.0001}')
    assert "cell S/all/" in output
    assert "GiB" in output


def awkward(folder: Path) -> None:
    """The proteins of the small study as other databases write them, with things that real files hold."""
    with gzip.open(folder / "proteins.fasta.gz", "rt") as source:
        records = [r.split("\n", 1) for r in source.read().lstrip(">").split("\n>")]
    lines = []
    for i, (header, sequence) in enumerate(records):
        accession = header.split("|")[1]
        text = sequence.replace("\n", "")
        text = text.lower() if i % 3 == 0 else text
        star = "*" if i % 4 == 0 else ""
        lines.append(f">tr|{accession}|{accession}_HUMAN OS=Homo sapiens PE=4\r\n{text[:60]}\r\n{text[60:]}{star}\r\n")
    lines.append(lines[0])
    lines.append(">tr|LONG|LONG_HUMAN Titin-like\r\n" + "MKVLAGSTPE" * 3500 + "\r\n")
    lines.append(">tr|NONE|NONE_HUMAN without residues\r\n\r\n")
    (folder / "awkward.fasta").write_text("".join(lines))


def test_the_same_study_comes_out_of_an_awkward_fasta(folder):
    awkward(folder)
    (folder / "models.tsv").write_text(MODELS.split("wild")[0])
    snakemake(folder, "results/summary.txt", "--config", "source=awkward.fasta")
    stats = json.loads((folder / "results/store/stats.json").read_text())
    assert stats["n_sequences"] == 701
    assert stats["n_records_read"] == 703
    assert stats["repeated_dropped"] == stats["empty_dropped"] == 1
    assert stats["max_length"] == 35_000
    assert stats["stars_removed"] == 175 + 1  # counted as read: the repeated record has one too
    assert stats["lower_case_to_upper"] > 0
    assert stats["crlf_lines"] > 0
    runs = [json.loads(p.read_text()) for p in folder.glob("results/runs/*/*/*/*/run.json")]
    assert [r["status"] for r in runs] == ["done"] * 3
    assert (folder / "results/summary.txt").stat().st_size
