"""From nothing to a trained cell on a real SLURM, with no file edited: `init`, `plan`, `doctor`, `run`."""

import subprocess
import sys

import pytest
import yaml

from slurm_cluster import cluster  # noqa: F401
from test_workflow import environment, prepare

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("slurm")]

HARDWARE = {"device": "gpu", "devices_per_node": 1, "cpus_per_device": 1, "startup_seconds": 0}


def test_a_study_is_begun_asked_after_and_trained(cluster, tmp_path):  # noqa: F811
    folder = prepare(tmp_path / "study", hardware=HARDWARE)

    def plmscale(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "plmscale", *words]
        return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=400)

    begun = plmscale("init", ".", "--cpu-partition", "urgent", "--gpu-partition", "gpu", "--configfile", "config.yaml")
    assert begun.returncode == 0, begun.stderr
    assert yaml.safe_load((folder / "my.yaml").read_text())["hardware"]["devices_per_node"] == 4
    planned = plmscale("plan", "--configfile", "my.yaml")
    assert planned.returncode == 0, planned.stderr
    asked = plmscale("doctor", "--partition", "gpu", "--wait", "240")
    failed = [line for line in asked.stdout.splitlines() if line.startswith("failed")]
    assert len(failed) == 1, asked.stdout + asked.stderr
    assert "partition gpu: GPU" in failed[0], "a GPU of the tests is a character device"
    assert "ok       partition gpu: clock of the node" in asked.stdout
    assert "ok       login node: MinJobAge: 300 s" in asked.stdout
    words = ["--config", "cell=S/all/constant/seed0", "--configfile", "my.yaml", "--profile", "profile"]
    often = ["--", "--plmscale-slurm-init-seconds-before-status-checks", "3", "--latency-wait", "15"]
    trained = plmscale("run", "cell", *words, *often)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert (folder / "results/runs/S/all/constant/seed0/run.json").exists()
