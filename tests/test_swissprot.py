"""The study of Swiss-Prot in studies/: its analysis from its records, its score, and the command that repeats it."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import swissprot
from conftest import ROOT
from make_frozen import FROZEN
from plmscale.cli.main import main
from plmscale.forecast.frozen import read_forecast
from snapshots import differences
from test_frozen_study import NOT_OF_ANALYSIS
from test_workflow import planned

STUDY = ROOT / "studies/swissprot"


@pytest.mark.slow
def test_its_analysis_comes_out_to_the_last_digit(capfd):
    """On another processor, or with other versions, the last digits may differ, and the command allows it."""
    assert main(["reproduce", "--study", str(STUDY), "--cores", "1"]) == 0
    told = re.search(r"(\d+) files compared: (\d+) the same to the last digit", capfd.readouterr().out)
    assert told is not None
    assert int(told[1]) > 20
    if not differences(json.loads((FROZEN / "products.json").read_text())["machine"], but=NOT_OF_ANALYSIS):
        assert told[1] == told[2]


def test_no_file_has_changed_and_none_is_large():
    listed = dict(reversed(line.split("  ", 1)) for line in (STUDY / "SHA256SUMS").read_text().splitlines())
    files = [path for path in STUDY.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    assert set(listed) == {path.relative_to(STUDY).as_posix() for path in files}
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[path.relative_to(STUDY).as_posix()], path
    assert sum(path.stat().st_size for path in files) <= 5e6


def test_its_forecast_is_whole_and_was_made_before_the_run_that_it_predicts():
    forecast = read_forecast(STUDY / "results/forecast/forecast.json")
    (cell,) = forecast["cells"]
    record = json.loads((STUDY / "results/runs" / cell["run"] / "run.json").read_text())
    assert forecast["made"].replace("Z", "+00:00") < record["attempts"][0]["start"]
    assert cell["beyond_flops"] >= 8
    metrics = [path.relative_to(STUDY / "results/runs") for path in STUDY.rglob("results/runs/**/metrics.parquet")]
    digests = {
        path.parent.as_posix(): hashlib.sha256((STUDY / "results/runs" / path).read_bytes()).hexdigest()
        for path in metrics
    }
    assert digests.pop(cell["run"])
    assert forecast["data"] == digests, "the runs that it was made of are these"


def test_one_command_trains_it_again(tmp_path):
    shutil.copytree(STUDY / "configuration", tmp_path / "configuration")
    (tmp_path / "swissprot_2014_01.fasta.gz").touch()
    shutil.copyfile(STUDY / "configuration/study.yaml", tmp_path / "config.yaml")
    jobs = planned(tmp_path)
    assert (jobs["train"], jobs["trunk"], jobs["forecast"]) == (79, 18, 1)
    told = subprocess.run(["make", "-n", "swissprot"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "swissprot_study/configuration/study.yaml" in told.stdout


def test_the_page_has_the_rates_of_today():
    """After a change: python docs/generators/swissprot.py."""
    page = (ROOT / swissprot.PAGE).read_text(encoding="utf-8")
    assert swissprot.with_tables(page) == page
    assert swissprot.BLOCK.search(page)


def test_numbers_of_the_pages_are_those_of_the_study():
    """What README and docs say in words of the study is in its summary."""
    summary = " ".join((STUDY / "results/summary.txt").read_text().split())
    (cell,) = read_forecast(STUDY / "results/forecast/forecast.json")["cells"]
    came = json.loads((STUDY / "results/runs" / cell["run"] / "run.json").read_text())["holdout"]["loss"]
    predicted = f"{cell['loss']:.3f} ({cell['low']:.3f} to {cell['high']:.3f}) nats; {came:.3f} came"
    said = re.compile(r"<!-- swissprot: (.*?) -->")
    for path in (Path("README.md"), Path(swissprot.PAGE), Path("docs/index.md")):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert predicted in " ".join(text.split())
        quotes = said.findall(text)
        assert quotes, path
        for quote in quotes:
            assert quote in summary, f"{path}: {quote}"
