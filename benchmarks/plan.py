"""What a plan of a large grid costs: `snakemake plan`, also with a budget, `plmscale plan` and `plmscale run -n`.

    python benchmarks/plan.py --out benchmarks/results/plan.md

The other side is Snakemake alone: `snakemake plan` on a workflow of one rule that copies the configuration, and a dry
run of two rules that do for as many cells what freezing and training do: same inputs and outputs, no resources, no look
at the study. What is left is reading the tables, allocating every cell, choosing the cells of a budget, tables and
figure, and the requests of all jobs. Processor time of all processes, the median of three; the wall beside it.
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
from plmscale.study.grid import grid
from plmscale.study.study import load_study

ROOT = Path(__file__).parents[1]
ALONE = 'rule plan:\n    output: "plan.yaml"\n    shell: "cp config.yaml {output}"\n'
CELLS_ALONE = """
RUN = "results/runs/{model}/{subset}/{schedule}/seed{seed}"
CELLS = [line.strip() for line in open("cells.txt")]
rule all:
    input: expand("results/runs/{cell}/run.json", cell=CELLS), expand("results/runs/{cell}/metrics.parquet", cell=CELLS)
rule store:
    output: [f"results/store/{name}" for name in ("tokens", "offsets", "keys", "ids", "stats")]
    shell: "touch {output}"
rule subset:
    output: "results/subsets/{subset}.npy"
    shell: "touch {output}"
rule freeze:
    output: cell=f"{RUN}/cell.json"
    localrule: True
    shell: "touch {output.cell:q}"
rule train:
    input:
        cell=rules.freeze.output.cell, store=rules.store.output, subset="results/subsets/{subset}.npy",
        holdout="results/subsets/holdout.npy",
    output: metrics=f"{RUN}/metrics.parquet", run=f"{RUN}/run.json"
    log: "results/logs/train/{model}/{subset}/{schedule}/seed{seed}.log"
    shell: "train {input.cell:q} {input.subset:q} {output.metrics:q} {output.run:q} 2> {log:q}"
"""
GRIDS = ((5, 4, 1), (10, 10, 5), (20, 10, 5), (25, 20, 5))
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
    (folder / "CellsAlone.smk").write_text(CELLS_ALONE)
    (folder / "none.fasta").touch()
    cells = [cell.path for cell in grid(load_study(config, base=folder))]
    (folder / "cells.txt").write_text("\n".join(cells) + "\n")
    return len(cells)


def timed(folder: Path, *command: str) -> tuple[float, float]:
    """Processor and wall seconds of a module of Python in a folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words = [sys.executable, "-m", *command]
    done = subprocess.run(words, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - start


def median_of(folder: Path, *words: str, repeats: int) -> tuple[float, float]:
    """The median processor and wall seconds."""
    found = [timed(folder, *words) for _ in range(repeats)]
    return statistics.median(cpu for cpu, _ in found), statistics.median(wall for _, wall in found)


def commands(folder: Path) -> dict[str, list[str]]:
    """What is measured."""
    plan = ["snakemake", "plan", "--cores", "1", "--quiet", "all", "--forceall"]
    dry = ["snakemake", "--cores", "1", "--dry-run"]
    study = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", "config.yaml"]
    found = {"Snakemake alone": [*plan, "--snakefile", "Alone.smk"], "snakemake plan": [*plan, *study]}
    found["plmscale plan"] = ["plmscale", "plan", "--configfile", "config.yaml"]
    found["Snakemake alone, -n"] = [*dry, "--snakefile", "CellsAlone.smk"]
    found["plmscale run -n"] = ["plmscale", "run", "-n", "--cores", "1", "--configfile", "config.yaml"]
    return found


def report(repeats: int, largest: int) -> str:
    """Measure every grid, and write it up."""
    rows = []
    facts = machine.facts("snakemake", "numpy", "matplotlib")
    for sizes, sets, seeds in GRIDS:
        if (2 * sizes - 1) * sets * seeds > largest:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            cells = write_grid(folder, sizes=sizes, sets=sets, seeds=seeds)
            found = {name: median_of(folder, *words, repeats=repeats) for name, words in commands(folder).items()}
            with (folder / "results/plan/cells.tsv").open() as table:
                hours = _sum(table.read().splitlines(), "device_hours")
            budget = ["--config", f"budget_gpu_hours={hours / 4:.6g}"]
            words = [*commands(folder)["snakemake plan"], *budget]
            found["a quarter of the budget"] = median_of(folder, *words, repeats=repeats)
        for name, (cpu, wall) in found.items():
            rows.append({"cells": f"{cells:,}", "command": name, "CPU s": f"{cpu:.1f}", "wall s": f"{wall:.1f}"})
    facts["repeats"] = str(repeats)
    lines = ["# The plan", "\n".join(f"- {key}: {value}" for key, value in facts.items()), machine.markdown(rows)]
    return "\n\n".join(lines)


def _sum(lines: list[str], column: str) -> float:
    place = lines[0].split("\t").index(column)
    return sum(float(line.split("\t")[place]) for line in lines[1:])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--largest", type=int, default=5000, help="leave out grids of more cells")
    parser.add_argument("--out", type=Path, help="markdown file; else printed")
    args = parser.parse_args()
    text = report(args.repeats, args.largest)
    args.out.write_text(text) if args.out else print(text)


if __name__ == "__main__":
    main()
