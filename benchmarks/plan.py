"""What a plan of a large grid costs: `snakemake plan` for grids of several sizes, with and without a budget.

    python benchmarks/plan.py --out benchmarks/results/plan.md

The other side is Snakemake alone: the same command on a workflow of one rule that copies the configuration. What is
left is reading the tables, allocating every cell, choosing the cells of a budget, tables and figure. Processor time of
all processes, the median of three; the wall beside it.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import yaml

from plmscale.study.config import ModelSize

ROOT = Path(__file__).parents[1]
ALONE = 'rule plan:\n    output: "plan.yaml"\n    shell: "cp config.yaml {output}"\n'
GRIDS = ((5, 4, 1), (10, 10, 5), (20, 10, 5))
"""Sizes × sets × seeds; every size has a cosine and a constant schedule but the first, which has one."""


def write_grid(folder: Path, *, sizes: int, sets: int, seeds: int) -> int:
    """Tables and configuration of a grid; returns its number of cells."""
    fields = [name for name in ModelSize.model_fields if name != "schedules"]
    lines = ["\t".join([*fields, "schedules"])]
    for n in range(sizes):
        width = 16 * (4 + 2 * n)
        row = ModelSize(
            name=f"w{width}", n_layers=6 + n, d_model=width, d_ffn=4 * width, n_heads=width // 16, learning_rate=1e-3,
            schedules=["constant"],
        )  # fmt: skip
        values = row.model_dump()
        schedules = "constant" if n == 0 else "constant,cosine"
        lines.append("\t".join([*(str(values[name]) for name in fields), schedules]))
    (folder / "models.tsv").write_text("\n".join(lines) + "\n")
    lines = ["name\tkind\tmin_identity\tsame_size_as\tn_sequences\ttrain"]
    lines += [f"s{k}\tsample\t\t\t{1_000_000 * 2**k // 8}\tyes" for k in range(sets)]
    (folder / "subsets.tsv").write_text("\n".join(lines) + "\n")
    config = {"source": "none.fasta", "models": "models.tsv", "subsets": "subsets.tsv", "seeds": list(range(seeds))}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "Alone.smk").write_text(ALONE)
    return (2 * sizes - 1) * sets * seeds


def timed(folder: Path, *words: str) -> tuple[float, float]:
    """Processor and wall seconds of a command of Snakemake in a folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "plan", "--cores", "1", "--quiet", "all", "--forceall", *words]
    done = subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - start


def median_of(folder: Path, *words: str, repeats: int) -> tuple[float, float]:
    """The median processor and wall seconds."""
    found = [timed(folder, *words) for _ in range(repeats)]
    return statistics.median(cpu for cpu, _ in found), statistics.median(wall for _, wall in found)


def report(repeats: int) -> str:
    """Measure every grid, and write it up."""
    rows = []
    for sizes, sets, seeds in GRIDS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            cells = write_grid(folder, sizes=sizes, sets=sets, seeds=seeds)
            ours = ("--snakefile", str(ROOT / "Snakefile"), "--configfile", "config.yaml")
            alone = median_of(folder, "--snakefile", "Alone.smk", repeats=repeats)
            plan = median_of(folder, *ours, repeats=repeats)
            with (folder / "results/plan/cells.tsv").open() as table:
                hours = _sum(table.read().splitlines(), "device_hours")
            budget = ("--config", f"budget_gpu_hours={hours / 4:.6g}")
            cut = median_of(folder, *ours, *budget, repeats=repeats)
        row = {"cells": f"{cells:,}"}
        for name, (cpu, wall) in (("Snakemake alone", alone), ("plan", plan), ("a quarter of the budget", cut)):
            row |= {f"{name}, CPU s": f"{cpu:.1f}", f"{name}, wall s": f"{wall:.1f}"}
        rows.append(row | {"plan ÷ Snakemake alone, CPU": f"{plan[0] / alone[0]:.1f}"})
    facts = machine.facts("snakemake", "numpy", "matplotlib")
    lines = ["# The plan", "\n".join(f"- {key}: {value}" for key, value in facts.items()), machine.markdown(rows)]
    return "\n\n".join(lines)


def _sum(lines: list[str], column: str) -> float:
    place = lines[0].split("\t").index(column)
    return sum(float(line.split("\t")[place]) for line in lines[1:])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="markdown file; else printed")
    args = parser.parse_args()
    text = report(args.repeats)
    args.out.write_text(text) if args.out else print(text)


if __name__ == "__main__":
    main()
