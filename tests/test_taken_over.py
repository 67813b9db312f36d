"""What lies in the folder of a cell when a job begins: a result to take over, or something else to be set aside."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from plmscale.sets.subsets import write_ids
from plmscale.training.attempts import KILLED, Attempts, read_events
from plmscale.training.checkpoints import Checkpoints
from plmscale.training.interruption import REASONS
from plmscale.training.set_aside import AFRESH, SET_ASIDE, WHY
from test_faults import CELL, assert_same, expected, fill, outcome, server, small_disk, start, undisturbed_by_engine  # noqa: F401
from test_train import SIZE, TRAINING, command, data, environment, torchrun  # noqa: F401

OUTPUTS = ("run.json", "metrics.parquet")


def delete_outputs(out: Path) -> None:
    """As Snakemake does before a job, and after one that it takes for failed."""
    for name in OUTPUTS:
        (out / name).unlink(missing_ok=True)


def interrupted(start, out: Path, **options) -> int:  # noqa: F811
    """A cell that was stopped in the middle of its training; the step of its newest checkpoint."""
    job = start(**options)
    job.wait_for("checkpoints/step8")
    job.send(signal.SIGTERM)
    assert job.end() == 75, job.log
    return Checkpoints(out / "checkpoints").steps()[0]


def aside(out: Path, number: int = 1) -> tuple[set[str], str]:
    """What was set aside, and why."""
    place = out / SET_ASIDE / str(number)
    return {path.name for path in place.iterdir()} - {WHY}, (place / WHY).read_text()


def attempts_in(out: Path) -> list[tuple[int, int, str]]:
    record = json.loads((out / "run.json").read_text())
    return [(each["from_step"], each["to_step"], each["reason"].partition(":")[0]) for each in record["attempts"]]


def test_a_result_is_taken_over_whenever_it_was_written_and_its_leftovers_go(start, expected, tmp_path):  # noqa: F811
    """The job had finished, and ran into its walltime or was killed before it had tidied up."""
    assert start().end() == 0
    delete_outputs(tmp_path)
    weights = (tmp_path / "model.safetensors").stat().st_mtime_ns
    result = json.loads((tmp_path / "finished.json").read_text())
    (tmp_path / "finished.json").write_text(json.dumps(result | {"at": 1.0}))
    (tmp_path / "checkpoints/partial-step24").mkdir(parents=True)
    (tmp_path / "checkpoints/step24").mkdir()
    for name in ("attempts.jsonl", "metrics.jsonl", ".run.partial-77.json", ".metrics.partial-77.parquet"):
        (tmp_path / name).touch()
    job = start()
    assert job.end() == 0, job.log
    assert "taken over: this cell was finished at 1970" in job.log
    assert_same(tmp_path, expected)
    assert attempts_in(tmp_path) == [(0, 24, "finished")]
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == weights
    left = {path.name for path in tmp_path.iterdir()} - {"tensorboard", "log"}
    assert left == {*OUTPUTS, "cell.json", "finished.json", "model.safetensors"}


def test_asked_for_afresh_it_is_trained_and_the_record_keeps_both(start, expected, tmp_path):  # noqa: F811
    assert start(keep_checkpoints=1).end() == 0
    for _ in range(2):
        delete_outputs(tmp_path)
        (tmp_path / AFRESH).touch()
        job = start(keep_checkpoints=1)
        assert job.end() == 0, job.log
    assert_same(tmp_path, expected)
    assert attempts_in(tmp_path) == [(0, 24, "finished")] * 3
    assert aside(tmp_path, 2)[0] == {"checkpoints", "finished.json"}
    assert not (tmp_path / AFRESH).exists()


def test_an_interrupted_cell_trained_afresh_keeps_its_attempts_and_does_not_resume(start, expected, tmp_path):  # noqa: F811
    step = interrupted(start, tmp_path)
    (tmp_path / AFRESH).touch()
    assert start().end() == 0
    assert assert_same(tmp_path, expected)["resumed_at_steps"] == []
    assert attempts_in(tmp_path) == [(0, step, "SIGTERM"), (0, 24, "finished")]


def test_a_diverged_cell_is_trained_after_its_rate_is_mended(start, tmp_path):  # noqa: F811
    wild = CELL | {"model": SIZE | {"learning_rate": 2.0}, "schedule": "constant"}
    wild["training"] = CELL["training"] | {"health": {"divergence_nats": 0.5, "divergence_rows": 3, "spike_nats": 0.2}}
    assert start(cell=wild, checkpoint_tokens=1000).end() == 0
    assert outcome(tmp_path)[1]["status"] == "diverged"
    delete_outputs(tmp_path)
    mended = wild | {"model": SIZE}
    job = start(cell=mended)
    assert job.end() == 0, job.log
    assert outcome(tmp_path)[1]["status"] == "done"
    assert attempts_in(tmp_path) == [(0, 24, "finished")], "attempts of another cell are none of this one"
    names, why = aside(tmp_path)
    assert names == {"checkpoints", "finished.json"}
    assert "finished run of another cell" in why


def test_a_kept_checkpoint_of_a_finished_cell_does_not_stand_in_the_way_of_another(start, tmp_path):  # noqa: F811
    assert start(keep_checkpoints=1).end() == 0
    (tmp_path / "finished.json").unlink()  # as a version before it was kept
    delete_outputs(tmp_path)
    job = start(cell=CELL | {"model": SIZE | {"learning_rate": 1e-3}})
    assert job.end() == 0, job.log
    assert "checkpoints of another cell; set aside in" in job.log
    assert outcome(tmp_path)[1]["resumed_at_steps"] == []


def other_store(folder: Path, store: Path) -> Path:
    """The same store with one residue of a sequence that is trained on put right."""
    shutil.copytree(store, folder)
    tokens = np.load(folder / "tokens.npy")
    tokens[5] = 5 if tokens[5] != 5 else 6
    np.save(folder / "tokens.npy", tokens)
    return folder


@pytest.mark.parametrize("what", ["a residue", "a set"])
def test_an_interrupted_cell_does_not_go_on_with_other_sequences(start, data, tmp_path, what):  # noqa: F811
    """The FASTA was mended, or the set grew, while it was interrupted."""
    interrupted(start, tmp_path)
    if what == "a residue":
        options = {"store": other_store(tmp_path.parent / f"{tmp_path.name}-store", data / "store")}
    else:
        write_ids(tmp_path / "grown.npy", np.arange(np.load(data / "subset.npy").size + 1))
        options = {"subset": tmp_path / "grown.npy"}
    job = start(**options)
    assert job.end() == 0, job.log
    record = outcome(tmp_path)[1]
    assert record["resumed_at_steps"] == []
    assert len(record["attempts"]) == 1
    names, why = aside(tmp_path)
    assert names == {"checkpoints", "attempts.jsonl"}
    assert f"checkpoints of another {'residues' if what == 'a residue' else 'residues and another training set'}" in why


@pytest.mark.parametrize("what", ["overwritten", "truncated", "touched"])
def test_a_file_that_changes_under_a_running_job(start, expected, data, tmp_path, what):  # noqa: F811
    """Ids and residues are mapped: unwatched, the rest would be trained on others, or end by SIGBUS."""
    store, subset = tmp_path / "store", tmp_path / "subset.npy"
    shutil.copytree(data / "store", store)
    shutil.copy(data / "subset.npy", subset)
    job = start(store=store, subset=subset)
    job.wait_for("checkpoints/step8")
    job.send(signal.SIGSTOP)
    path = store / "tokens.npy" if what == "truncated" else subset
    if what == "overwritten":
        ids = np.load(subset)
        with subset.open("r+b") as file:
            np.save(file, ids + 1)
    elif what == "truncated":
        os.truncate(path, 2000)
    else:
        path.touch()
    job.send(signal.SIGCONT)
    if what == "touched":
        assert job.end() == 0, job.log
        assert_same(tmp_path, expected)
        return
    assert job.end() == 1, job.log
    assert job.log.splitlines()[-1].startswith(f"error: {path} was changed while this cell was trained on it")
    assert "Traceback" not in job.log
    assert not (tmp_path / "run.json").exists()
    assert start(subset=data / "subset.npy").end() == 0
    assert assert_same(tmp_path, expected)["resumed_at_steps"], "its checkpoint was of the right data"


def test_asked_to_stop_again_and_again_it_is_not_refused(start, expected, tmp_path):  # noqa: F811
    """Preempted six times before it has a checkpoint."""
    ledger = tmp_path / "attempts.jsonl"
    for n in range(6):
        job = start()
        job.wait_until(lambda n=n: [row["event"] for row in read_events(ledger)].count("start") > n)
        job.send(signal.SIGTERM)
        assert job.end() in (75, -signal.SIGTERM), job.log
        shutil.rmtree(tmp_path / "checkpoints", ignore_errors=True)
    assert start(max_attempts=2).end() == 0
    assert_same(tmp_path, expected)
    assert [reason for *_, reason in attempts_in(tmp_path)] == ["SIGTERM"] * 6 + ["finished"]


def test_killed_after_a_warning_it_did_not_fail_by_itself(tmp_path):
    path = tmp_path / "attempts.jsonl"
    for asked in (True, False):
        ledger = Attempts(path)
        ledger.begin(world=1, device="cpu")
        if asked:
            ledger.asked(REASONS[signal.SIGTERM])
        Attempts(path).settle(newest=0)
    first, second = (each["reason"] for each in Attempts(path).table())
    assert first == f"{REASONS[signal.SIGTERM]}; killed before it could leave"
    assert second == KILLED
    Attempts(path).refuse_after(2)  # does not raise
    with pytest.raises(Exception, match="the last 1 attempts"):
        Attempts(path).refuse_after(1)


def test_the_record_says_where_attempts_began(start, expected, tmp_path):  # noqa: F811
    """A checkpoint was deleted by hand, a folder made that is none, and a line of the ledger is no text."""
    interrupted(start, tmp_path)
    shutil.rmtree(tmp_path / "checkpoints")
    (tmp_path / "checkpoints/step9999").mkdir(parents=True)
    with (tmp_path / "attempts.jsonl").open("ab") as file:
        file.write(b"\xff\xfe\x00{\n")
    assert read_events(tmp_path / "attempts.jsonl")[-1]["event"] == "end"
    shutil.rmtree(tmp_path / "checkpoints")
    assert start().end() == 0
    assert_same(tmp_path, expected)
    assert [(begin, reason) for begin, _, reason in attempts_in(tmp_path)] == [(0, "SIGTERM"), (0, "finished")]


def test_a_disk_full_of_checkpoints_and_outputs_costs_the_interval(small_disk, start, expected, tmp_path):  # noqa: F811
    """What would be trained after the checkpoint that found no room would be lost."""
    (small_disk / "run").mkdir()
    files = {"metrics": "metrics.parquet", "record": "run.json", "checkpoints": "checkpoints"}
    here = {name: small_disk / "run" / file for name, file in files.items()} | {"monitors": "none"}
    filler = fill(small_disk, leave=500_000)  # one checkpoint, not two
    job = start(**here)
    assert job.end() == 1, job.log
    assert "Traceback" not in job.log
    assert "error: neither checkpoint nor outputs can be written" in job.log
    assert "disk full" in job.log
    (kept,) = Checkpoints(small_disk / "run/checkpoints").steps()
    trained = [json.loads(line)["step"] for line in (small_disk / "run/metrics.jsonl").read_text().splitlines()]
    assert max(trained) - kept <= 4, "more than an interval was trained in vain"
    filler.unlink()
    assert start(**here).end() == 0
    assert assert_same(small_disk / "run", expected)["resumed_at_steps"] == [kept]


@pytest.mark.slow
def test_a_lost_rank_is_told_of_in_a_sentence(data, tmp_path):  # noqa: F811
    """The first rank of two, without a launcher that would end it when the other is gone."""
    cell = {"training": TRAINING | {"log_every_steps": 1}}
    words = command(data, tmp_path, cell=cell, checkpoint_tokens=3000, monitors="none", engine="torch")
    env = environment() | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "15987"}
    with (tmp_path / "log").open("w") as log:
        ranks = [
            subprocess.Popen(words, stdout=log, stderr=log, env=env | {"RANK": rank, "LOCAL_RANK": rank})
            for rank in "01"
        ]
        while not (tmp_path / "checkpoints/step8").exists():
            assert ranks[0].poll() is None, (tmp_path / "log").read_text()
        ranks[1].kill()
        assert ranks[0].wait() == 1
        ranks[1].wait()
    said = (tmp_path / "log").read_text()
    assert "error: rank 0: another rank does not answer" in said
    assert "Traceback" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="mounts")
def test_a_folder_that_becomes_read_only_under_a_job(small_disk, start, expected):  # noqa: F811
    (small_disk / "run").mkdir()
    files = {"metrics": "metrics.parquet", "record": "run.json", "checkpoints": "checkpoints"}
    here = {name: small_disk / "run" / file for name, file in files.items()} | {"monitors": "none"}
    job = start(**here)
    while job.alive() and not (small_disk / "run/checkpoints/step8").exists():
        pass
    job.send(signal.SIGSTOP)
    frozen = subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], capture_output=True)
    job.send(signal.SIGCONT)
    if frozen.returncode:  # a file of the job is open for writing: the kernel refuses
        job.send(signal.SIGKILL)
        job.end()
        pytest.skip("the file system cannot be made read-only while a file is open")
    assert job.end() == 1, job.log
    assert "Read-only file system" in job.log
    assert "Traceback" not in job.log
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert start(**here).end() == 0
    assert_same(small_disk / "run", expected)
