"""The plan's model of communication beside what others measured, by the tables and formulas of the benchmark."""

import runpy
import sys

import pytest

from conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def measured():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        return runpy.run_path(str(BENCHMARKS / "communication.py"))


def test_all_reduces_of_every_size_and_number_of_nodes(measured):
    """Messages of 1 GiB and more within 15 %, from 1 MiB to 256 MiB within 40 %."""
    rows = list(measured["all_reduces"]())
    assert {int(row["devices"]) for row, *_ in rows} == {2, 4, 8, 32}
    for row, published, told in rows:
        assert told / published == pytest.approx(1, abs=0.15 if float(row["bytes"]) >= 2**30 else 0.4), row


def test_bert_on_several_nodes(measured):
    """To 0.02 on up to 4 nodes and to 0.04 on up to 32; TF32 at 512 positions is shown on the page and not judged."""
    rows = [row for row in measured["bert"]() if (row[0]["precision"], row[0]["length"]) != ("tf32", "512")]
    assert len(rows) == 15
    for row, published, told in rows:
        assert told == pytest.approx(published, abs=0.02 if int(row["nodes"]) <= 4 else 0.045), row


def test_fully_sharded_training_on_several_nodes(measured):
    rows = list(measured["fully_sharded"]())
    assert len(rows) == 9
    for row, published, told in rows:
        assert told == pytest.approx(published, abs=0.04), row


def test_the_page_is_what_the_script_says(measured):
    assert measured["page"]() in (BENCHMARKS / "results/communication.md").read_text()
