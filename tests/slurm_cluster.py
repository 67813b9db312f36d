"""A SLURM of two nodes for tests (tests/slurm/cluster.sh), and studies on it whose cells can be held still at a step.

Training is held still by a monitor that waits for a file to go, so that a test can reach jobs in the middle.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from plmscale.study.flops import train_flops
from plmscale.study.grid import grid
from plmscale.study.study import load_study
from plmscale.training.attempts import read_events
from plmscale.training.lock import lock_files
from test_workflow import CONFIG, SUBSETS, environment, prepare

CONF = Path("/etc/slurm/slurm.conf")
WARNING = 25
"""Seconds before the walltime at which SLURM warns a job."""
PATIENCE = 900
"""Seconds after which something on the cluster is taken to come no more. On two slow cores that other tests use too,
the analysis of a study alone took more than 240."""
ROWS = {name: f"{name}\t1\t16\t64\t1\t{n + 2}e-3\tconstant" for n, name in enumerate("ABCD")}
ROWS["T"] = "T\t2\t32\t128\t2\t4e-3\tconstant"
"""Rows of models.tsv: four sizes whose plan is one device, and T, whose plan is two nodes."""
HOLDING = '''
"""A tracker whose connection hangs at the twelfth step while there is a file of the run's name, or until a signal."""
import os, signal, time
from pathlib import Path

class Run:
    def __init__(self, name):
        self.hold, self.asked = Path(os.environ["HOLD"]) / name.replace("/", "-"), False
        for number in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, self.noting(signal.getsignal(number)))

    def noting(self, handler):
        def note(number, frame):
            self.asked = True
            handler(number, frame)
        return note

    def log(self, values, step):
        while step >= 12 and self.hold.exists() and not self.asked:
            time.sleep(0.02)

    def finish(self):
        pass

def init(name=None, **settings):
    return Run(name)
'''


def left_by_tests() -> bool:
    """Whether SLURM is configured by a run of these tests that was killed; what is left of it is taken down."""
    folder = CONF.resolve().parent
    if not CONF.is_symlink() or "ClusterName=plmscale" not in CONF.read_text().splitlines():
        return False
    pid = folder / "pid/slurmctld"
    if pid.exists() and Path(f"/proc/{pid.read_text().strip()}").exists():
        pytest.skip(f"another run of these tests has a cluster in {folder}")
    Cluster(folder).do("down")
    return True


def slurm(*words: str) -> str:
    """What a command of SLURM says."""
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()


class Cluster:
    """The cluster of this session, with an administrator who keeps SLURM itself running and touches nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._deaths = 0
        self.away = False

    def do(self, what: str, *node: str) -> None:
        """Call cluster.sh."""
        words = [str(ROOT / "tests/slurm/cluster.sh"), what, str(self.folder), *node]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout

    def stop_controller(self, *, saved: bool = False) -> None:
        """The controller is gone, at once or after it saved what it knows; nobody else starts it again."""
        self.away = True
        subprocess.run(["pkill", "-TERM" if saved else "-KILL", "-f", f"^slurmctld -f {self.folder}/"], check=True)
        end = time.monotonic() + 60
        while subprocess.run(["pgrep", "-f", f"^slurmctld -f {self.folder}/"], capture_output=True).returncode == 0:
            assert time.monotonic() < end, "slurmctld does not end"
            time.sleep(0.1)  # it is no child of ours that could be waited for

    def start_controller(self) -> None:
        """The controller is back, with all jobs that it had."""
        subprocess.run(["slurmctld", "-f", f"{self.folder}/slurm.conf"], check=True, capture_output=True)
        self.away = False

    def attend(self) -> None:
        """Do what an administrator would: start a dead controller again, let go what waits for him or for two minutes.

        slurmctld of Debian 12 (22.05.8) was seen to end by a segmentation fault when a lost node had come back. It
        reads the state of all jobs again, as it does when its unit file starts it again.
        """
        if self.away:
            return
        if subprocess.run(["pgrep", "-f", f"^slurmctld -f {self.folder}/"], capture_output=True).returncode:
            self._deaths += 1
            if self._deaths > 3:
                self.renew("slurmctld has died four times")
            subprocess.run(["slurmctld", "-f", f"{self.folder}/slurm.conf"], check=True, capture_output=True)
        for line in slurm("squeue", "--noheader", "--states=PENDING", "--format=%i|%r").splitlines():
            job, reason = line.split("|")
            if reason == "BeginTime":  # a job that was requeued has to wait for two minutes: not here
                slurm("scontrol", "update", f"JobId={job}", "StartTime=now")
            elif reason == "launch failed requeued held":  # its node went while SLURM began to start it
                slurm("scontrol", "release", job)
            elif "DRAINED" in reason:  # a controller that was killed knew nothing of a job, and drained its node
                for node in slurm("sinfo", "--noheader", "--Node", "--states=drain", "--format=%N").split():
                    slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")

    def starts_jobs(self) -> bool:
        """Whether a job that asks for little runs on each node within a minute."""
        words = ["sbatch", "--parsable", "--partition=urgent", "--output=/dev/null", "--mem=1", "--wrap=true"]
        jobs = [slurm(*words, f"--nodelist={node}") for node in ("n1", "n2")]
        end = time.monotonic() + 60
        while time.monotonic() < end:
            states = [slurm("squeue", "--noheader", "--states=all", "--jobs", job, "--format=%T") for job in jobs]
            if all(state == "COMPLETED" for state in states):
                return True
            time.sleep(1)
        return False

    def said(self) -> str:
        """What SLURM says of jobs and nodes, and the end of its log."""
        log = (self.folder / "log/slurmctld").read_text().splitlines()[-25:]
        return "\n".join([slurm("squeue", "-a"), slurm("sinfo", "-N", "-o", "%N %T %E"), *log])

    def renew(self, reason: str) -> None:
        """Skip, with a new cluster for the tests to come."""
        told = self.said()
        self.do("down")
        for folder in ("state", "spool", "log"):
            shutil.rmtree(self.folder / folder, ignore_errors=True)
        self.do("up")
        self._deaths = 0
        pytest.skip(f"SLURM itself failed: {reason}\n{told}")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """SLURM, or the reason why there is none."""
    if lacking := [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if not shutil.which(name)]:
        pytest.skip(f"needs the packages of tests/system_packages.txt: {', '.join(lacking)} not found")
    if os.getuid():
        pytest.skip("slurmd takes root")
    if CONF.exists() and not left_by_tests():
        pytest.skip(f"{CONF} is there: this machine is part of a cluster")
    here = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        here.do("up")
        yield here
    finally:
        here.do("down")


def write_study(folder: Path, *names: str) -> Path:
    """A study of one cell for each size named; the plan gives T two nodes."""
    prepare(folder)
    header = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules"
    (folder / "models.tsv").write_text("\n".join([header, *ROWS.values()]) + "\n")
    (folder / "subsets.tsv").write_text(SUBSETS.splitlines()[0] + "\nall\tall\t\t\t600\tyes\n")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    size = next(cell.model for cell in grid(load_study(config, base=folder)) if cell.model.name == "T")
    flops = train_flops(size, 600 * 48, convention="appendix_e", max_length=48)
    (folder / "models.tsv").write_text("\n".join([header, *(ROWS[name] for name in names)]) + "\n")
    hardware = {"device": "gpu", "devices_per_node": 1, "max_nodes": 2, "cpus_per_device": 1, "startup_seconds": 0}
    hardware["doubling_efficiency"] = 0.95  # its GPUs are CPUs: two of them on two nodes are wanted, and lose nothing
    hardware |= {"peak_flops": flops / 1.5 / 3600 / 0.5, "target_hours": 1, "memory_gib": 4, "warning_seconds": WARNING}
    execution = {"engine": "deepspeed", "checkpoint_tokens": 4000, "monitors": ["wandb"]}
    config |= {"hardware": hardware, "execution": execution, "analysis": CONFIG["analysis"]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "modules").mkdir()
    (folder / "modules/wandb.py").write_text(HOLDING)
    (folder / "hold").mkdir()
    for name in names:
        (folder / f"hold/{name}-all-constant-seed0").touch()
    return folder


def profile(folder: Path, *, cells_per_job: int | None = None) -> Path:
    """profiles/slurm with the names of this cluster, which has no accounts; for cells that share jobs, how many."""
    text = (ROOT / "profiles/slurm/profile.yaml").read_text()
    text = re.sub(r"^ *slurm_account:.*\n", "", text, flags=re.M)
    text = text.replace("\"'cpu'\"", "\"'gpu'\"").replace("mem_mb: 64000", "mem_mb: 1000").replace("8000", "1000")
    if cells_per_job:
        text = re.sub(r"^( +)train:\n", rf"\g<0>\1  cells_per_job: {cells_per_job}\n", text, flags=re.M)
    (folder / "profile").mkdir(exist_ok=True)
    (folder / "profile/profile.yaml").write_text(text)
    return folder / "profile"


class OnCluster:
    """A study that Snakemake works on, on the cluster."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.process: subprocess.Popen | None = None

    def start(self, *words: str, cells_per_job: int | None = None) -> None:
        """Snakemake, polling often."""
        folder = self.folder
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--directory",
            str(folder),
        ]
        command += ["--configfile", str(folder / "config.yaml")]
        command += ["--profile", str(profile(folder, cells_per_job=cells_per_job)), *words]
        command += ["--plmscale-slurm-init-seconds-before-status-checks", "1", "--latency-wait", "15"]
        env = environment() | {"HOLD": str(folder / "hold")}
        env["PYTHONPATH"] = f"{folder / 'modules'}:{env['PYTHONPATH']}"
        with (folder / "snakemake.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)

    def kill(self) -> None:
        """Snakemake gets SIGKILL; its jobs go on."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def end(self) -> None:
        """Snakemake comes to a good end."""
        self.until(lambda: self.process is None or self.process.poll() is not None)
        assert self.process is not None
        assert self.process.returncode == 0, self.said()

    def whole_log(self) -> str:
        """What Snakemake said, its line of progress left out."""
        lines = (self.folder / "snakemake.log").read_text().splitlines()
        return "\n".join(line for line in lines if not line.startswith("cells:"))

    def said(self) -> str:
        """The end of that."""
        return self.whole_log()[-3000:]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for it, and see that SLURM goes on."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                told = f"{self.cluster.said()}\n{self.said()}"
                if not self.cluster.starts_jobs():
                    self.cluster.renew("it starts no jobs any more, not even one of its own partition")
                raise AssertionError(told)
            self.cluster.attend()
            time.sleep(0.2)

    def held(self) -> dict[str, str]:
        """SLURM jobs of the cells that are held still, by cell."""
        found = {}
        for run in self.folder.glob("results/runs/*/*/*/*"):
            rows = (run / "metrics.jsonl").read_text().count("\n") if (run / "metrics.jsonl").exists() else 0
            locks = lock_files(run)
            if rows >= 12 and locks and locks[-1].holder and locks[-1].holder.slurm_job:
                found[run.relative_to(self.folder / "results/runs").as_posix()] = locks[-1].holder.slurm_job
        return found

    def let_go(self, cell: str) -> None:
        """Let a cell train to its end."""
        (self.folder / "hold" / cell.replace("/", "-")).unlink()

    def ended(self, cell: str) -> bool:
        """Whether the first attempt at a cell has left its reason."""
        events = read_events(self.folder / "results/runs" / cell / "attempts.jsonl")
        return any(row["event"] == "end" for row in events)

    def done(self, *cells: str) -> bool:
        """Whether cells are trained."""
        return all((self.folder / "results/runs" / cell / "run.json").exists() for cell in cells)


@pytest.fixture
def on_cluster(cluster) -> Iterator[Callable[[Path], OnCluster]]:
    """Studies on the cluster; nothing of them outlives a test that fails."""
    begun: list[OnCluster] = []

    def begin(folder: Path) -> OnCluster:
        begun.append(OnCluster(cluster, folder))
        return begun[-1]

    yield begin
    for each in begun:
        each.kill()
    slurm("scancel", "--quiet", "--user=root")


def soon(job: str) -> int:
    """The next walltime (minutes) of which a running job can still be warned."""
    passed = slurm("squeue", "--noheader", "--jobs", job, "--format=%M").split(":")
    seconds = sum(int(part) * 60**place for place, part in enumerate(reversed(passed)))
    return (seconds + 5 + WARNING) // 60 + 1
