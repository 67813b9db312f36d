"""A payload in a checkpoint with a manifest that agrees: it must not run, and the error is one sentence."""

import json
import os
import pickle
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from plmscale.errors import InputError
from plmscale.model.pickles import read_pickled, restricted
from plmscale.training.manifest import MANIFEST, digest, seal, unseal
from test_train import command, data, run, torchrun  # noqa: F401

ENGINES = [("torch", 0), ("deepspeed", 0), ("deepspeed", 2)]


class Payload:
    """What a pickle can hold: a call of any function, made when it is loaded."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self):
        return os.system, (f"touch {self.proof}",)


def poison(checkpoint: Path, name: str, proof: Path) -> None:
    """Put a payload into a file of a checkpoint, and make the manifest agree."""
    path = checkpoint / name
    state = torch.load(path, weights_only=False)
    torch.save(state | {"payload": Payload(proof)}, path)
    content = unseal(checkpoint)
    content["files"][name] = digest(path)
    (checkpoint / MANIFEST).write_text(seal({key: value for key, value in content.items() if key != "format"}))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):  # noqa: F811
    """By engine and stage a run that kept its last checkpoint."""
    found = {}

    def run(engine: str, stage: int, n: int = 1) -> Path:
        if (engine, stage, n) not in found:
            out = tmp_path_factory.mktemp("run")
            done = start(data, out, engine, stage, n=n)
            assert done.returncode == 0, done.stderr
            found[engine, stage, n] = out
        return found[engine, stage, n]

    return run


def start(data, out: Path, engine: str, stage: int, *, n: int = 1) -> subprocess.CompletedProcess:  # noqa: F811
    words = command(data, out, engine=engine, zero_stage=stage, keep_checkpoints=1, checkpoint_tokens=3000)
    return run(words, ranks=n)


def interrupted(run: Path, to: Path) -> Path:
    """The run as if it had been killed behind its last checkpoint; that checkpoint."""
    shutil.copytree(run, to, dirs_exist_ok=True)
    for name in ("run.json", "finished.json", "metrics.parquet", "model.safetensors"):
        (to / name).unlink(missing_ok=True)
    return max((to / "checkpoints").glob("step*"), key=lambda path: int(path.name[4:]))


def assert_refused(done: subprocess.CompletedProcess, proof: Path, sentence: str) -> None:
    said = done.stderr + done.stdout
    assert not proof.exists(), "the payload ran"
    assert done.returncode != 0
    assert "Traceback" not in said, said
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, said
    assert sentence in errors[0]


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "stage"), ENGINES)
def test_a_payload_does_not_run_and_is_named(data, trained, tmp_path, engine, stage):  # noqa: F811
    run = trained(engine, stage)
    names = [path.name for path in interrupted(run, tmp_path / "first").iterdir() if path.suffix == ".pt"]
    assert len(names) == (2 if stage else 1)
    for name in names:
        out = tmp_path / name
        poison(interrupted(run, out), name, tmp_path / "proof")
        done = start(data, out, engine, stage)
        assert_refused(done, tmp_path / "proof", "tensors and plain values")


@pytest.mark.slow
def test_the_converter_for_another_number_of_ranks_runs_no_payload(data, trained, tmp_path):  # noqa: F811
    run = trained("deepspeed", 2, n=2)
    for name in ("mp_rank_00_model_states.pt", "zero_pp_rank_1_mp_rank_00_optim_states.pt"):
        out = tmp_path / name
        poison(interrupted(run, out), name, tmp_path / "proof")
        done = start(data, out, "deepspeed", 2)
        assert_refused(done, tmp_path / "proof", "tensors and plain values")


def test_a_switch_of_torch_that_the_user_set_does_not_open_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"payload": Payload(tmp_path / "proof")}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="since a pickle can run any program"):
        read_pickled(tmp_path / "a.pt")
    with restricted(), pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "a.pt", weights_only=False)
    assert not (tmp_path / "proof").exists()
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"


HOSTILE = [
    ({"files": {"../x": {"bytes": 1, "crc32": 0}}}, "lacks what a manifest has"),
    ({"files": []}, "lacks what a manifest has"),
    ({"world": "two"}, "lacks what a manifest has"),
    ({"progress": 3}, "lacks what a manifest has"),
    ({"of": {"cell": 5}}, "lacks what a manifest has"),
]


@pytest.mark.parametrize(("change", "why"), HOSTILE)
def test_a_manifest_of_another_shape_is_a_damaged_checkpoint(tmp_path, change, why):
    from test_checkpoints import make_manager, write

    write(tmp_path, 1, 2)
    content = {key: value for key, value in unseal(tmp_path / "step2").items() if key != "format"}
    (tmp_path / "step2" / MANIFEST).write_text(seal(content | change))
    progress, _ = make_manager(tmp_path).take_up()
    assert progress.step == 1
    assert why in progress.discarded_checkpoints[0]["reason"]


def test_a_progress_of_another_shape_is_one_sentence(tmp_path):
    from test_checkpoints import make_manager, write

    write(tmp_path, 1)
    content = {key: value for key, value in unseal(tmp_path / "step1").items() if key != "format"}
    content["progress"] = json.loads(json.dumps(content["progress"])) | {"n_tokens": "many"}
    (tmp_path / "step1" / MANIFEST).write_text(seal(content))
    with pytest.raises(InputError, match="is not the progress of a run"):
        make_manager(tmp_path).take_up()


def test_weights_of_another_shape_are_one_sentence(tmp_path):
    from test_checkpoints import make_manager, write

    write(tmp_path, 1)
    for state in ([], {"model": {}}, {"model": {"weight": torch.zeros(3)}, "optimizer": {}}):
        torch.save(state, tmp_path / "step1/state.pt")
        content = {key: value for key, value in unseal(tmp_path / "step1").items() if key != "format"}
        content["files"]["state.pt"] = digest(tmp_path / "step1/state.pt")
        (tmp_path / "step1" / MANIFEST).write_text(seal(content))
        with pytest.raises(InputError, match="step1 cannot be taken up"):
            make_manager(tmp_path).take_up()
