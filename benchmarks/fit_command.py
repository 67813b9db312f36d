"""Processor time of `plmscale fit` until its answer is printed, and of the whole process, beside an older commit.

    python benchmarks/fit_command.py --before TREE > benchmarks/results/fit_command.md

Tables of 20, 60 and 200 runs of a known law with 1 % noise (80 evaluations each), fitted with one law and with all, 200
resamples. Every figure is user and system time of one process from its start, imports included, with one thread; that
of the answer is read when its last line arrives (resolution: a clock tick, 10 ms). Both trees take turns, medians of
`--repeats`. TREE is a checkout of the older commit; its program prints nothing before it has written everything. The
time with figures is measured with `--drawn` only: it is nearly all matplotlib's, and as long as before.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from machine import facts, markdown

HERE = Path(__file__).resolve().parents[1]
GRIDS = {20: (5, 4), 60: (10, 6), 200: (20, 10)}
"""Sizes and lengths by number of runs."""
LAWS: dict[str, tuple[str, ...]] = {"chinchilla": ("--fits", "chinchilla"), "all": ()}
ENDS = ("Being written to", "Written to")
"""Beginnings of the line that follows the answer: of this program, and of one that prints it last."""


class Spent(NamedTuple):
    """Processor seconds until the answer, and of the whole process."""

    answer: float
    whole: float


def table(n_runs: int, path: Path) -> None:
    """Runs of L = 2 + 20 / N^0.30 + 60 / D^0.35 with Gaussian noise."""
    n_sizes, n_lengths = GRIDS[n_runs]
    rng, frames = np.random.default_rng(0), []
    for size in np.geomspace(3e4, 2e6, n_sizes).round():
        for last in np.geomspace(1e6, 1e8, n_lengths).round():
            tokens = np.unique(np.geomspace(2e3, last, 80).round())
            loss = 2 + 20 * size**-0.30 + 60 * tokens**-0.35 + rng.normal(0, 0.01, tokens.size)
            columns = {"n_params": int(size), "n_tokens": tokens, "flops": 6 * size * tokens, "loss": loss}
            frames.append(pd.DataFrame({"run": f"{size:g}/{last:g}"} | columns))
    pd.concat(frames).to_csv(path, index=False)


def processor_time(pid: int) -> float:
    """User and system seconds of a running process and of the children that it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def measured(tree: Path, arguments: Sequence[str]) -> Spent:
    """One run of the program of a tree."""
    program = ["plmscale", "fit"] if (tree / "src/plmscale/cli/main.py").is_file() else ["plmscale.fit"]
    command = [sys.executable, "-W", "ignore", "-m", *program, *arguments]
    environment = os.environ | {"PYTHONPATH": str(tree / "src")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = float("nan")
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(ENDS) and np.isnan(answer):
                answer = processor_time(process.pid)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(answer, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def row(n_runs: int, laws: str, *, options: argparse.Namespace, folder: Path) -> dict[str, str]:
    """One line of the table; the sides take turns."""
    path = folder / f"runs{n_runs}.csv"
    if not path.exists():
        table(n_runs, path)
    arguments = [str(path), *LAWS[laws], "--out"]
    old: list[float] = []
    without: list[Spent] = []
    drawn: list[Spent] = []
    for _ in range(options.repeats):
        if options.before is not None:
            old.append(measured(options.before, [*arguments, str(folder / "before")]).answer)
        without.append(measured(HERE, [*arguments, str(folder / "ours"), "--no-figures"]))
        if options.drawn:
            drawn.append(measured(HERE, [*arguments, str(folder / "ours")]))
    answer = statistics.median(one.answer for one in (*without, *drawn))
    found = {"runs": str(n_runs), "laws": laws}
    if old:
        found["before, answer (s)"] = f"{statistics.median(old):.2f}"
    found |= {
        "answer (s)": f"{answer:.2f}",
        "all of it, no figures (s)": f"{statistics.median(one.whole for one in without):.2f}",
    }
    if drawn:
        found["all of it (s)"] = f"{statistics.median(one.whole for one in drawn):.2f}"
    print(found, file=sys.stderr, flush=True)
    return found | ({"ratio of answers": f"{statistics.median(old) / answer:.1f}"} if old else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="checkout of an older commit")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runs", type=int, nargs="+", choices=GRIDS, default=list(GRIDS))
    parser.add_argument("--drawn", action="store_true", help="measure the whole process with its figures too")
    options = parser.parse_args()
    described = facts("numpy", "pandas", "scipy", "matplotlib")
    with tempfile.TemporaryDirectory() as folder:
        rows = [row(n, laws, options=options, folder=Path(folder)) for n in options.runs for laws in LAWS]
    described["load at end"] = f"{os.getloadavg()[0]:.1f}"
    print("# Processor time of a fit of anybody's runs\n")
    print("; ".join(f"{key} {value}" for key, value in described.items()) + f"; medians of {options.repeats}.\n")
    print(markdown(rows), end="")


if __name__ == "__main__":
    main()
