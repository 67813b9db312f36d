"""A whole source through the data layer: store, holdout, identity clusters, samples; the time of each step.

    python benchmarks/data_layer.py proteins.fasta.gz --folder scratch --out benchmarks/results/data_layer.md

The sets are those of the paper (all; clusters at 40, 30 and 20 %; samples of their sizes), made by the functions that
the workflow calls. Each step is a process of its own; its processor time includes MMseqs2's, its peak memory is that of
the larger of the two. With `--folder` a run that was stopped goes on: steps that ended are not run again, and a step
that was stopped goes on with what MMseqs2 finished; its times are those of its last attempt, whose number is shown.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

import machine

from plmscale.files import read_json
from plmscale.sequences.store import Store, build_store
from plmscale.sets.batch_plan import plan_batches
from plmscale.sets.datasets import SetFiles, make_holdout, make_subset
from plmscale.sets.holdout import choose_holdout_candidates
from plmscale.sets.mmseqs import mmseqs_version
from plmscale.sets.subsets import read_subset, write_ids
from plmscale.study.config import Clustering, Holdout, Subset

MAX_LENGTH = 1024
IDENTITIES = (0.4, 0.3, 0.2)


class Steps:
    """Runs steps one after the other, each in a fork, and keeps in `folder` what each took."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "steps.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        begun = [json.loads(line) for line in lines]
        self.rows: dict[str, dict[str, str]] = {row["step"]: row for row in begun if "CPU s" in row}
        self._attempts = Counter(row["step"] for row in begun if "CPU s" not in row)

    def __call__(self, name: str, step: Callable[[], object]) -> None:
        """Run a step, unless an earlier run ended it."""
        if name in self.rows:
            return
        self._attempts[name] += 1
        self._note({"step": name})
        start = time.perf_counter()
        if (child := os.fork()) == 0:
            _in_child(step)
        _, status, usage = os.wait4(child, 0)
        if status:
            sys.exit(f"error: step {name} failed")
        row = {"step": name, "attempt": str(self._attempts[name]), "CPU s": f"{usage.ru_utime + usage.ru_stime:.1f}"}
        row |= {"wall s": f"{time.perf_counter() - start:.1f}", "peak MB": f"{usage.ru_maxrss / 1024:.0f}"}
        self.rows[name] = row
        self._note(row)
        print(row, file=sys.stderr, flush=True)

    def _note(self, row: dict[str, str]) -> None:
        with self._path.open("a") as out:
            out.write(json.dumps(row) + "\n")


def _in_child(step: Callable[[], object]) -> NoReturn:
    try:
        step()
    except BaseException:  # a fork must not run on in its parent's code
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def run(args: argparse.Namespace, folder: Path) -> str:
    """All steps, and what they gave, as markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = Steps(folder)

    def files(name: str) -> SetFiles:
        paths = (folder / "candidates.npy", folder / f"{name}.npy", folder / f"{name}.json", folder / f"{name}.log")
        return SetFiles(folder / "store", *paths, folder / "scratch")

    def subset(name: str, **row: object) -> None:
        chosen = Subset.model_validate({"name": name, "n_sequences": 1, "train": True, **row})
        sizes = [folder / f"{chosen.same_size_as}.json"] if chosen.same_size_as else []
        method = "linclust" if chosen.min_identity in args.linclust else "cluster"
        how = Clustering(method=method, threads=args.threads) if chosen.kind == "cluster" else None
        options = {"clustering": how, "same_size_as": sizes, "max_length": MAX_LENGTH, "seed": 0}
        steps(name, lambda: make_subset(files(name), subset=chosen, **options))

    def candidates() -> None:
        chosen = choose_holdout_candidates(Store.open(folder / "store"), n=args.holdout, seed=0)
        write_ids(folder / "candidates.npy", chosen)

    steps("store", lambda: build_store(args.source, folder / "store"))
    steps("holdout candidates", candidates)
    holdout = Holdout(n_sequences=args.holdout)
    steps("holdout", lambda: make_holdout(files("holdout"), settings=holdout, max_length=1024, threads=args.threads))
    subset("all", kind="all")
    for identity in IDENTITIES:
        subset(f"cluster{identity * 100:.0f}", kind="cluster", min_identity=identity)
    for identity in IDENTITIES:
        subset(f"sampled{identity * 100:.0f}", kind="sample", same_size_as=f"cluster{identity * 100:.0f}")

    def batches() -> None:
        lengths = Store.open(folder / "store").input_lengths(read_subset(folder / "all.npy"), max_length=MAX_LENGTH)
        plan_batches(lengths, batch_tokens=50_000, order="bucketed", seed=0)

    steps("batches of all", batches)
    return _report(args, folder, list(steps.rows.values()))


def _report(args: argparse.Namespace, folder: Path, rows: list[dict[str, str]]) -> str:
    found = [read_json(path) for path in sorted(folder.glob("*.json"))]
    table = [
        {
            "set": one["name"],
            "sequences": f"{one['n_sequences']:,}",
            "tokens": f"{one['n_tokens']:,}",
            "mean length": f"{one['mean_length']:.1f}",
            "largest identity": str(one["provenance"].get("largest_identity", "")),
            "MMseqs2": one["provenance"].get("mmseqs_flags", ""),
        }
        for one in found
    ]
    facts = machine.facts("numpy", "numba", "isal") | {"MMseqs2": mmseqs_version(), "threads": str(args.threads)}
    parts = ["# A source through the data layer", "\n".join(f"- {key}: {value}" for key, value in facts.items())]
    return "\n\n".join([*parts, machine.markdown(rows), machine.markdown(table)]) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument(
        "--linclust",
        type=float,
        nargs="*",
        default=(),
        metavar="IDENTITY",
        help="levels that linclust makes, not cluster",
    )
    parser.add_argument("--holdout", type=int, default=8000, help="candidates")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep everything there, and go on with what is there")
    parser.add_argument("--out", type=Path, help="markdown file; else printed")
    args = parser.parse_args()
    with nullcontext(args.folder) if args.folder else tempfile.TemporaryDirectory() as folder:
        text = run(args, Path(folder))
    args.out.write_text(text) if args.out else print(text)


if __name__ == "__main__":
    main()
