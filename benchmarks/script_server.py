"""The analysis of a study with its scripts forked from a server, and each in a new Python.

    python benchmarks/script_server.py --out benchmarks/results/script_server.md

Both sides make the fits, tables and summary of `studies/swissprot` from its records, on one core, in turn. The one is
`plmscale reproduce --study` as it is; in the other no script finds a server. Processor time of all processes, and the
wall beside it.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import machine

ROOT = Path(__file__).parents[1]
SIDES = {"forked": "", "each in a new Python": "fork_server.fork_servers = lambda **_: nullcontext({})\n"}
COMMAND = """
import sys
from contextlib import nullcontext
from plmscale.cli.in_jobs import fork_server
{change}
from plmscale.cli.main import main
sys.exit(main(["reproduce", "--study", {study!r}, "--cores", "1"]))
"""


def measured(change: str) -> tuple[float, float]:
    """Processor time and wall of an analysis, in seconds."""
    code = COMMAND.format(change=change, study=str(ROOT / "studies/swissprot"))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if "files compared" not in done.stdout:
        sys.exit(done.stdout + done.stderr)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Print both sides and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    stated = machine.facts("snakemake", "numpy", "scipy", "pandas")
    found = {name: [] for name in SIDES}
    for _ in range(args.repeats):
        for name, change in SIDES.items():
            found[name].append(measured(change))
    seconds = {name: [median(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    rows = [
        {"scripts": name, "processor time (s)": f"{own:.1f}", "wall (s)": f"{wall:.1f}"}
        for name, (own, wall) in seconds.items()
    ]
    forked, alone = seconds.values()
    ratios = {"processor time (s)": f"{alone[0] / forked[0]:.2f}", "wall (s)": f"{alone[1] / forked[1]:.2f}"}
    machine.write_page([*rows, {"scripts": "ratio", **ratios}], stated, args.out)


if __name__ == "__main__":
    main()
