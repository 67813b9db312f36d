"""`init` and `doctor` on clusters that programs in place of SLURM's describe; traps of docs/slurm.md are named."""

import fcntl
import json
import os
import sys
import time
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from plmscale.cli.main import main
from plmscale.cluster import file_checks, node_checks
from plmscale.cluster.checks import Check, worst
from plmscale.cluster.description import describe, read_hours, read_partitions
from plmscale.cluster.doctor import MARK, diagnose
from plmscale.cluster.file_checks import check_files
from plmscale.cluster.node_checks import check_node
from plmscale.cluster.profile import read_profile, refuse_placeholders
from plmscale.errors import InputError
from plmscale.study.configuration import read_configuration
from plmscale.study.study import load_study

SINFO = """cpu|up|7-00:00:00|20|64|257000|(null)
gpu|up|2-00:00:00|4|64+|515000+|gpu:l40s:4(S:0-1)
old|down|1:00:00|4|16|64000|gpu:v100:2
"""
MODES = "PartitionName=cpu AllowGroups=ALL PreemptMode=OFF\nPartitionName=gpu AllowGroups=ALL PreemptMode=REQUEUE\n"
SETTINGS = {
    "AccountingStorageEnforce": "associations,limits",
    "JobRequeue": "1",
    "MaxJobCount": "10000",
    "MinJobAge": "300 sec",
    "PreemptMode": "REQUEUE",
    "PreemptType": "preempt/partition_prio",
    "ProctrackType": "proctrack/cgroup",
}
QUESTION = ("gpu partition", "device", "account")


class Programs:
    """A folder of programs in place of SLURM's, first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def put(self, name: str, text: str, *, status: int = 0) -> None:
        """A program that prints a text."""
        (self.folder / f"{name}.txt").write_text(text)
        self.script(name, f'cat "{self.folder / name}.txt"\nexit {status}')

    def script(self, name: str, body: str) -> None:
        """A program of the shell."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def slurm(self, *, sinfo: str = SINFO, modes: str = MODES, accounts: str = "bio\n", **settings: str) -> None:
        """The programs of a cluster."""
        names = "\n".join(line.split("|")[0] for line in sinfo.splitlines())
        self.put("names", names)
        self.put("sinfo", sinfo)
        self.script(
            "sinfo",
            f'case "$*" in *=%R) ./names;; *) cat "{self.folder}/sinfo.txt";; esac'.replace("./", f"{self.folder}/"),
        )
        self.put("partitions", modes)
        self.put("settings", "\n".join(f"{key:24}= {value}" for key, value in (SETTINGS | settings).items()))
        self.script("scontrol", f'case "$2" in config) {self.folder}/settings;; *) {self.folder}/partitions;; esac')
        self.put("sacctmgr", accounts)


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Programs:
    here = Programs(tmp_path / "programs")
    monkeypatch.setenv("PATH", f"{here.folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    here.script("nvidia-smi", "exit 1")
    here.slurm()
    return here


def profile_of(folder: Path, **changes) -> dict:
    """A profile that fits the cluster, with changes."""
    train = {"slurm_partition": "'gpu'", "step": "'srun'"}
    text = {"executor": "plmscale-slurm", "jobs": 100, "set-resources": {"train": train, "trunk": train}}
    text["default-resources"] = {"slurm_account": "'bio'", "slurm_partition": "'cpu'"}
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(text | changes))
    return read_profile(folder)


def test_the_cluster_is_as_its_programs_say(programs):
    cluster = describe()
    assert cluster is not None
    cpu, gpu = cluster.partitions
    assert (cpu.name, cpu.hours, cpu.gpus, cpu.preempt_mode) == ("cpu", 168, 0, "OFF")
    assert (gpu.name, gpu.hours, gpu.nodes, gpu.cpus, gpu.memory_mb) == ("gpu", 48, 4, 64, 515000)
    assert (gpu.gpus, gpu.gpu_type, gpu.preempt_mode) == (4, "l40s", "REQUEUE")
    assert cluster.accounts == ("bio",)
    assert cluster.settings["MinJobAge"] == "300 sec"


def test_nodes_of_several_kinds_are_one_partition():
    (found,) = read_partitions("gpu|up|infinite|4|64|515000|gpu:a100:4\ngpu|up|infinite|2|32|257000|gpu:v100:2\n")
    assert (found.hours, found.nodes, found.cpus, found.memory_mb, found.gpus) == (None, 6, 32, 257000, 4)


@pytest.mark.parametrize(
    ("limit", "hours"),
    [("30:00", 0.5), ("1:30:00", 1.5), ("2-00:00:00", 48), ("1-12", 36), ("45", 0.75), ("n/a", None)],
)
def test_walltimes_of_slurm(limit, hours):
    """The forms of sbatch(1), --time: minutes, minutes:seconds, hours:minutes:seconds, days-hours and so on."""
    assert read_hours(limit) == hours


def test_init_writes_a_study_and_a_profile_that_are_taken_as_they_are(programs, tmp_path, capsys):
    assert main(["init", str(tmp_path / "study")]) == 0
    assert "plmscale plan --configfile my.yaml" in capsys.readouterr().out
    profile = read_profile(tmp_path / "study/profile")
    assert profile["default-resources"]["slurm_account"] == "'bio'"
    assert profile["default-resources"]["slurm_partition"] == "'cpu'"
    assert {profile["set-resources"][rule]["slurm_partition"] for rule in ("train", "trunk", "calibrate_size")} == {
        "'gpu'"
    }
    refuse_placeholders(tmp_path / "study/profile")
    study = load_study(read_configuration([tmp_path / "study/my.yaml"], root=ROOT), base=ROOT)
    hardware = study.config.hardware
    assert (hardware.name, hardware.devices_per_node, hardware.max_nodes) == ("L40S", 4, 4)
    assert hardware.max_walltime_hours == 48
    with pytest.raises(SystemExit, match="is there already"):
        main(["init", str(tmp_path / "study")])


def test_init_asks_one_question_for_what_the_cluster_leaves_open(programs, tmp_path, monkeypatch):
    programs.slurm(
        sinfo=SINFO.replace("l40s", "a100") + "big|up|infinite|2|64|515000|gpu:h200:8\n", accounts="bio\nchem\n"
    )
    questions = []
    answers = {"gpu partition": "gpu", "device": "A100-80GB", "account": "chem"}

    def answer(question: str) -> str:
        questions.append(question.partition(":")[0])
        return answers[questions[-1]]

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    main(["init", str(tmp_path / "study")])
    assert sorted(questions) == sorted(QUESTION)
    assert yaml.safe_load((tmp_path / "study/my.yaml").read_text())["hardware"]["name"] == "A100-80GB"
    assert read_profile(tmp_path / "study/profile")["default-resources"]["slurm_account"] == "'chem'"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpu-partition", "gpus"], "'gpus' is not one of the cluster's: gpu"),
        (["--account", "x; rm -rf"], "'x; rm -rf' is not one of the cluster's: bio"),
        (["--device", "A999"], "device 'A999' is not one"),
    ],
)
def test_init_refuses_what_the_cluster_has_not(programs, tmp_path, words, message):
    with pytest.raises(SystemExit, match=message):
        main(["init", str(tmp_path / "study"), *words])
    assert not (tmp_path / "study").exists()


def test_init_without_a_terminal_names_the_option(programs, tmp_path, monkeypatch):
    programs.slurm(accounts="bio\nchem\n")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(SystemExit, match="give --account, one of: bio, chem"):
        main(["init", str(tmp_path / "study")])


def test_a_name_that_a_shell_would_read_is_refused(programs, tmp_path):
    programs.slurm(accounts="")
    with pytest.raises(SystemExit, match="is no name of a partition or an account"):
        main(["init", str(tmp_path / "study"), "--account", "$(reboot)"])


def test_a_placeholder_is_not_submitted(programs, tmp_path):
    programs.slurm(sinfo=SINFO)
    with pytest.raises(SystemExit, match="slurm_account is 'my_account', a placeholder"):
        main(["run", "--profile", str(ROOT / "profiles/slurm"), "--directory", str(tmp_path / "study")])
    folder = tmp_path / "profile"
    profile_of(folder, **{"default-resources": {"slurm_partition": "'serial'"}})
    with pytest.raises(InputError, match=r"no partition 'serial'. It has: cpu, gpu"):
        refuse_placeholders(folder)
    profile_of(folder, **{"default-resources": {"slurm_partition": "'cpu,gpu'"}})
    refuse_placeholders(folder)


def test_the_executor_does_not_submit_a_placeholder(tmp_path):
    submission = pytest.importorskip("snakemake_executor_plugin_plmscale_slurm.submission")
    request = submission.Request("study:S", "sbatch --comment x -A my_account -p gpu", "", "x", tmp_path)
    with pytest.raises(submission.Refused, match="a placeholder of the profile"):
        submission.submit(request)


def found_by_name(programs: Programs, profile: dict | None, folder: Path, **slurm) -> dict[str, Check]:
    programs.slurm(**slurm)
    return {check.name: check for where, check in diagnose(folder, profile, partitions=[], wait=1)}


@pytest.mark.parametrize(
    ("slurm", "changes", "name", "outcome", "remedy"),
    [
        ({"MinJobAge": "60 sec"}, {}, "MinJobAge", "failed", "ask the administrator for 300"),
        ({"modes": MODES.replace("REQUEUE", "CANCEL")}, {}, "preemption in gpu", "warning", "continues in a new job"),
        ({"modes": MODES.replace("REQUEUE", "SUSPEND,GANG")}, {}, "preemption in gpu", "warning", "REQUEUE"),
        ({"JobRequeue": "0"}, {}, "requeue", "warning", "plmscale-slurm-no-requeue"),
        ({}, {"set-resources": {"train": {}, "trunk": {}}}, "warning before the walltime", "failed", "step:"),
        ({"MaxJobCount": "50"}, {}, "jobs", "failed", "jobs: 25"),
        ({"accounts": "chem\n"}, {}, "account", "failed", "write one of chem"),
        ({"accounts": ""}, {"default-resources": {}}, "account", "failed", "write slurm_account"),
    ],
)
def test_each_trap_of_slurm_has_its_line(programs, tmp_path, slurm, changes, name, outcome, remedy):
    whole = found_by_name(programs, profile_of(tmp_path / "profile"), tmp_path)
    assert all(check.outcome == "ok" for key, check in whole.items() if key == name), "a good cluster has none"
    found = found_by_name(programs, profile_of(tmp_path / "profile", **changes), tmp_path, **slurm)
    assert found[name].outcome == outcome
    assert remedy in found[name].line()


def test_a_machine_without_slurm_is_named(programs, tmp_path):
    programs.script("sinfo", "exit 1")
    first = next(iter(diagnose(tmp_path, None, partitions=None, wait=1)))[1]
    assert (first.name, first.outcome) == ("SLURM", "failed")
    with pytest.raises(SystemExit, match="on a login node"):
        main(["init", str(tmp_path / "study")])


def _no_links(first, second):
    raise PermissionError(1, "Operation not permitted")


def _links_over(first, second):
    Path(second).unlink(missing_ok=True)
    real_link(first, second)


real_link = os.link


@pytest.mark.parametrize(
    ("where", "what", "instead", "name", "said"),
    [
        (os, "link", _no_links, "link()", "Operation not permitted"),
        (os, "link", _links_over, "link()", "linked over"),
        (fcntl, "flock", lambda *_: None, "locking", "let two in"),
        (time, "time", lambda: 1e9, "clock of the file system", "differs by at least"),
        (file_checks, "LEAST_ROOM", 1e18, "room", "GB free"),
        (file_checks, "LEAST_SPEED", 1e15, "speed of the file system", "MB/s written"),
    ],
)
def test_each_trap_of_a_file_system_has_its_line(tmp_path, monkeypatch, where, what, instead, name, said):
    monkeypatch.setattr(file_checks, "TRIED_BYTES", 1 << 20)
    good = {check.name: check for check in check_files(tmp_path / "not yet")}
    assert good[name].outcome in ("ok", "warning") and not (tmp_path / "not yet").exists()
    monkeypatch.setattr(where, what, instead)
    found = {check.name: check for check in check_files(tmp_path)}[name]
    assert found.outcome in ("failed", "warning")
    assert said in found.found
    assert found.remedy
    assert list(tmp_path.iterdir()) == [], "nothing is left there"


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(node_checks, "check_files", lambda folder: iter(()))


def test_what_needs_a_gpu_is_skipped_where_there_is_none(programs, quick, tmp_path):
    found = {check.name: check.outcome for check in check_node(tmp_path, computes=False)}
    assert {found[name] for name in ("GPU", "kernels", "NCCL")} == {"skipped"}
    found = {check.name: check.outcome for check in check_node(tmp_path, computes=True)}
    assert (found["GPU"], found["kernels"]) == ("failed", "skipped")


def test_gpus_are_asked_of_the_driver(programs, quick, tmp_path, monkeypatch):
    programs.put("nvidia-smi", "NVIDIA L40S, 470.82.01, 46068 MiB\n" * 2)
    programs.script("python", f"echo '{json.dumps(Check('kernels in fp32', 'ok', 'equal').as_json())}'")
    monkeypatch.setattr(sys, "executable", str(programs.folder / "python"))
    found = {check.name: check for check in check_node(tmp_path, computes=True)}
    assert found["GPU"].found == "2 × NVIDIA L40S, 46068 MiB"
    assert (found["driver"].outcome, found["kernels in fp32"].outcome) == ("failed", "ok")
    programs.script("python", "exit 1")
    found = {check.name: check for check in check_node(tmp_path, computes=True)}
    assert (found["kernels"].outcome, found["NCCL"].outcome) == ("failed", "failed")
    assert "device_checks.ranks nccl" in found["NCCL"].remedy


@pytest.mark.parametrize(
    ("variable", "value", "name", "outcome"),
    [
        ("SLURM_TMPDIR", "/nowhere", "node-local scratch", "failed"),
        ("SLURM_TMPDIR", "/dev/shm", "node-local scratch", "warning"),
        ("LOADEDMODULES", "cuda/12.4:python", "modules", "ok"),
    ],
)
def test_what_a_node_lacks(programs, quick, tmp_path, monkeypatch, variable, value, name, outcome):
    monkeypatch.setenv(variable, value)
    assert {check.name: check.outcome for check in check_node(tmp_path, computes=False)}[name] == outcome


def test_a_node_without_mmseqs2_is_named(programs, quick, tmp_path, monkeypatch):
    def none():
        raise InputError("MMseqs2 is needed, but there is none. Install it.")

    monkeypatch.setattr(node_checks, "find_mmseqs", none)
    found = {check.name: check for check in check_node(tmp_path, computes=False)}["MMseqs2"]
    assert found.outcome == "failed" and "pip install" in found.remedy


def test_jobs_hand_on_their_checks_and_their_clock(programs, quick, tmp_path):
    handed = {"host": "n1", "time": 1.0, "checks": [Check("link()", "failed", "none", "move").as_json()]}
    programs.script("srun", f"echo 'Welcome to the site'\necho '{MARK}{json.dumps(handed)}'")
    found = [check for where, check in diagnose(tmp_path, None, partitions=["gpu"], wait=5) if where == "partition gpu"]
    assert [(check.name, check.outcome) for check in found] == [
        ("job", "ok"),
        ("clock of the node", "failed"),
        ("link()", "failed"),
    ]
    assert worst(found) == 1
    programs.script("srun", "exit 1")
    found = [check for where, check in diagnose(tmp_path, None, partitions=["cpu"], wait=5) if where == "partition cpu"]
    assert [(check.name, check.outcome) for check in found] == [("job", "failed")]
    assert "srun --quiet --partition=cpu" in found[0].remedy


def test_attention_on_cpus_passes_the_check_of_gpus_and_a_wrong_one_does_not(capsys, monkeypatch):
    from plmscale.model.device_checks import kernels

    monkeypatch.setattr(kernels, "HEADS", (16, 26))
    kernels.main("cpu")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["outcome"] for row in rows] == ["ok"] * 3
    monkeypatch.setattr(kernels, "TOLERANCES", {"fp32": 1e-9})
    kernels.main("cpu")
    assert json.loads(capsys.readouterr().out)["outcome"] == "failed"


def test_ranks_sum_what_they_have(tmp_path):
    from torch import distributed

    from plmscale.model.device_checks.ranks import check_sum

    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        found = check_sum("gloo", n_floats=1000)
    finally:
        distributed.destroy_process_group()
    assert found["outcome"] == "ok" and found["found"].startswith("1 ranks")
