"""Folders that an earlier version left go on: nothing is trained again, and what was interrupted is taken up.

`make_earlier` made them with the last version before the package had rooms.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from make_earlier import CELL, ENGINES
from snapshots import DATA, differences, unpack
from test_workflow import planned, snakemake

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("earlier")]

EARLIER = DATA / "earlier"
COSTLY = {"store", "holdout_candidates", "holdout", "subset", "passes", "freeze", "freeze_trunk", "trunk", "train"}
"""Rules whose results an earlier version has already made."""

ROUNDING = 2e-4
"""Relative: what sums in another order cost a loss, as in `test_train` and `test_trunk_runs`."""

DOES_NOT_TRAIN = ("python", "scipy", "pandas", "pyarrow", "matplotlib", "plotly")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """The finished study as it was left; tests look at it and work in copies."""
    return unpack(EARLIER / "finished.tar.xz", tmp_path_factory.mktemp("earlier"))


@pytest.fixture
def copy(study, tmp_path) -> Path:
    return Path(shutil.copytree(study, tmp_path / "here", symlinks=True))


def contents(folder: Path) -> dict[str, str]:
    """Checksums of all that was not made by cheap rules."""
    parts = ("runs", "trunks", "store", "subsets")
    files = [file for part in parts for file in sorted((folder / "results" / part).rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_finished_study_trains_nothing_again(study):
    jobs = planned(study)
    assert not COSTLY & set(jobs)
    assert jobs["fit"], "analysis is cheap and its code is another: it runs again"
    assert "6 done" in snakemake(study, "status")


def test_its_analysis_is_made_again_and_its_runs_stay_as_they_are(copy):
    before = contents(copy)
    for file in ("metrics.parquet", "run.json", "model.safetensors"):
        assert len([name for name in before if name.startswith("results/runs/") and name.endswith(file)]) == 6
    snakemake(copy)
    after = contents(copy)
    assert after == before
    assert (copy / "results/report.html").read_text().endswith("</html>")
    assert "Nothing to be done" in snakemake(copy, "--dry-run")


def interrupted(copy: Path, *, engine: str) -> Path:
    """One cell as SIGKILL left it; the folder of what it must become."""
    shutil.move(copy / CELL, copy / "expected")
    unpack(EARLIER / f"killed_{engine}.tar.xz", copy)
    lock = copy / CELL / "lock.1"
    holder = json.loads(lock.read_text())
    assert holder["pid"]
    # On another machine it is taken for dead after a minute of silence; on this one at once: its process is not there.
    lock.write_text(json.dumps(holder | this_machine()))
    return copy / "expected"


def this_machine() -> dict[str, str]:
    from plmscale.training.lock import Holder

    here = Holder.here()
    return {"host": here.host, "boot": here.boot, "namespace": here.namespace}


@pytest.mark.parametrize("engine", list(ENGINES))
def test_an_interrupted_cell_goes_on_from_its_checkpoint(copy, engine, record_property):
    expected = interrupted(copy, engine=engine)
    (checkpoint,) = (copy / CELL / "checkpoints").glob("step*")
    step = int(checkpoint.name.removeprefix("step"))
    jobs = planned(copy, "runs", *ENGINES[engine])
    assert jobs["train"] == 1
    assert COSTLY & set(jobs) == {"train"}
    others = {name: checksum for name, checksum in contents(copy).items() if str(CELL) not in name}
    snakemake(copy, "runs", *ENGINES[engine])
    assert {name: checksum for name, checksum in contents(copy).items() if str(CELL) not in name} == others
    record, whole = (json.loads((path / "run.json").read_text()) for path in (copy / CELL, expected))
    assert record["resumed_at_steps"] == [step]
    assert whole["resumed_at_steps"] == []
    assert [attempt["from_step"] for attempt in record["attempts"]] == [0, step]
    assert record["attempts"][-1]["to_step"] == record["n_steps"] == whole["n_steps"]
    assert record["discarded_checkpoints"] == []
    assert set(whole) <= set(record), "a key of run.json is gone"
    made = json.loads((EARLIER / "machine.json").read_text())
    unlike = differences(made, but=DOES_NOT_TRAIN)
    record_property("compared", f"to {ROUNDING:g}, since {unlike}" if unlike else "bit for bit")
    compare: Callable = close if unlike else identical
    compare(copy / CELL, expected)


def identical(run: Path, expected: Path) -> None:
    """Bit for bit, as on the machine that made it."""
    pd.testing.assert_frame_equal(
        *(pd.read_parquet(path / "metrics.parquet") for path in (run, expected)), check_exact=True
    )
    assert (run / "model.safetensors").read_bytes() == (expected / "model.safetensors").read_bytes()
    assert holdout(run) == holdout(expected)


def close(run: Path, expected: Path) -> None:
    """Up to rounding, on another processor or with another version of torch."""
    metrics, whole = (pd.read_parquet(path / "metrics.parquet") for path in (run, expected))
    np.testing.assert_allclose(metrics["loss"], whole["loss"], rtol=ROUNDING)
    pd.testing.assert_frame_equal(metrics.drop(columns="loss"), whole.drop(columns="loss"), check_exact=True)
    assert holdout(run)["loss"] == pytest.approx(holdout(expected)["loss"], rel=ROUNDING)


def holdout(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())["holdout"]
