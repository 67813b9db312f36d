"""The data layer at the size of UniRef50: store, samples and batches.

    python benchmarks/data.py --out benchmarks/results/data.md

A synthetic file of `--sequences` records is made: lengths and residues drawn from those of a real file (`--like`),
headers as UniRef's. Every measurement is a process of its own, so its peak memory is its own; variants take turns,
`--repeats` times each, and medians count. The clock is processor time, user and system, children included; the wall
stands beside it. The peers do less than the store, which also hashes the source, keeps ids, makes keys, counts
letters, and looks for repeated ids; `same_output` is its reader writing what the peers write: tokens and offsets.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import machine
from data_steps import STEPS
from data_synthetic import write_synthetic

ROOT = Path(__file__).parents[1]
PEERS = ("biopython", "dnaio", "pyfastx")
N_UNIREF50 = 64_000_000


def measured(step: Callable[[Path, Path], object], source: Path, scratch: Path) -> dict[str, float]:
    """Processor seconds, wall seconds, and peak memory of this process so far."""
    usages = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    rss_before = _status("VmRSS")
    before, start = [resource.getrusage(u) for u in usages], time.perf_counter()
    result = step(source, scratch)
    wall, after = time.perf_counter() - start, [resource.getrusage(u) for u in usages]
    cpu = sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(before, after, strict=True))
    found = {"cpu": cpu, "wall": wall, "rss": _status("VmHWM"), "rss_before": rss_before}
    return found | (result if isinstance(result, dict) else {})


def _status(key: str) -> float:
    """Memory of this process in MB. The peak of getrusage would not do: a child begins with its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))


def in_process(step: str, source: Path, folder: Path) -> dict[str, float]:
    """Measure a step in a process of its own."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [sys.executable, __file__, "--step", step, "--source", str(source), "--scratch", scratch]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: step {step} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def medians(steps: tuple[str, ...], source: Path, folder: Path, *, repeats: int) -> dict[str, dict[str, float]]:
    """Each step `repeats` times, taking turns; the median of every number."""
    runs: dict[str, list[dict[str, float]]] = {step: [] for step in steps}
    for _ in range(repeats):
        for step in steps:
            runs[step].append(in_process(step, source, folder))
            print(step, runs[step][-1], file=sys.stderr, flush=True)
    return {step: {key: statistics.median(r[key] for r in found) for key in found[0]} for step, found in runs.items()}


def store_table(found: dict[str, dict[str, float]], n_bytes: int) -> str:
    """Time of each way to read the file, and its ratio to the store's."""
    ours, same = found["store"], found["same_output"]
    rows = [
        {
            "variant": step,
            "CPU s": f"{one['cpu']:.2f}",
            "MB of text per CPU s": f"{n_bytes / one['cpu'] / 1e6:.0f}",
            "CPU, times the store's": f"{one['cpu'] / ours['cpu']:.2f}",
            "CPU, times same_output's": f"{one['cpu'] / same['cpu']:.2f}",
            "wall s": f"{one['wall']:.2f}",
            "wall, times the store's": f"{one['wall'] / ours['wall']:.2f}",
            "wall, times same_output's": f"{one['wall'] / same['wall']:.2f}",
            "peak MB": f"{one['rss']:.0f}",
        }
        for step, one in found.items()
    ]
    return machine.markdown(rows)


def large_row(one: dict[str, float]) -> dict[str, str]:
    """Time, memory and outcome of a step on 64 million."""
    shown = {"CPU s": f"{one['cpu']:.2f}", "wall s": f"{one['wall']:.2f}", "input MB": f"{one['rss_before']:.0f}"}
    padding = f"{one['padding']:.2%}" if "padding" in one else ""
    return shown | {"peak MB": f"{one['rss']:.0f}", "padding": padding}


def report(args: argparse.Namespace, folder: Path) -> str:
    """Make the file, measure everything, and write it up."""
    source, twentieth = folder / "synthetic.fasta.gz", folder / "twentieth.fasta.gz"
    n_bytes = write_synthetic(source, like=args.like, n=args.sequences)
    write_synthetic(twentieth, like=args.like, n=args.sequences // 20)
    in_process("store", twentieth, folder)  # compiles
    found = medians(("store", "same_output", "inflate", *PEERS), source, folder, repeats=args.repeats)
    small = in_process("store", twentieth, folder)
    large = medians(("sample", "plan_bucketed", "plan_sorted"), source, folder, repeats=args.repeats)
    cpu, wall = (found["store"][key] * N_UNIREF50 / args.sequences / 60 for key in ("cpu", "wall"))
    facts = machine.facts("numpy", "numba", "isal", "biopython", "dnaio", "pyfastx")
    lines = [
        "# The data layer",
        f"`python benchmarks/data.py --sequences {args.sequences} --repeats {args.repeats}`",
        "\n".join(f"- {key}: {value}" for key, value in facts.items()),
        f"## FASTA.gz to store: {args.sequences:,} records, {n_bytes / 1e6:.0f} MB of text, "
        f"{source.stat().st_size / 1e6:.0f} MB compressed",
        store_table(found, n_bytes),
        f"Before the clock starts the store loads its compiled code: {found['store']['loaded']:.2f} s of processor "
        "time, whatever the source.",
        "Inflating and the checksum of the source alone take "
        f"{found['inflate']['cpu'] / found['store']['cpu']:.0%} of the store's processor time: nothing that uses this "
        "decoder and checksum can be faster than that share.",
        f"Peak memory: {small['rss']:.0f} MB for {args.sequences // 20:,} sequences, {found['store']['rss']:.0f} MB "
        f"for {args.sequences:,}, 20 times as many.",
        f"64 million sequences by proportion: {found['store']['cpu']:.2f} s × {N_UNIREF50:,} / {args.sequences:,} = "
        f"{cpu:.1f} CPU-minutes ({wall:.1f} minutes of wall at this load).",
        "## 64 million sequences, lengths and keys made up",
        machine.markdown([{"what": name, **large_row(one)} for name, one in large.items()]),
    ]
    return "\n\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", type=Path, default=ROOT / "resources/example/swissprot_20k.fasta.gz")
    parser.add_argument("--sequences", type=int, default=2_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="markdown file; else printed")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps(measured(STEPS[args.step](), args.source, args.scratch)))
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        text = report(args, Path(folder))
    args.out.write_text(text) if args.out else print(text)


if __name__ == "__main__":
    main()
