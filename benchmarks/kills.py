"""Cells that are killed, stopped and starved of disk at random instants, and what became of their numbers.

    python benchmarks/kills.py --kills 1000 --out benchmarks/results/kills.md

Each study is one cell of a tiny model on real proteins, trained to its end through any number of attempts. What happens
to an attempt is drawn: SIGKILL, SIGTERM, SIGUSR1, or a file system of a few megabytes that fills up; and so is the
instant: a number of milliseconds after the start, after the first row, while a checkpoint is written or just after, in
the evaluation, and while the outputs are written. Between attempts Snakemake's habits are played: declared outputs are
deleted. The oracle is the same cell undisturbed: metrics have to be the same bytes of Parquet, the holdout the same
numbers, and the record has to tell of as many attempts as began. Jobs are forked from one process that has paid for the
imports (tests/job_server.py), so that a kill is a second.
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import machine
import numpy as np

from plmscale.sequences.store import Store, build_store
from plmscale.sets.subsets import write_ids
from plmscale.training.attempts import read_events

ROOT = Path(__file__).parents[1]
ROOM = 3
"""Megabytes of the file system of a cell; a checkpoint has 0.33."""
SIZE = {"name": "tiny", "n_layers": 2, "d_model": 32, "d_ffn": 128, "n_heads": 2, "learning_rate": 3e-3}
CELL = {"model": SIZE, "subset": "s", "schedule": "token_decay", "seed": 0, "max_length": 64}
TRAINING = {"batch_tokens": 500, "log_every_steps": 1, "decay_tokens": 20}
DISK_FULL = "disk full"
EVENTS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGUSR1", DISK_FULL)
MOMENTS = ("starting", "training", "writing", "written", "evaluating", "finishing")
OUTPUTS = ("run.json", "metrics.parquet")
ENGINES = ("torch", "deepspeed")


class Server:
    """Jobs forked from one process."""

    def __init__(self) -> None:
        words = [sys.executable, str(ROOT / "tests/job_server.py"), "training"]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        assert self._process.stdout and self._process.stdout.readline() == "ready\n"

    def begin(self, arguments: list[str], log: Path) -> int:
        """Start a job; its process id."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"arguments": arguments, "log": str(log)}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> int:
        """Wait for the job; its status."""
        assert self._process.stdout
        return int(self._process.stdout.readline())


def make_data(folder: Path) -> list[str]:
    """Store, training set and holdout; the options that name them."""
    build_store(ROOT / "resources/example/swissprot_20k.fasta.gz", folder / "store")
    lengths = np.minimum(Store.open(folder / "store").lengths, 62) + 2
    n = int(np.searchsorted(np.cumsum(lengths), 40 * TRAINING["batch_tokens"]))
    write_ids(folder / "subset.npy", np.arange(n))
    write_ids(folder / "holdout.npy", np.arange(n, n + 200))
    names = {"store": "store", "subset": "subset.npy", "holdout": "holdout.npy"}
    return [word for name, file in names.items() for word in (f"--{name}", str(folder / file))]


def options(out: Path, data: list[str], engine: str) -> list[str]:
    """The arguments of a job of the cell in a folder."""
    (out / "cell.json").write_text(json.dumps(CELL | {"training": TRAINING}))
    files = {"cell": "cell.json", "metrics": "metrics.parquet", "record": "run.json", "checkpoints": "checkpoints"}
    words = [word for name, file in files.items() for word in (f"--{name}", str(out / file))]
    words += ["--engine", engine, "--checkpoint-tokens", "1500", "--micro-batch-tokens", "100", "--monitors", "none"]
    # Kills of the machine are failures of the cell to it; here a hundred may come one after the other.
    words += ["--max-attempts", "1000"]
    return [*words, *data]


def alive(pid: int) -> bool:
    """Whether a process has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def inodes(out: Path, pattern: str) -> set[int]:
    """Of what there is of a pattern, which the job deletes at the same time, its folder too."""
    found = set()
    with contextlib.suppress(OSError):
        for path in out.glob(pattern):
            with contextlib.suppress(OSError):
                found.add(path.stat().st_ino)
    return found


def wait(pid: int, condition: Callable[[], object]) -> None:
    """Until it holds, or the process has ended."""
    while alive(pid) and not condition():
        time.sleep(0.0003)


def await_moment(pid: int, out: Path, moment: str, rng: random.Random) -> None:
    """Wait for an instant of a kind."""
    before, began = inodes(out, "checkpoints/step*"), time.time()

    def new_row() -> bool:
        with contextlib.suppress(FileNotFoundError):
            return (out / "metrics.jsonl").stat().st_mtime > began
        return False

    conditions: dict[str, Callable[[], object]] = {
        "starting": lambda: True,
        "training": new_row,
        "writing": lambda: inodes(out, "checkpoints/partial-step*"),
        "written": lambda: inodes(out, "checkpoints/step*") - before,
        "evaluating": lambda: (out / "checkpoints/step40").exists(),
        "finishing": lambda: (out / "finished.json").exists() or inodes(out, ".finished.partial-*"),
    }
    wait(pid, conditions[moment])
    time.sleep(rng.uniform(0.0, {"starting": 0.3, "training": 0.1, "evaluating": 0.1}.get(moment, 0.005)))


def fill(out: Path, rng: random.Random) -> Path:
    """Leave little room, or none, on the file system of a cell, which the job goes on writing to."""
    free = os.statvfs(out).f_bavail * os.statvfs(out).f_frsize
    filler = out / ".filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:  # the job was quicker: it is full
        file.write(bytes(max(0, free - rng.choice([0, 20_000, 150_000, 400_000]))))
    return filler


def disturb(
    server: Server, out: Path, arguments: list[str], rng: random.Random, *, events: Sequence[str]
) -> tuple[str, int]:
    """One attempt with something that happens to it: what and when, and the status."""
    trained = (out / "finished.json").exists()  # what is left to be done is to take the result over
    event, moment = rng.choice(events), rng.choice(("starting", "finishing") if trained else MOMENTS)
    pid = server.begin(arguments, out / "log")
    await_moment(pid, out, moment, rng)
    if event == DISK_FULL:
        filler = fill(out, rng)
        status = server.end()
        filler.unlink(missing_ok=True)
    else:
        if alive(pid):
            os.kill(pid, signal.Signals[event])
        status = server.end()
    if rng.random() < 0.7:  # Snakemake deletes the outputs of what it takes for failed, and before it runs a job
        for name in OUTPUTS:
            (out / name).unlink(missing_ok=True)
    return f"{event}, {moment}", status


def difference(out: Path, expected: Path, began: int) -> str:
    """In what a cell is not the one that was trained undisturbed; empty if it is the same."""
    record, wanted = (json.loads((each / "run.json").read_text()) for each in (out, expected))
    if (out / "metrics.parquet").read_bytes() != (expected / "metrics.parquet").read_bytes():
        return "metrics"
    if record["holdout"] != wanted["holdout"] or record["status"] != "done":
        return "holdout"
    attempts = record["attempts"]
    if attempts[-1]["reason"] != "finished" or len(attempts) > began:
        return "attempts"
    if any(after["from_step"] > before["to_step"] for before, after in zip(attempts, attempts[1:], strict=False)):
        return "steps of attempts"
    left = {path.name for path in out.iterdir()} - {"log", "cell.json", "finished.json", "model.safetensors", *OUTPUTS}
    return f"left over: {sorted(left)}" if left else ""


def campaign(server: Server, folder: Path, *, n: int, seed: int, seconds: float) -> tuple[Counter, list[str], int]:
    """Disturb cells until `n` attempts were ended by it, or the time is over.

    Returns the attempts by event and moment and by what it did, in what cells differed, and how many cells there were.
    """
    end, number = time.monotonic() + seconds, 0
    data, rng, counts, wrong = make_data(folder), random.Random(seed), Counter(), []
    expected = {}
    for engine in ENGINES:
        expected[engine] = folder / f"expected-{engine}"
        expected[engine].mkdir()
        server.begin(options(expected[engine], data, engine), expected[engine] / "log")
        if server.end():
            sys.exit((expected[engine] / "log").read_text())
    done = 0
    for number in itertools.count():
        if done >= n or time.monotonic() > end:
            return counts, wrong, number
        engine, out = ENGINES[number % 2 if number % 8 == 7 else 0], folder / f"cell{number}"
        out.mkdir()
        mounted = not subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}m", "none", out]).returncode
        # Without a file system of its own a cell must not fill the machine's.
        events = EVENTS if mounted else [event for event in EVENTS if event != DISK_FULL]
        arguments, began = options(out, data, engine), 0
        try:
            for _ in range(rng.randint(3, 12)):
                what, status = disturb(server, out, arguments, rng, events=events)
                began, done = began + 1, done + (status != 0)
                counts[what, "ended well" if status == 0 else "hit"] += 1
            server.begin(arguments, out / "log")
            if server.end():
                wrong.append(f"cell {number} ({engine}) failed: {(out / 'log').read_text().splitlines()[-1]}")
            elif told := difference(out, expected[engine], began + 1):
                wrong.append(f"cell {number} ({engine}): {told}; {len(read_events(out / 'attempts.jsonl'))} events")
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", out], check=True)
            shutil.rmtree(out)
    raise AssertionError  # the loop has no end


def one_of_several(n: int, seed: int, seconds: float) -> tuple[Counter, list[str], int]:
    """A campaign in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return campaign(Server(), Path(folder), n=n, seed=seed, seconds=seconds)


def campaigns(n: int, *, seed: int, seconds: float, processes: int) -> tuple[Counter, list[str], int]:
    """Several at a time, each with a seed and a share of the attempts of its own; what they found together."""
    shares = [n // processes + (i < n % processes) for i in range(processes)]
    seeds = range(seed, seed + processes)
    with ProcessPoolExecutor(processes) as pool:
        found = list(pool.map(one_of_several, shares, seeds, [seconds] * processes))
    wrong = [f"seed {one}, {each}" for one, (_, own, _) in zip(seeds, found, strict=True) for each in own]
    return sum((counts for counts, _, _ in found), Counter()), wrong, sum(cells for _, _, cells in found)


def written(facts: dict[str, str], counts: Counter, wrong: list[str], *, cells: int, wanted: int, command: str) -> str:
    """The campaign as a page."""
    rows = []
    for what in sorted({what for what, _ in counts}):
        rows.append({"event and moment": what, "ended the attempt": str(counts[what, "hit"])})
        rows[-1]["attempt ended well"] = str(counts[what, "ended well"])
    columns = ("ended the attempt", "attempt ended well")
    rows.append({"event and moment": "all"} | {name: str(sum(int(row[name]) for row in rows)) for name in columns})
    text = f"# Kills\n\n`{command}`\n\n" + "".join(f"- {name}: {value}\n" for name, value in facts.items())
    if not any(what.startswith(DISK_FULL) for what, _ in counts):
        text += "\nNo file system could be mounted for a cell: disks that fill up were not tried.\n"
    if (ended := int(rows[-1][columns[0]])) < wanted:
        text += f"\nThe time was over after {ended} of {wanted} attempts that were to be ended.\n"
    text += f"\n{machine.markdown(rows)}\nCells: {cells}. Cells that differ from the undisturbed one: {len(wrong)}.\n"
    return text + "".join(f"\n- {each}" for each in wrong)


def main() -> int:
    """Run the campaign, and write its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="attempts that are to be ended")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop before, with what was done in this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1, help="campaigns at a time, with a seed each")
    parser.add_argument("--out", type=Path, help="file for the table; without one it is printed alone")
    args = parser.parse_args()
    facts = machine.facts("torch", "deepspeed")
    share = {"seed": args.seed, "seconds": 60 * args.minutes, "processes": args.processes}
    counts, wrong, cells = campaigns(args.kills, **share)
    command = f"python benchmarks/kills.py --kills {args.kills} --seed {args.seed}"
    command += f" --processes {args.processes}" if args.processes > 1 else ""
    command += f" --minutes {args.minutes:g}" if math.isfinite(args.minutes) else ""
    text = written(facts, counts, wrong, cells=cells, wanted=args.kills, command=command)
    print(text)
    if args.out:
        args.out.write_text(text)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
