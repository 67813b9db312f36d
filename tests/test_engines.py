"""The engines against each other: 20 steps of plain torch, DeepSpeed without ZeRO, and with its stages 1 and 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT
from engine_contract import ACCUMULATION, SIZE
from plmscale.plan.hardware.communication import traffic_of
from plmscale.study.config import Execution
from plmscale.training.engine import joined_ranks
from test_train import environment, torchrun

# In fp32 only the order of sums differs: 2^-24 a rounding. In bf16 products are rounded to 2^-8, and DeepSpeed's
# autocast rounds other ones than torch's, so that the losses agree to a tenth of that.
LOSS_TOLERANCE = {"fp32": 2e-6, "bf16": 4e-4}


@pytest.fixture(scope="module", params=[1, pytest.param(2, marks=pytest.mark.slow)], ids=["1 process", "2 processes"])
def contract(request, tmp_path_factory) -> dict:
    """Losses by engine, stage and precision; `world` of them."""
    out: Path = tmp_path_factory.mktemp("contract") / "found.json"
    launcher = [sys.executable] if request.param == 1 else torchrun(request.param)
    done = subprocess.run(
        [*launcher, str(ROOT / "tests/engine_contract.py"), str(out)], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_every_stage_of_deepspeed_is_plain_torch(contract, stage, precision):
    ours, torchs = contract[f"deepspeed{stage} {precision}"], contract[f"torch0 {precision}"]
    assert len(ours["losses"]) == 20
    np.testing.assert_allclose(ours["losses"], torchs["losses"], rtol=LOSS_TOLERANCE[precision])
    if precision == "fp32":
        assert ours["largest_difference"] < 1e-6, "weights after 20 steps"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_the_plan_knows_what_a_step_sums_over_ranks(contract, stage, precision):
    """The paper's N leaves out biases and norms, 3 % of so small an encoder, and has the embedding twice."""
    execution = Execution(zero_stage=stage)
    planned = traffic_of(SIZE, precision=precision, execution=execution, grad_accum=ACCUMULATION)
    expected = planned.reduced * planned.sums
    assert contract[f"deepspeed{stage} {precision}"]["reduced"] == pytest.approx(expected, rel=0.05)


def test_bf16_is_another_arithmetic_of_the_same_training(contract):
    fp32, bf16 = (np.asarray(contract[f"torch0 {precision}"]["losses"]) for precision in ("fp32", "bf16"))
    assert not np.array_equal(fp32, bf16)
    np.testing.assert_allclose(bf16, fp32, rtol=2e-3)


@pytest.mark.parametrize("job", [1, 14_999, 15_000, 67_108_863])
def test_ranks_of_several_nodes_meet_below_the_ports_of_other_connections(monkeypatch, job):
    """Jobs of neighbouring numbers at different ports; the largest number is SLURM's MaxJobId."""
    monkeypatch.setattr(os, "environ", {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"})
    joined = []
    monkeypatch.setattr("torch.distributed.init_process_group", lambda *_, **kwargs: joined.append(kwargs))
    monkeypatch.setattr("torch.distributed.destroy_process_group", lambda: None)
    ports = []
    for number in (job, job + 1):
        os.environ["SLURM_JOB_ID"] = str(number)
        with joined_ranks() as ranks:
            assert (ranks.rank, ranks.world) == (1, 2)
        ports.append(int(os.environ.pop("MASTER_PORT")))
        del os.environ["RANK"]
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(1023 < port < lowest for port in ports)
    assert len(set(ports)) == 2
    assert [each["world_size"] for each in joined] == [2, 2]
