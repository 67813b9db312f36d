"""The status of a study from the files that runs leave, and the removal of a cell."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from plmscale.errors import InputError
from plmscale.plan.plan import plan
from plmscale.status.markers import forget_finished
from plmscale.status.remove import named_cell, remove
from plmscale.status.slurm_queue import note_members
from plmscale.status.status import write_status
from plmscale.study.study import load_study
from plmscale.training.attempts import Attempts
from plmscale.training.lock import CellLock, Holder
from test_calibrate import record_of

MODELS = """name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules
S\t1\t16\t64\t1\t4e-3\ttoken_decay,constant
M\t2\t24\t96\t2\t4e-3\tconstant
"""
SUBSETS = "name\tkind\tmin_identity\tsame_size_as\tn_sequences\ttrain\n" + "".join(
    f"{name}\tsample\t\t\t{n}\tyes\n" for name, n in (("s1", 1000), ("s2", 2000), ("s3", 3000))
)


@pytest.fixture
def study(tmp_path):
    (tmp_path / "models.tsv").write_text(MODELS)
    (tmp_path / "subsets.tsv").write_text(SUBSETS)
    config = {"source": "x.fasta", "models": "models.tsv", "subsets": "subsets.tsv", "max_length": 100}
    (tmp_path / "config").mkdir()
    (tmp_path / "config/my.yaml").write_text(yaml.safe_dump(config))
    return load_study(config, base=tmp_path)


def rows(run: Path, n_tokens: list[int]) -> None:
    run.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"step": n + 1, "n_tokens": t, "loss": 3.0 - n / 10}) for n, t in enumerate(n_tokens)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture
def begun(study, tmp_path):
    """A grid with a cell in every state."""
    runs = tmp_path / "results/runs"
    finished = runs / "S/s1/constant/seed0"
    finished.mkdir(parents=True)
    attempts = [{"world": 4, "wall_seconds": 1800.0, "end": "x"}, {"world": 8, "wall_seconds": 900.0, "end": "x"}]
    record = {"status": "done", "reason": None, "holdout": {"loss": 2.5}, "attempts": attempts}
    (finished / "run.json").write_text(json.dumps(record))
    wild = runs / "S/s2/constant/seed0"
    wild.mkdir(parents=True)
    record = {"status": "diverged", "reason": "loss was NaN <at> step 7", "holdout": None, "attempts": []}
    (wild / "run.json").write_text(json.dumps(record))
    running = runs / "S/s3/constant/seed0"
    rows(running, [30_000, 60_000, 75_000])
    lock = CellLock(running)
    assert lock.take() is None
    ledger = Attempts(running / "attempts.jsonl")
    ledger._add("start", at=time.time() - 3600, host="n1", slurm_job="7", nodes=1, world=2, device="cuda")
    for name, reason in (("s1", "SIGUSR1: the warning before the walltime"), ("s2", "error: no room")):
        stopped = Attempts(runs / f"M/{name}/constant/seed0/attempts.jsonl")
        rows(runs / f"M/{name}/constant/seed0", [10_000])
        stopped.begin(world=1, device="cpu")
        stopped.end(reason)
    yield study
    lock.release()


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("warming up\nerror: the store is not whole\n", "the store is not whole"),
        (
            "Traceback (most recent call last):\n  File x\ntorch.cuda.OutOfMemoryError: no room\n",
            "OutOfMemoryError: no room",
        ),
        ("slurmstepd: error: execve(): python: No such file or directory\n", "execve(): python: No such file"),
    ],
)
def test_a_job_that_died_before_it_could_keep_a_record_has_failed(study, tmp_path, log, reason):
    for name in ("s1", "s2"):
        run = tmp_path / f"results/runs/S/{name}/constant/seed0"
        run.mkdir(parents=True)
        (run / "cell.json").write_text("{}")
    logs = tmp_path / "results/logs/train/S"
    for name, text in (("s1", log), ("s2", "warning: errors are rare\n"), ("s3", log)):  # s3 was removed
        (logs / f"{name}/constant").mkdir(parents=True)
        (logs / f"{name}/constant/seed0.log").write_text(text)
    write_status(study, results=tmp_path / "results")
    table = read(tmp_path)
    assert table.loc[("S", "s1", "constant"), "state"] == "failed"
    assert reason in table.loc[("S", "s1", "constant"), "reason"]
    assert table.loc[("S", "s2", "constant"), "state"] == table.loc[("S", "s3", "constant"), "state"] == "not begun"


def read(tmp_path) -> pd.DataFrame:
    table = pd.read_csv(tmp_path / "results/status/status.tsv", sep="\t")
    return table.set_index(["model", "subset", "schedule"])


def test_every_state_is_told_from_the_files(begun, tmp_path):
    said = write_status(begun, results=tmp_path / "results")
    table = read(tmp_path)
    expected = {("S", "s1"): "done", ("S", "s2"): "diverged", ("S", "s3"): "running", ("M", "s1"): "interrupted"}
    for (model, subset), state in (expected | {("M", "s2"): "failed", ("M", "s3"): "not begun"}).items():
        assert table.loc[(model, subset, "constant"), "state"] == state
    done, running = table.loc[("S", "s1", "constant")], table.loc[("S", "s3", "constant")]
    assert (done["loss"], done["percent"], done["device_hours"]) == (2.5, 100, 4 * 0.5 + 8 * 0.25)
    planned = plan(begun).set_index(["model", "subset", "schedule"])
    share = 75_000 / planned.loc[("S", "s3", "constant"), "n_tokens"]
    assert running["percent"] == pytest.approx(100 * share)
    assert running["eta_hours"] == pytest.approx((1 - share) / share, rel=0.02)
    assert running["device_hours"] == pytest.approx(2, rel=0.02), "two devices for an hour"
    assert table["planned_device_hours"].sum() == pytest.approx(planned["device_hours"].sum())
    assert "1 done, 1 diverged, 1 running, 1 interrupted, 1 failed, 4 not begun" in said
    assert "M/s2/constant/seed0 failed: error: no room" in said


def test_what_is_left_goes_by_the_speed_of_the_size_so_far(begun, tmp_path):
    """Size S takes what its finished and its running cell took of their plan, size M as much of its own."""
    said = write_status(begun, results=tmp_path / "results")
    table = read(tmp_path)
    done, running = table.loc[("S", "s1", "constant")], table.loc[("S", "s3", "constant")]
    share = running["percent"] / 100
    assert share > 0.05 and done["device_hours_left"] == table.loc[("S", "s2", "constant"), "device_hours_left"] == 0
    assert running["device_hours_left"] == pytest.approx(running["device_hours"] * (1 - share) / share)
    ratio = (4 + running["device_hours"]) / (done["planned_device_hours"] + share * running["planned_device_hours"])
    for key in (("S", "s1", "token_decay"), ("M", "s3", "constant")):
        assert table.loc[key, "device_hours_left"] == pytest.approx(ratio * table.loc[key, "planned_device_hours"])
    assert f"device-hours spent, about {table['device_hours_left'].sum():.0f} left" in said


def test_planned_hours_of_the_status_are_by_measured_speeds_and_without_a_damaged_one(study, tmp_path):
    folder = tmp_path / "results/calibration"
    folder.mkdir(parents=True)
    (folder / "S.json").write_text("{")
    write_status(study, results=tmp_path / "results")
    assumed = read(tmp_path)["planned_device_hours"]
    (folder / "S.json").write_text(json.dumps(record_of(study, "S")))
    write_status(study, results=tmp_path / "results")
    found = read(tmp_path)["planned_device_hours"]
    assert (found["S"] != assumed["S"]).all() and (found["M"] == assumed["M"]).all()


def squeue_says(tmp_path, monkeypatch, *lines: str, status: int = 0) -> None:
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    said = "".join(f"echo '{line}'\n" for line in lines)
    (programs / "squeue").write_text(f"#!/bin/sh\n{said}exit {status}\n")
    (programs / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")


def test_what_slurm_runs_and_nobody_trains_is_starting_or_on_a_lost_node(begun, tmp_path, monkeypatch):
    """And a cell of a job that trains several is known by it."""
    runs = tmp_path / "results/runs"
    note_members(["rule_train_wildcards_M_s3_constant_0", "x"], workdir=tmp_path, name="b1")
    line = "{}|RUNNING|" + f"{tmp_path}|2026-01-02T03:04:05|None|n1|"
    lost = runs / "M/s1/constant/seed0"
    (lost / "lock.1").write_text(json.dumps(vars(replace(Holder.here(), host="n1", slurm_job="8"))))
    long_ago = time.time() - 600
    os.utime(lost / "lock.1", (long_ago, long_ago))
    comments = {"7": "bundle_b1", "8": "rule_train_wildcards_M_s1_constant_0"}
    squeue_says(tmp_path, monkeypatch, *(line.format(job) + comment for job, comment in comments.items()))
    said = write_status(begun, results=tmp_path / "results")
    table = read(tmp_path)
    assert table.loc[("M", "s3", "constant"), ["state", "job"]].tolist() == ["starting", 7]
    assert table.loc[("M", "s1", "constant"), ["state", "host"]].tolist() == ["on a lost node", "n1"]
    assert "n1 has given no sign for 10 min" in said


def test_without_an_answer_of_the_controller_nothing_is_said_of_the_queue(begun, tmp_path, monkeypatch):
    (tmp_path / "results/runs/M/s1/constant/seed0/cell.json").touch()
    squeue_says(tmp_path, monkeypatch, status=1)
    said = write_status(begun, results=tmp_path / "results")
    table = read(tmp_path)
    assert table.loc[("M", "s1", "constant"), "state"] == "controller away"
    assert table.loc[("M", "s3", "constant"), "state"] == "not begun", "it was never submitted"
    assert "SLURM's controller does not answer" in said


def test_a_cell_that_is_refused_says_why(begun, tmp_path):
    ledger = tmp_path / "results/runs/M/s3/constant/seed0/attempts.jsonl"
    ledger.parent.mkdir(parents=True)
    for _ in range(begun.config.execution.max_attempts):
        attempts = Attempts(ledger)
        attempts.begin(world=1, device="cpu")
        attempts.end("error: no GPU")
    assert "M/s3/constant/seed0 refused: the last 5 attempts" in write_status(begun, results=tmp_path / "results")


@pytest.mark.parametrize(
    ("name", "state"),
    [("metrics.jsonl", "running"), ("attempts.jsonl", "running"), ("lock.1", "running"), ("run.json", "unreadable")],
)
def test_a_damaged_file_costs_what_it_says_of_its_cell(begun, tmp_path, name, state):
    """A line of zeros, as file systems leave it that lost power."""
    with (tmp_path / f"results/runs/S/s3/constant/seed0/{name}").open("ab") as file:
        file.write(bytes(300) + b"\n\xff\n{}\n")
    write_status(begun, results=tmp_path / "results")
    table = read(tmp_path)
    assert table.loc[("S", "s3", "constant"), "state"] == state
    assert table.loc[("S", "s1", "constant"), "state"] == "done"


def test_a_job_in_the_queue_is_known_by_its_comment(begun, tmp_path, monkeypatch):
    line = f"99|PENDING|{tmp_path}|N/A|Resources||rule_train_wildcards_M_s3_constant_0@12ab"
    squeue_says(tmp_path, monkeypatch, line, line.replace(str(tmp_path), "/elsewhere"))
    write_status(begun, results=tmp_path / "results")
    cell = read(tmp_path).loc[("M", "s3", "constant")]
    assert (cell["state"], cell["reason"], cell["job"]) == ("queued", "Resources", 99)


class Reader(HTMLParser):
    """Fields of the maps, by what a reader of the page hears."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.scopes, self.fields, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta",):
            self.open.append(tag)
        self.scopes += [value for key, value in attrs if key == "scope"]
        self.links += [value for key, value in attrs if key in ("src", "href")]
        if tag == "td":
            self.fields.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.fields[-1] += data + " "


def test_the_page_is_whole_and_says_in_words_what_it_colours(begun, tmp_path):
    write_status(begun, results=tmp_path / "results")
    reader = Reader()
    reader.feed((tmp_path / "results/status/status.html").read_text())
    assert reader.open == []
    assert reader.links == [], "the page needs another file"
    assert reader.scopes.count("row") == 3
    assert reader.scopes.count("col") == 8
    assert len([field for field in reader.fields if field]) == 9
    assert not any(" nan " in f" {field} " or "None" in field for field in reader.fields)
    assert any("diverged" in field and "loss was NaN <at> step 7" in field for field in reader.fields)


def test_the_page_in_a_browser(begun, tmp_path):
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("needs chromium: tests/system_packages.txt")
    write_status(begun, results=tmp_path / "results")
    picture = tmp_path / "status.png"
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=420,900", f"--screenshot={picture}"]
    subprocess.run([*words, str(tmp_path / "results/status/status.html")], check=True, capture_output=True, timeout=120)
    from matplotlib.image import imread

    colours = (imread(picture)[..., :3] * 255).round().astype(int).reshape(-1, 3)
    for colour in ((0x1B, 0x78, 0x37), (0x76, 0x2A, 0x83)):
        assert (abs(colours - colour).max(axis=1) <= 2).sum() > 500, "a state is not to be seen on a telephone"


def test_the_command_line_touches_no_run(begun, tmp_path):
    every = (path for path in (tmp_path / "results/runs").rglob("*") if path.is_file())
    # Who holds a lock renews it himself, every 20 s.
    files = {path: path.stat().st_mtime_ns for path in every if not path.name.startswith("lock.")}
    words = [sys.executable, "-m", "plmscale", "status", "--configfile", "config/my.yaml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 done" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in files} == files
    refused = subprocess.run([*words, "nowhere"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0
    assert refused.stderr.startswith("error: nowhere does not exist")


def test_a_cell_is_removed_with_all_that_it_left(begun, tmp_path):
    results = tmp_path / "results"
    cell = "M/s1/constant/seed0"
    for path in (f"logs/train/{cell}.log", f"logs/cell/{cell}.log", f"benchmarks/train/{cell}.tsv"):
        (results / path).parent.mkdir(parents=True, exist_ok=True)
        (results / path).touch()
    others = {path for path in results.rglob("*") if path.is_file() and "M/s1" not in str(path)}
    remove(cell, results=results)
    assert {path for path in results.rglob("*") if path.is_file()} == others
    with pytest.raises(InputError, match="nothing of 'M/s1/constant/seed0'"):
        remove(cell, results=results)
    with pytest.raises(InputError, match="is not a cell"):
        remove("../../etc/seed0", results=results)


def test_a_cell_is_not_removed_while_it_is_trained(begun, tmp_path):
    run = tmp_path / "results/runs/S/s3/constant/seed0"
    with pytest.raises(InputError, match=f"is being trained by process {os.getpid()} on "):
        remove("S/s3/constant/seed0", results=tmp_path / "results")
    far = tmp_path / "results/runs/M/s2/constant/seed0"
    (far / "lock.1").write_text(json.dumps(vars(replace(Holder.here(), host="another", slurm_job="8"))))
    with pytest.raises(InputError, match="on another, SLURM job 8"):
        remove("M/s2/constant/seed0", results=tmp_path / "results")
    assert (run / "metrics.jsonl").exists()
    assert (far / "metrics.jsonl").exists()


def test_an_unknown_cell_names_the_nearest(paper_study):
    from plmscale.study.grid import grid

    cells = [cell.path for cell in grid(paper_study)]
    assert named_cell("results/runs/35M/uniref50/constant/seed0/", cells=cells) == "35M/uniref50/constant/seed0"
    with pytest.raises(InputError, match="'35M/uniref50/const/seed0' is not a cell .* 35M/uniref50/constant/seed0"):
        named_cell("35M/uniref50/const/seed0", cells=cells)


def test_snakemake_forgets_that_it_did_not_see_a_finished_run_end(tmp_path, monkeypatch):
    """The notes are Snakemake's own, of a real job that it was killed in."""
    (tmp_path / "Snakefile").write_text(
        "rule train:\n    output: metrics='runs/{cell}/metrics.parquet', run='runs/{cell}/run.json'\n"
        "    shell: 'echo {wildcards.cell} >> trained; touch {output}; kill -KILL $PPID; sleep 1'\n"
    )
    words = [sys.executable, "-m", "snakemake", "--cores", "1", "--rerun-incomplete", "--quiet", "all", "--nolock"]
    words += ["runs/a/run.json"]
    for _ in range(2):  # it is killed when the job has written, and again when it has run that again
        assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode != 0
    assert (tmp_path / "trained").read_text() == "a\na\n", "Snakemake does not do this any more: neither need we"
    monkeypatch.chdir(tmp_path)
    assert forget_finished([Path("runs/a"), Path("runs/b")]) == [Path("runs/a")]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode == 0
    assert (tmp_path / "trained").read_text() == "a\na\n", "it ran once more"
