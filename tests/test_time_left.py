"""What is left by `status` and the progress line, beside what a finished study really took."""

import json
from dataclasses import replace

import pytest

from plmscale.plan.job_hours import JobHours, job_hours
from plmscale.plan.plan import whole_plan
from plmscale.presentation.formats import duration
from plmscale.status.progress import StudyProgress, line, state
from plmscale.status.time_left import Work, costs, left, left_of_rows
from plmscale.study.jobs import TRUNK, TRUNKS, workloads
from plmscale.study.trunks import trunks
from test_trunks import study as study_of

START = 6.0
TOKENS = {"trunk": 1.84e6, "wsd": 2.2e5, "constant": 1.39e6, "token_decay": 2.33e6}
MEASURED = {
    ("1K", "trunk"): (4, 1.16, 12.15, 11.75),
    ("1K", "wsd"): (16, 0.14, 1.64, 1.28),
    ("6K", "trunk"): (4, 3.26, 11.62, 11.23),
    ("6K", "wsd"): (16, 0.38, 1.66, 1.28),
    ("21K", "trunk"): (4, 8.83, 12.83, 12.43),
    ("21K", "wsd"): (16, 1.04, 2.11, 1.66),
    ("21K", "constant"): (4, 6.66, 10.82, 10.38),
    ("320K", "token_decay"): (1, 117.5, 55.62, 54.71),
}
"""Jobs of a run of the small study by size and schedule: how many, seconds of steps by the plan, seconds that they took
on two cores, and those of them in steps. The plan has 6 s for every start, jobs of a fork server took 0.4."""


def study_at(**finished: int) -> tuple[list[Work], float]:
    """The study with so many jobs finished of a schedule and size, and the seconds that the others took."""
    every, rest = [], 0.0
    for (size, schedule), (n, steps, taken, stepped) in MEASURED.items():
        done = finished.get(f"{schedule}_{size}", 0)
        job = Work(size, START + steps, start=START, tokens=TOKENS[schedule])
        every += done * [replace(job, share=1.0, taken=taken, done=True, stepped=stepped)] + (n - done) * [job]
        rest += (n - done) * taken
    return every, rest


LARGEST = {"trunk_21K": 4}
ALL_TRUNKS = LARGEST | {"trunk_1K": 4, "trunk_6K": 4}


@pytest.mark.parametrize("finished", [ALL_TRUNKS, ALL_TRUNKS | {"wsd_1K": 8, "wsd_21K": 16}])
def test_short_branches_after_long_trunks_are_left_what_they_take(finished):
    """And a size that none has trained yet. With starts and steps in one, twice as much and more was left."""
    every, rest = study_at(**finished)
    told = sum(left(every))
    assert told == pytest.approx(rest, rel=0.2)
    assert sum(left([replace(one, start=0.0, stepped=None) for one in every])) > 1.9 * rest
    first = {str(i): replace(one, share=0.0, done=False, taken=None, stepped=None) for i, one in enumerate(every)}
    spent = sum(one.taken or 0.0 for one in every)
    now = StudyProgress(dict(zip(first, every, strict=True)), 0.5)
    text = line(now, before=StudyProgress(first, 0.0), seconds=spent / 2)
    assert text.endswith(f"about {duration(told / 2)} left")


def test_steps_of_other_sizes_go_as_those_of_the_few_that_are_known():
    """Of one size alone nothing tells a token's cost from a FLOP's."""
    every, _ = study_at(**LARGEST)
    (unknown,) = (cost for one, cost in zip(every, costs(every), strict=True) if one.size == "320K")
    assert unknown == pytest.approx(0.4 + 117.5 * 12.43 / 8.83)


def test_a_running_job_counts_its_start_once():
    """Half of its tokens in 3.4 s, of which a start takes 0.4."""
    done = Work("a", 10.0, 1.0, 4.4, done=True, start=6.0, stepped=4.0)
    running = Work("b", 8.0, 0.5, 3.4, running=True, start=6.0)
    assert costs([done, running, Work("b", 26.0, start=6.0)])[2] == pytest.approx(0.4 + 20 * 3.0)


def test_trunks_and_branches_are_read_with_what_they_took(tmp_path):
    study = study_of(tmp_path, epochs={"half": 0.5, "double": 2.0})
    found = trunks(study)
    hours = job_hours(study, {}, {})
    work = workloads(study, {})
    assert set(hours) == set(work) and any(path.startswith(TRUNKS) for path in hours)
    start = study.config.hardware.startup_seconds / 3600
    for path, each in hours.items():
        assert 0 < each.start < each.whole and each.start % start == pytest.approx(0, abs=1e-9), path
    ((path, trunk),) = found.items()
    folder = tmp_path / "results/trunks" / path
    folder.mkdir(parents=True)
    record = {"cell": trunk.cell.frozen(), "status": "done", "until_passes": trunk.until, "attempts": []}
    record |= {"n_tokens": work[f"{TRUNKS}{path}"].n_tokens, "device_seconds": 7200, "seconds": 30, "wall_seconds": 40}
    (folder / "trunk.json").write_text(json.dumps(record))
    read = state(work, results=tmp_path / "results", trunks=found, hours=hours)
    job = read.jobs[f"{TRUNKS}{path}"]
    assert (job.done, job.taken, job.stepped) == (True, 2.0, 1.5)
    assert JobHours(job.planned, job.start) == hours[f"{TRUNKS}{path}"]
    rows = whole_plan(study, {}, {})
    assert rows["schedule"].tolist().count(TRUNK) == 1
    assert sorted(rows["device_hours"]) == sorted(each.whole for each in hours.values())


def test_rows_of_the_status_say_the_same():
    row = {"model": "a", "reason": None, "percent": 100.0}
    done = row | {"state": "done", "device_hours": 4.4, "planned_device_hours": 10.0, "trained": 1.0, "stepped": 4.0}
    new = row | {"state": "not begun", "device_hours": 0.0, "planned_device_hours": 8.0, "percent": 0.0}
    assert left_of_rows([done, new], starts=[6.0, 6.0]) == pytest.approx([0, 0.4 + 2.0])
