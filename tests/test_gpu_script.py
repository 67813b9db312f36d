"""The one script for GPUs, on a CPU at toy sizes: every part runs, and a part that fails costs no other."""

import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from conftest import ROOT
from test_train import environment

BENCHMARKS = ROOT / "benchmarks"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def script() -> dict:
    """The script's functions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        patch.setenv("DS_ACCELERATOR", "cpu")
        return runpy.run_path(str(BENCHMARKS / "gpu.py"))


def session_of(script: dict, *, seconds: float = 1e6):
    return script["Session"](CPU, True, time.monotonic() + seconds)


def test_all_parts_run_on_a_cpu(tmp_path):
    """In a process of its own: DeepSpeed leaves its settings in the one it is used in."""
    page = tmp_path / "page.md"
    words = [str(BENCHMARKS / "gpu.py"), "--device", "cpu", "--dry-run", "--minutes", "1e6", "--out", str(page)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    text = page.read_text()
    parts = text.split("\n## ")
    assert [part.splitlines()[0] for part in parts[1:]] == [
        "Attention by features of a head",
        "Exactness against the CPU",
        "Training steps",
        "DeepSpeed against the plain engine",
    ]
    assert "A dry run at toy sizes" in parts[0]
    assert parts[3].count("| toy") == 4 and parts[3].count("not measured: a CPU") == 4  # two sizes, two precisions
    assert "WRONG" not in text and "failed" not in text


def test_a_part_that_fails_is_a_row_and_the_next_one_runs(script):
    session = session_of(script)

    def half():
        yield {"size": "5M"}
        raise RuntimeError("CUDA out of memory\nand more")

    session.part("Broken", half, least=0)
    session.part("Whole", lambda: iter([{"size": "5M"}]), least=0)
    assert session.tables["Broken"] == [{"size": "5M"}, {"result": "failed: RuntimeError: CUDA out of memory"}]
    assert session.tables["Whole"] == [{"size": "5M"}]
    assert session.failures == ["Broken"]


def test_no_part_begins_when_the_time_is_over(script):
    session = session_of(script, seconds=5)
    session.part("Late", lambda: iter([{"size": "650M"}]), least=20)
    assert session.tables["Late"] == [{"result": "not measured: no time left"}]
    assert not session.failures


@pytest.mark.parametrize(
    ("words", "why"),
    [(["--device", "cpu"], "--device cpu needs --dry-run"), ([], "there is no GPU that this torch can use")],
)
def test_what_cannot_be_measured_is_refused(script, monkeypatch, capsys, words, why):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words])
    with pytest.raises(SystemExit) as refused:
        script["parse"]()
    assert refused.value.code == 2
    assert why in capsys.readouterr().err


def test_goals_are_of_sizes_that_are_measured(script):
    names = {size.name for size in script["SIZES"]}
    assert {name for name, _ in script["GOALS"]} <= names == {"5M", "35M", "150M", "650M"}
    assert Path(BENCHMARKS / "README.md").read_text().count("`gpu.py`") == 1
