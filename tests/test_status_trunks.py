"""The status of trunks, and of branches that wait for them, from the files that they leave."""

import json
import os
import time
from pathlib import Path

import pandas as pd
import pytest

from plmscale.plan.plan import whole_plan
from plmscale.status.status import write_status
from plmscale.study.grid import grid
from plmscale.study.jobs import TRUNK
from plmscale.study.study import Study
from plmscale.study.trunks import Trunk, trunks
from plmscale.training.attempts import Attempts
from plmscale.training.lock import CellLock
from test_status import Reader
from test_trunks import study as study_of

TOKENS = 64_000_000 * 325
"""Of a pass over the set."""


@pytest.fixture
def study(tmp_path) -> Study:
    """A set, half of it and twice of it: a trunk of 1.6 passes."""
    (tmp_path / "results").mkdir()
    return study_of(tmp_path, epochs={"half": 0.5, "double": 2.0})


@pytest.fixture
def trunk(study) -> Trunk:
    (found,) = trunks(study).values()
    return found


def folder_of(trunk: Trunk, tmp_path: Path) -> Path:
    folder = tmp_path / "results/trunks" / trunk.path
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def rows(folder: Path, *passes: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"step": n + 1, "n_tokens": round(p * TOKENS), "loss": 3.0}) for n, p in enumerate(passes)]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def record(trunk: Trunk, tmp_path: Path, *, until: float) -> None:
    """The record of a trunk that held four devices for half an hour."""
    attempt = {"world": 4, "wall_seconds": 1800.0, "start": "x", "end": "x"}
    content = {"cell": trunk.cell.frozen(), "status": "done", "reason": None, "attempts": [attempt]}
    (folder_of(trunk, tmp_path) / "trunk.json").write_text(json.dumps(content | {"until_passes": until}))


def status(study: Study, tmp_path: Path) -> tuple[str, pd.DataFrame]:
    said = write_status(study, results=tmp_path / "results")
    table = pd.read_csv(tmp_path / "results/status/status.tsv", sep="\t")
    return said, table.set_index(["schedule", "subset"]).sort_index()


def test_a_running_trunk_and_the_branches_that_wait_for_it(study, trunk, tmp_path):
    folder = folder_of(trunk, tmp_path)
    rows(folder, 0.2, 0.4)
    lock = CellLock(folder)
    assert lock.take() is None
    ledger = Attempts(folder / "attempts.jsonl")
    ledger._add("start", at=time.time() - 3600, host="n1", slurm_job="7", nodes=1, world=2, device="cuda")
    try:
        said, table = status(study, tmp_path)
    finally:
        lock.release()
    row = table.loc[(TRUNK, "uniref50")]
    assert (row["state"], row["percent"]) == ("running", 25)
    assert row["eta_hours"] == pytest.approx(3, rel=0.02)
    assert row["device_hours"] == pytest.approx(2, rel=0.02), "two devices for an hour"
    assert set(table.loc["wsd", "state"]) == {"waiting"}
    assert set(table.loc["wsd", "reason"]) == {"for its trunk: running, 25 %"}
    planned = whole_plan(study, {}, {})["device_hours"].sum()
    assert table["planned_device_hours"].sum() == pytest.approx(planned, rel=1e-9)
    assert said.splitlines()[-1].startswith("3 waiting; trunks: 1 running; 2.00 of ")
    assert "for its trunk" not in said, "the grid says that they wait"


def test_the_page_shows_trunks(study, trunk, tmp_path):
    rows(folder_of(trunk, tmp_path), 0.4)
    attempts = Attempts(folder_of(trunk, tmp_path) / "attempts.jsonl")
    attempts.begin(world=1, device="cpu")
    attempts.end("error: no room")
    said, _ = status(study, tmp_path)
    assert "trunks/5M/uniref50/seed0 failed: error: no room" in said
    reader = Reader()
    reader.feed((tmp_path / "results/status/status.html").read_text())
    assert reader.open == []
    assert [field.split()[0] for field in reader.fields] == ["waiting", "waiting", "waiting", "failed"]
    assert "for its trunk: failed, 25 %" in reader.fields[0]


def test_a_job_of_a_trunk_is_known_by_its_comment_and_by_its_log(study, trunk, tmp_path, monkeypatch):
    (folder_of(trunk, tmp_path) / "cell.json").write_text("{}")
    log = tmp_path / f"results/logs/trunk/{trunk.path}.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: the store is not whole\n")
    row = status(study, tmp_path)[1].loc[(TRUNK, "uniref50")]
    assert (row["state"], row["reason"]) == ("failed", "the store is not whole (before training began)")
    programs = tmp_path / "bin"
    programs.mkdir()
    line = f"99|PENDING|{tmp_path}|N/A|Resources||rule_trunk_wildcards_5M_uniref50_0"
    (programs / "squeue").write_text(f"#!/bin/sh\necho '{line}'\n")
    (programs / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    row = status(study, tmp_path)[1].loc[(TRUNK, "uniref50")]
    assert (row["state"], row["reason"], row["job"]) == ("queued", "Resources", 99)


def test_a_trunk_that_is_to_be_longer_keeps_what_it_has_cost(study, trunk, tmp_path):
    record(trunk, tmp_path, until=0.8)
    said, table = status(study, tmp_path)
    row = table.loc[(TRUNK, "uniref50")]
    assert (row["state"], row["percent"], row["device_hours"]) == ("not begun", 50, 2)
    assert "trunks/5M/uniref50/seed0 not begun: trained to 0.8 of 1.6 passes" in said
    ledger = Attempts(folder_of(trunk, tmp_path) / "attempts.jsonl")
    ledger.begin(world=1, device="cpu")
    ledger._add("end", reason="SIGTERM", wall_seconds=3600)
    rows(folder_of(trunk, tmp_path), 0.8, 1.2)
    row = status(study, tmp_path)[1].loc[(TRUNK, "uniref50")]
    assert (row["state"], row["percent"], row["device_hours"]) == ("interrupted", 75, 3)
    record(trunk, tmp_path, until=1.6)
    _, table = status(study, tmp_path)
    assert table.loc[(TRUNK, "uniref50"), "state"] == "done"
    assert set(table.loc["wsd", "state"]) == {"not begun"}, "none waits any more"


def test_per_cent_of_a_branch_are_of_what_it_trains_itself(study, trunk, tmp_path):
    record(trunk, tmp_path, until=1.6)
    run = tmp_path / "results/runs" / grid(study)[0].path
    rows(run, 0.4, 0.8, 0.85)
    ledger = Attempts(run / "attempts.jsonl")
    ledger.begin(world=1, device="cpu")
    ledger.end("error: it died before it had read the trunk")
    ledger.begin(world=1, device="cpu")
    ledger.resumed(2)
    ledger.end("SIGTERM")
    row = status(study, tmp_path)[1].loc[("wsd", "uniref50")]
    assert (row["state"], round(row["percent"], 9)) == ("interrupted", 25)


def test_a_trunk_that_nobody_needs_any_more_is_no_row(study, tmp_path):
    for cell in grid(study):
        run = tmp_path / "results/runs" / cell.path
        run.mkdir(parents=True)
        content = {"cell": cell.frozen(), "trunk": "x", "status": "done", "reason": None, "attempts": []}
        (run / "run.json").write_text(json.dumps(content))
    said, table = status(study, tmp_path)
    assert list(table.index.get_level_values("schedule")) == ["wsd"] * 3
    assert said.splitlines()[-1].startswith("3 done; 0.00 of ")
