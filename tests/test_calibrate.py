"""Measured speeds: which of them a plan uses, and that they come from a real run on the way that training takes."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import forked
from conftest import ROOT
from plmscale.files import write_json
from plmscale.plan.calibration import paces, read_calibrations, settings_of, timed_cells
from plmscale.plan.grid_choice import within_budget
from plmscale.plan.plan import plan
from plmscale.plan.words import basis
from plmscale.study.grid import grid
from test_workflow import command, environment, planned, prepare, snakemake


def record_of(study, model: str, **changes) -> dict:
    """A measurement of a size: a million tokens a second on 8 devices."""
    settings = settings_of(study, timed_cells(study)[model])
    made = {"settings": settings, "device_name": "NVIDIA A100-SXM4-80GB", "devices": 8, "grad_accum": 1}
    made |= {"tokens_per_second": 1e6, "startup_seconds": 100.0, "finish_seconds": 20.0, "checkpoint_seconds": 3.0}
    return made | {"evaluation_seconds_per_sequence": 0.01, "peak_memory_gib": 20.0} | changes


def test_measured_time_by_hand(paper_study, tmp_path):
    """35M on uniref50, 20.8e9 tokens on 8 devices: 120 s, 20,800 s of steps, 208 checkpoints of 3 s, 8,000 × 0.01 s."""
    write_json(tmp_path / "35M.json", record_of(paper_study, "35M"))
    records, warnings = read_calibrations(paper_study, tmp_path)
    assert not warnings
    wide = paper_study.config.hardware.model_copy(update={"target_hours": 5.9, "max_nodes": 1})
    study = replace(paper_study, config=paper_study.config.model_copy(update={"hardware": wide}))
    table = plan(study, {}, records).set_index(["model", "subset", "schedule"])
    row = table.loc[("35M", "uniref50", "constant")]
    assert row["devices"] == 8
    assert row["hours"] == pytest.approx((120 + 20_800 + 208 * 3 + 80) / 3600, rel=1e-9)
    assert row["speed_from"] == "measured on NVIDIA A100-SXM4-80GB"
    assert row["utilisation"] == pytest.approx(1e6 * 2.736e8 / (8 * 19.5e12), rel=1e-3)
    assert row["memory_gib"] == pytest.approx(20.0, rel=1e-6)
    assert table.loc[("5M", "uniref50", "constant"), "speed_from"] == "assumed"
    words = basis(study, table.reset_index())
    assert "The speed of 35M was measured on NVIDIA A100-SXM4-80GB." in words
    assert "That of 5M, 15M, 50M, 100M, 150M, 300M, 650M is an assumption" in words


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"device_name": "NVIDIA H100 80GB HBM3"},
            "it was measured on 'NVIDIA H100 80GB HBM3', which is not A100-80GB",
        ),
        ({"training.precision": "bf16"}, "training.precision was 'bf16' and is 'fp32'"),
        ({"hardware.name": "H100"}, "hardware.name was 'H100' and is 'A100-80GB'"),
        ({"n_layers": 7}, "n_layers was 7 and is 12"),
    ],
)
def test_measurements_under_other_conditions_are_ignored_and_named(paper_study, tmp_path, change, reason):
    record = record_of(paper_study, "35M")
    for key, value in change.items():
        (record["settings"] if key in record["settings"] else record)[key] = value
    write_json(tmp_path / "35M.json", record)
    records, (warning,) = read_calibrations(paper_study, tmp_path)
    assert not records
    assert f"{tmp_path / '35M.json'} is not used: {reason}" in warning


def test_speed_on_other_numbers_of_devices_follows_from_what_was_measured(paper_study):
    """By the model: on 4, 8 and 16 devices 0.940, 0.877 and 0.769 are kept; or by a fixed loss with each doubling."""
    record = record_of(paper_study, "35M")
    pace = paces(paper_study, {"35M": record})["35M"]
    assert pace.speed(8) == 1e6
    assert pace.speed(4) == pytest.approx(1e6 / 2 * 0.940 / 0.877, rel=1e-3)
    assert pace.speed(16) == pytest.approx(2e6 * 0.7695 / 0.877, rel=1e-3)
    fixed = paper_study.config.hardware.model_copy(update={"doubling_efficiency": 0.9})
    study = replace(paper_study, config=paper_study.config.model_copy(update={"hardware": fixed}))
    pace = paces(study, {"35M": record_of(study, "35M")})["35M"]
    assert pace.speed(8) == 1e6
    assert pace.speed(4) == pytest.approx(1e6 / 2 / 0.9)


def calibrated(folder: Path, target: str) -> float:
    """Make a measurement for which preparing the data takes three seconds longer; when the timed process began."""
    python = folder / "bin/python"
    python.parent.mkdir()
    cases = '*"plmscale time-size-data"*) sleep 3 ;; '
    cases += f'*"plmscale time-size "*) date +%s.%N > {folder}/began ;;'
    python.write_text(f'#!/bin/sh\ncase "$*" in {cases} esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    env = environment()
    env["PATH"] = f"{python.parent}{os.pathsep}{env['PATH']}"
    done = subprocess.run(command(folder, target), capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return float((folder / "began").read_text())


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
def test_the_plan_follows_what_was_measured(tmp_path):
    """One size, on made-up proteins before there are data; it is one that diverges where its learning rate is used."""
    folder = prepare(tmp_path, hardware={"name": "a core", "startup_seconds": 3, "calibration_steps": 8})
    began = calibrated(folder, "results/calibration/wild.json")
    record = json.loads((folder / "results/calibration/wild.json").read_text())
    assert record["tokens_per_second"] > 0 and record["startup_seconds"] > 0 and record["checkpoint_seconds"] > 0
    assert record["step_seconds"]["p10"] <= record["step_seconds"]["p50"] <= record["step_seconds"]["p90"]
    assert record["peak_memory_gib"] > 0.05
    assert record["startup_seconds"] < (folder / "results/calibration/wild.json").stat().st_mtime - began
    assert not list((folder / "results/calibration/work").glob("*"))
    assert planned(folder, "calibrate")["calibrate_size"] == 2
    snakemake(folder, "plan")
    table = pd.read_csv(folder / "results/plan/cells.tsv", sep="\t").set_index("model")
    assert set(table.loc[["S", "M"], "speed_from"]) == {"assumed"}
    row = table.loc["wild"]
    seconds = record["startup_seconds"] + record["finish_seconds"] + row["n_tokens"] / record["tokens_per_second"]
    seconds += -(-row["n_tokens"] // 3000) * record["checkpoint_seconds"]
    seconds += 100 * record["evaluation_seconds_per_sequence"]
    assert row["hours"] == pytest.approx(seconds / 3600, rel=1e-6)
    assert row["speed_from"].startswith("measured on ")


@pytest.mark.slow
@pytest.mark.xdist_group("workflow")
def test_a_budget_trains_just_the_cells_that_it_pays_for(tmp_path, paper_study):
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    words += ["--cores", "1", "--config", "budget_gpu_hours=5000", "--dry-run"]
    done = forked.run(words, env=environment())
    assert done.returncode == 0, done.stderr
    config = paper_study.config.model_copy(update={"budget_gpu_hours": 5000.0})
    kept = grid(within_budget(replace(paper_study, config=config)))
    assert set(re.findall(r"^train +(\d+)$", done.stdout, re.M)) == {str(len(kept))}
    assert len(kept) < 56
    assert set(re.findall(r"output: results/runs/(\S+)/cell.json", done.stdout)) == {c.path for c in kept}
