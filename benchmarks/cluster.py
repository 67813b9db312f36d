"""A study on SLURM beside the same study on this machine: jobs, failures, time, and the bytes of every cell.

    python benchmarks/cluster.py --configfile config/toy.yaml --folder FOLDER --out benchmarks/results/cluster.md
    python benchmarks/cluster.py --configfile config/toy.yaml --config seeds=[0] --folder FOLDER --outage 600

The study is run twice, by `plmscale run` as a user types it: in FOLDER/local, and in FOLDER/slurm with profiles/slurm,
in which nothing but the names is edited. The oracle is the local run: metrics and weights have to be the same bytes,
the holdout the same numbers. Without --profile, SLURM is that of the tests (tests/slurm/cluster.sh: two nodes on this
machine; it takes root and the packages of tests/system_packages.txt). --outage kills its controller soon after the
first training job has begun, and starts it again after so many seconds. The queue is looked at every two seconds. A run
that was stopped goes on in the same FOLDER, then with the jobs of this time alone.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import machine

from plmscale.cluster.profile import profile_text
from plmscale.status import slurm_queue

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests/slurm/cluster.sh"
LOOK = 2.0
"""Seconds between two looks at the queue."""
TRAINED = ("runs/*/*/*/*", "trunks/*/*/*")
"""Folders, in results/, of what is trained."""
COMPARED = ("metrics.parquet", "model.safetensors")
"""Files of a cell, byte for byte."""
MADE = ("subsets/*.npy", "analysis/curves.parquet")
"""What cells are trained on, and what laws are fitted to, in results/, byte for byte."""
SAVED = 15.0
"""Seconds a job runs before the controller is killed: SLURM 22.05 has not saved before that it does, and would start it
again when it is back, and drain its node."""
STARTS = ("rule_train_", "rule_trunk_", "bundle_")
"""How the comments of jobs that train begin."""


@dataclass
class Seen:
    """The jobs of a study that were in the queue, by number, and the numbers of those that make something.

    A job of several cells counts for each. `most` were active at a time; `unanswered` looks had no answer.
    """

    jobs: dict[str, slurm_queue.QueuedJob] = field(default_factory=dict)
    asked: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    most: int = 0
    unanswered: int = 0

    def look(self, folder: Path) -> None:
        """Look once."""
        found = slurm_queue.look()
        if found is None:
            self.unanswered += 1
            return
        here = [job for job in found if job.workdir == folder]
        self.most = max(self.most, sum(job.active for job in here))
        for job in here:
            self.jobs[job.job] = job
            for comment in slurm_queue.members(job.bundle) if job.bundle else [job.comment]:
                self.asked[comment].add(job.job)

    def training(self) -> bool:
        """Whether a job that trains is running."""
        return any(job.state == "RUNNING" and job.comment.startswith(STARTS) for job in self.jobs.values())


@dataclass
class Outage:
    """Of the controller: when, and what happened while it was away."""

    began: float
    ended: float = 0.0
    submitted_before: int = 0

    def trained(self, results: Path) -> int:
        """Cells and trunks that were trained to their end in it."""
        ends = [datetime.fromisoformat(each[-1]["end"]).timestamp() for each in attempts_of(results)]
        return sum(self.began <= end <= self.ended for end in ends)


class OwnCluster:
    """SLURM of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pid = folder / "pid/slurmctld"

    def do(self, what: str) -> None:
        """Call cluster.sh."""
        done = subprocess.run([SCRIPT, what, self.folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            sys.exit(f"error: {SCRIPT.name} {what}:\n{done.stdout}")

    def stop_controller(self) -> None:
        """Kill it. Its file names this process then, or the tests would take the cluster for one left by them."""
        os.kill(int(self.pid.read_text()), signal.SIGKILL)
        self.pid.write_text(f"{os.getpid()}\n")

    def start_controller(self) -> None:
        """Start it again, with all jobs that it had."""
        self.pid.unlink()
        subprocess.run(["slurmctld", "-f", self.folder / "slurm.conf"], check=True, capture_output=True)


@contextmanager
def own_cluster() -> Iterator[OwnCluster]:
    """SLURM of the tests, up and then down."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = OwnCluster(Path(folder))
        cluster.do("up")
        try:
            yield cluster
        finally:
            cluster.do("down")


def start(folder: Path, words: list[str]) -> tuple[subprocess.Popen[bytes], float]:
    """`plmscale run` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "plmscale", "run", "--directory", str(folder), *words]
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log), time.monotonic()


def on_slurm(
    folder: Path, words: list[str], *, cluster: OwnCluster | None, outage: float
) -> tuple[int, float, Seen, Outage | None]:
    """The study on SLURM; its status, its seconds, its jobs, and the outage."""
    process, began = start(folder, words)
    seen, away, done = Seen(), None, threading.Event()

    def watch() -> None:
        while not done.wait(LOOK):
            seen.look(folder)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        while outage and cluster and process.poll() is None and away is None:
            time.sleep(0.1)  # the queue is looked at by the other thread; here only what it saw
            if seen.training():
                time.sleep(SAVED)  # SLURM has no sign of having saved
                away = Outage(time.time(), submitted_before=len(seen.jobs))
                cluster.stop_controller()
                time.sleep(outage)  # the outage itself
                cluster.start_controller()
                away.ended = time.time()
        status = process.wait()
        seconds = time.monotonic() - began
        seen.look(folder)
    finally:
        done.set()
        watcher.join()
    return status, seconds, seen, away


def attempts_of(results: Path) -> list[list[dict[str, Any]]]:
    """The attempts at each cell and each trunk, by its record."""
    paths = [path for pattern in TRAINED for path in results.glob(f"{pattern}/*.json")]
    return [json.loads(path.read_text())["attempts"] for path in paths if path.name in ("run.json", "trunk.json")]


def compared(local: Path, slurm: Path, *, part: bool) -> tuple[list[dict[str, str]], list[str]]:
    """Rows of what was compared, and every file that differs or is missing; of a part of a study, what SLURM made."""
    rows, wrong = [], []
    kinds = [(f"{kind}/{file}", _bytes) for kind in TRAINED for file in COMPARED] + [(kind, _bytes) for kind in MADE]
    for pattern, read in [*kinds, (f"{TRAINED[0]}/run.json", _holdout)]:
        sides = [slurm] if part else [local, slurm]
        names = sorted({path.relative_to(each) for each in sides for path in each.glob(pattern)})
        different = [str(name) for name in names if not _same(local / name, slurm / name, read)]
        what = f"{pattern}, status and holdout" if read is _holdout else pattern
        rows.append({"files": f"`{what}`", "compared": str(len(names)), "different": str(len(different))})
        wrong += different
    return [row for row in rows if row["compared"] != "0"], wrong


def _same(one: Path, other: Path, read: Callable[[Path], object]) -> bool:
    return one.exists() and other.exists() and read(one) == read(other)


def _bytes(path: Path) -> object:
    return path.read_bytes()


def _holdout(path: Path) -> object:
    record = json.loads(path.read_text())
    return record["status"], record["holdout"]


def jobs_of(seen: Seen, results: Path) -> list[dict[str, str]]:
    """Rows of how often what happened on SLURM."""
    jobs = seen.jobs.values()
    starts = Counter(next((start for start in STARTS if job.comment.startswith(start)), "") for job in jobs)
    ends = Counter(job.state for job in jobs)
    attempts = attempts_of(results)
    finished = [sum(each["reason"] == "finished" for each in some) for some in attempts]
    found = {
        "jobs": len(seen.jobs),
        "of them of several cells": starts["bundle_"],
        "of one cell": starts["rule_train_"],
        "of a trunk": starts["rule_trunk_"],
        "in the queue at a time, at most": seen.most,
        "cells and trunks in all jobs": sum(comment.startswith(STARTS) for comment in seen.asked),
        "of them in more than one job": sum(len(numbers) > 1 for numbers in seen.asked.values()),
        **{f"jobs whose last state seen was {state}": n for state, n in ends.most_common()},
        "records of cells and trunks": len(attempts),
        "attempts": sum(map(len, attempts)),
        "cells and trunks trained to their end not exactly once": sum(n != 1 for n in finished),
    }
    return [{"on SLURM": what, "number": str(n)} for what, n in found.items()]


def own_profile(folder: Path) -> Path:
    """profiles/slurm with the names of the tests' cluster, which has no accounts."""
    text = (ROOT / "profiles/slurm/profile.yaml").read_text()
    text = profile_text(text, account=None, cpu="gpu", gpu="gpu", cpu_mb=8000, gpu_mb=64000)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profile.yaml").write_text(text)
    return folder


def page(args: argparse.Namespace, folder: Path, *, local_seconds: float, found: Any) -> tuple[str, int]:
    """What was measured as text, and 1 if anything was not as it has to be."""
    status, seconds, seen, away = found
    local = (args.local or folder / "local") / "results"
    rows, wrong = compared(local, folder / "slurm/results", part=bool(args.target))
    told = jobs_of(seen, folder / "slurm/results")
    facts = machine.facts("snakemake", "snakemake-executor-plugin-slurm", "torch")
    facts["study"] = " ".join([*map(str, args.configfile), *args.config, *args.target])
    facts["cluster"] = "of a profile" if args.profile else "of the tests, two nodes on this machine; profiles/slurm"
    facts["local run"] = f"{local_seconds:.0f} s of wall" if local_seconds else "was there before"
    facts["wall on SLURM, s"] = f"{seconds:.0f}"
    facts["exit status on SLURM"] = str(status)
    if away:
        facts["controller killed"] = f"for {away.ended - away.began:.0f} s, after {away.submitted_before} jobs"
        facts["cells and trunks trained while it was away"] = str(away.trained(folder / "slurm/results"))
        facts["looks at the queue without an answer"] = str(seen.unanswered)
    lines = [
        "# A study on SLURM",
        "\n".join(f"- {key}: {value}" for key, value in facts.items()),
        machine.markdown(rows),
        machine.markdown(told),
        *(f"- different: {name}" for name in wrong),
    ]
    return "\n\n".join(lines) + "\n", int(bool(wrong or status))


def main() -> int:
    """Run both sides, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", action="append", type=Path, required=True)
    parser.add_argument("--config", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--target", action="append", default=[], help="what to make; repeat it (default: the whole study)"
    )
    parser.add_argument("--folder", type=Path, required=True, help="for both runs")
    parser.add_argument("--local", type=Path, help="a folder where the study ran without SLURM: it is not run again")
    parser.add_argument("--profile", type=Path, help="of a cluster that is there (default: the tests' SLURM)")
    parser.add_argument("--outage", type=float, default=0.0, help="seconds for which the controller is away")
    parser.add_argument("--out", type=Path, help="markdown file; else printed")
    args = parser.parse_args()
    if args.profile and args.outage:
        parser.error("--outage is of the tests' SLURM: without --profile")
    folder = args.folder.resolve()
    words = [*args.target, *(word for file in args.configfile for word in ("--configfile", str(file.resolve())))]
    words += ["--config", *args.config] if args.config else []
    local_seconds = 0.0
    if not args.local:
        process, began = start(folder / "local", words)
        if process.wait():
            sys.exit(f"error: the local run failed: {folder}/local.log")
        local_seconds = time.monotonic() - began
    profile = args.profile or own_profile(folder / "profile")
    with nullcontext(None) if args.profile else own_cluster() as cluster:
        words += ["--profile", str(profile.resolve())]
        found = on_slurm(folder / "slurm", words, cluster=cluster, outage=args.outage)
    text, status = page(args, folder, local_seconds=local_seconds, found=found)
    args.out.write_text(text) if args.out else print(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
