"""The sbatch lines of the plan, as the plugin makes them."""

import re
import subprocess
import sys

import pytest
import yaml

from conftest import ROOT
from plmscale.sequences.store import FILES
from plmscale.sets.mmseqs_memory import split_memory_limit
from test_workflow import environment

pytestmark = pytest.mark.slow

SBATCH = """
import sys
from snakemake.cli import main
from snakemake.executors.dryrun import Executor
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

def submit(self, job):
    if job.rule.name in ("train", "subset", "holdout"):
        name = job.wildcards.get("model") or job.wildcards.get("subset") or job.rule.name
        here = {"run_uuid": "run", "slurm_logfile": "log", "comment_str": name, "workdir": None}
        here |= {"account": f"-A {job.resources.slurm_account}", "partition": f"-p {job.resources.slurm_partition}"}
        print(get_submit_command(job, here) + set_gres_string(job))
    return dry_run(self, job)

dry_run, Executor.run_job = Executor.run_job, submit
main(sys.argv[1:])
"""


def test_the_sbatch_lines_of_one_gpu_of_four_and_of_two_nodes(tmp_path):
    """A dry run prints none, so the plugin's own function that makes them of jobs is called for the dry run's jobs."""
    # Hours by hand: FLOPs per token of appendix E × sequences × 325 ÷ (19.5e12 × 0.5) ÷ GPUs × 1.25, for the first
    # 4.668e7 × 20e6 × 325 ÷ 9.75e12 ÷ 3600 × 1.25 = 10.8.
    cells = {
        "5M/sampled20": (11, "--nodes=1 --ntasks=1 --cpus-per-task=8 --gpus-per-node=1 --ntasks-per-node=1"),
        "15M/uniref50": (25, "--nodes=1 --ntasks=1 --cpus-per-task=32 --gpus-per-node=4 --ntasks-per-node=1"),
        "650M/uniref50": (205, "--nodes=2 --ntasks=16 --cpus-per-task=8 --gpus-per-node=8 --ntasks-per-node=8"),
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"hardware": {"max_nodes": 2, "doubling_efficiency": 1.0}}))
    lines = sbatch_lines(tmp_path, *(f"results/runs/{cell}/token_decay/seed0/run.json" for cell in cells))
    for cell, (hours, devices) in cells.items():
        said = re.sub(r" -t (\d+) ", lambda found: f" -t {int(found[1]) / 60:.0f}h ", lines[cell.partition("/")[0]])
        assert said.split() == f"-A my_account -p gpu -t {hours}h --mem 64000 {devices} --signal=USR1@120".split()


def sbatch_lines(folder, *targets: str) -> dict[str, str]:
    """What follows the comment of each line, by the comment: the model, the set or the rule."""
    words = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--dry-run"]
    words += ["--configfile", str(folder / "config.yaml"), "--profile", str(ROOT / "profiles/slurm"), *targets]
    done = subprocess.run([sys.executable, "-c", SBATCH, *words], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"^sbatch .* --comment (\w+) (.*)$", done.stdout, re.M))


SETS = [f"results/subsets/{name}.npy" for name in ("uniref20", "sampled20", "holdout")]


@pytest.mark.parametrize(
    ("n_residues", "limit", "memory"),
    [
        (None, None, (226_408, 8000, 80_808)),
        (None, "40G", (57_687, 8000, 57_687)),
        (155_000_000, None, (6236, 8000, 5151)),
    ],
    ids=["UniRef50, before its store is there", "a limit", "Swiss-Prot"],
)
def test_jobs_of_mmseqs2_ask_for_what_the_proteins_need(n_residues, limit, memory, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"clustering": {"memory_limit": limit}}))
    if n_residues:
        (tmp_path / "results/store").mkdir(parents=True)
        for name in FILES:
            (tmp_path / "results/store" / name).touch()
        (tmp_path / "results/store/stats.json").write_text('{"n_sequences": 400000}')
        with (tmp_path / "results/store/tokens.npy").open("wb") as file:
            file.truncate(n_residues)
    lines = sbatch_lines(tmp_path, *SETS)
    found = tuple(int(re.findall(r"--mem (\d+)", lines[name])[0]) for name in ("uniref20", "sampled20", "holdout"))
    assert found == memory


def test_mmseqs2_keeps_to_the_memory_of_its_job_where_the_machine_has_more():
    assert split_memory_limit(1000) == "762M"  # four fifths, in units of 2^20 bytes
    assert split_memory_limit(10**9) is None
    assert split_memory_limit(1000, limit="2G") == "2G"


def test_every_rule_that_trains_is_sent_where_the_gpus_are():
    """Rules by their launcher, so that a new one is not forgotten in the profile."""
    text = "".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    rules = dict(re.findall(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", text, re.M | re.S))
    training = {name for name, body in rules.items() if "{resources.launcher}" in body}
    assert {"train", "trunk", "calibrate_size"} <= training
    asked = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())["set-resources"]
    assert set(asked) == training
    assert all(each == asked["train"] for each in asked.values())
