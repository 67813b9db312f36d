"""Training throughput of the encoder against fair-esm's ESM2 and Hugging Face's EsmForMaskedLM (sdpa).

    python benchmarks/train.py --sizes 5M 35M --out benchmarks/results/train.md

All variants train the same batches from the same weights with the same optimizer, turn by turn in one process. Their
losses before the first step are compared first. A ratio is the peer's sum over batches of its median time per batch,
divided by ours. On a CPU the clock is the processor time of the process, with one thread unless --threads says
otherwise; on a GPU it is the wall, with the device synchronised. Every CPU run is made twice: with the allocator as it
is, and with glibc told to keep large blocks, which spares a peer's large temporaries their page faults.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pandas as pd
import torch
from engines import overhead
from peers import PEERS, Peer, optimizer_of
from train_tables import engines_table, speeds_table

from plmscale.sets.batches import GlobalBatch, MicroBatch
from plmscale.study.config import ModelSize, Training
from plmscale.study.flops import train_flops

ROOT = Path(__file__).parents[1]
TUNABLES = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=8589934592"
"""Blocks of up to 4 GiB stay with the process when they are freed."""


@dataclass(frozen=True)
class Clock:
    """Seconds of a function: processor time on a CPU, synchronised wall time on a GPU."""

    device: torch.device

    def __call__(self, function: Callable[[], object]) -> float:
        if self.device.type == "cpu":
            start = time.process_time()
            function()
            return time.process_time() - start
        torch.cuda.synchronize()
        start = time.perf_counter()
        function()
        torch.cuda.synchronize()
        return time.perf_counter() - start


def batches(order: str, *, budget: int, n: int) -> list[GlobalBatch]:
    """`n` batches of real proteins whose padded size is at most `budget` positions.

    sorted: neighbours in the order of length, at the middle of `n` equal parts of the tokens. random: any proteins.
    """
    from plmscale.sequences.store import Store, build_store
    from plmscale.sets.batches import Batches

    with tempfile.TemporaryDirectory() as folder:
        build_store(ROOT / "resources/example/swissprot_20k.fasta.gz", folder)
        store = Store.open(folder)
        lengths = np.minimum(store.lengths, 1022) + 2
        rng = np.random.default_rng(0)
        order_of = rng.permutation(lengths.size)
        if order == "sorted":
            order_of = order_of[np.argsort(lengths[order_of], kind="stable")]
        ends = np.cumsum(lengths[order_of])
        starts = np.searchsorted(ends, (np.arange(n) + 0.5) * ends[-1] / n)
        training = Training(batch_tokens=2**40)
        found = []
        for start in starts:
            longest = np.maximum.accumulate(lengths[order_of[start:]])
            many = max(1, int(np.searchsorted(longest * np.arange(1, longest.size + 1), budget, side="right")))
            ids = np.sort(order_of[start : start + many])
            found.append(Batches(store, ids, training=training, max_length=1024, seed=0).batch(0))
        return found


def matrix_rate(size: ModelSize, n_tokens: int, clock: Clock, dtype: torch.dtype) -> float:
    """FLOP/s of the feed-forward net's three products (forward, weight gradient, input gradient), best of 5."""
    x, w = (
        torch.randn(shape, device=clock.device, dtype=dtype)
        for shape in ((n_tokens, size.d_model), (size.d_ffn, size.d_model))
    )
    y = x @ w.T
    repeats = max(1, int(2e10 / (6 * n_tokens * size.d_model * size.d_ffn)))

    def products() -> None:
        for _ in range(repeats):
            torch.mm(x, w.T, out=y), torch.mm(y.T, x), torch.mm(y, w)

    products()
    return 6 * n_tokens * size.d_model * size.d_ffn * repeats / min(clock(products) for _ in range(5))


@dataclass(frozen=True)
class Setting:
    """What is measured: a size, an order of batches, and how."""

    size: ModelSize
    order: str
    budget: int
    n_batches: int
    rounds: int
    precision: str
    names: tuple[str, ...]


def measure(setting: Setting, clock: Clock) -> list[dict[str, Any]]:
    """One row per variant: tokens per second, ratio and utilisation."""
    found = batches(setting.order, budget=setting.budget, n=setting.n_batches)
    micros = [batch.micro_batches(1)[0] for batch in found]
    peers: dict[str, Peer] = {name: PEERS[name](setting.size, clock.device) for name in setting.names}
    losses = {name: first_loss(peer, micros[0], setting.precision) for name, peer in peers.items()}
    times, rate = turn_by_turn(peers, micros, setting=setting, clock=clock)
    lengths = np.concatenate([batch.lengths for batch in found])
    squares = float((lengths**2).sum())
    flops = train_flops(
        setting.size, float(lengths.sum()), convention="measured_lengths", max_length=1024, squared_lengths=squares
    )
    padding = 1 - lengths.sum() / sum(b.lengths.size * b.lengths.max() for b in found)
    median = {name: sum(statistics.median(t) for t in per_batch) for name, per_batch in times.items()}
    best = {name: sum(min(t) for t in per_batch) for name, per_batch in times.items()}
    return [
        {
            "size": setting.size.name,
            "batches": setting.order,
            "padding": float(padding),
            "variant": name,
            "loss": losses[name],
            "tokens_per_second": float(lengths.sum() / median[name]),
            "speed_of_plmscale": median[name] / median["plmscale"],
            "speed_of_plmscale_best": best[name] / best["plmscale"],
            "utilisation": float(flops / median[name] / rate),
            "matrix_gflops": rate / 1e9,
        }
        for name in setting.names
    ]


def turn_by_turn(
    peers: dict[str, Peer], micros: list[MicroBatch], *, setting: Setting, clock: Clock
) -> tuple[dict[str, list[list[float]]], float]:
    """Seconds of each variant's steps by batch and round, and the median rate of products in between, FLOP/s."""
    steps = {name: stepper(peer, setting, clock.device) for name, peer in peers.items()}
    prepared = {name: [peer.prepare(micro) for micro in micros] for name, peer in peers.items()}
    times: dict[str, list[list[float]]] = {name: [[] for _ in micros] for name in peers}
    dtype = torch.bfloat16 if setting.precision == "bf16" else torch.float32
    rates = []
    for round_ in range(setting.rounds + 1):  # the first warms up
        rates.append(matrix_rate(setting.size, setting.budget, clock, dtype))
        for i in range(len(micros)):
            for name, step in steps.items():
                seconds = clock(lambda step=step, name=name, i=i: step(prepared[name][i]))
                if round_:
                    times[name][i].append(seconds)
    return times, statistics.median(rates)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """bf16 matrix products, if asked for."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def first_loss(peer: Peer, micro: MicroBatch, precision: str) -> float:
    """Loss before any step: the same number for every variant, or the comparison is void."""
    device = next(peer.model.parameters()).device
    with torch.no_grad(), autocast(precision, device):
        return float(peer.loss(peer.prepare(micro)))


def stepper(peer: Peer, setting: Setting, device: torch.device) -> Callable[[object], None]:
    """A function that does one optimizer step."""
    peer.model.train()
    optimizer = optimizer_of(peer, setting.size)

    def step(batch: object) -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(setting.precision, device):
            loss = peer.loss(batch)
        loss.backward()
        optimizer.step()

    return step


def sizes(names: list[str]) -> list[ModelSize]:
    """Sizes of the paper by name."""
    table = pd.read_csv(ROOT / "config/models.tsv", sep="\t").set_index("name", drop=False)
    rows = [table.loc[name].to_dict() for name in names]
    return [ModelSize(**{**row, "schedules": row["schedules"].split(",")}) for row in rows]


def child(args: argparse.Namespace) -> None:
    """Measure in this process and print the rows as JSON."""
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    clock, rows, overheads = Clock(device), [], []
    for size in sizes(args.sizes):
        for order in args.orders:
            setting = Setting(size, order, args.budget, args.batches, args.rounds, args.precision, tuple(args.variants))
            rows += measure(setting, clock)
            print(json.dumps(rows[-len(args.variants) :]), file=sys.stderr)
        if args.engines:
            found = batches("random", budget=args.budget, n=2)
            overheads += overhead(size, found, clock, rounds=args.rounds, precision=args.precision)
    facts = machine.facts("torch", "fair-esm", "transformers", "deepspeed", "numpy")
    print(json.dumps({"facts": facts, "rows": rows, "engines": overheads}))


def report(results: list[dict[str, Any]], args: argparse.Namespace) -> str:
    """The results as a page of markdown."""
    clock = "processor time" if args.device == "cpu" else "wall time, synchronised"
    lines = [
        "# Training: tokens per second against fair-esm and transformers\n",
        f"`{shlex.join(['python', 'benchmarks/train.py', *sys.argv[1:]])}`\n",
        f"{args.precision}, {clock}, {args.threads} thread(s), batches of at most {args.budget} padded positions, "
        f"{args.batches} batches, {args.rounds} timed rounds. `x` is plmscale's speed over the variant's (medians; "
        "in brackets: best of the rounds). Utilisation: FLOPs of appendix E at the real lengths, padding not counted, "
        "the whole model credited, over the rate of the feed-forward net's products in the same run.\n",
    ]
    for result in results:
        facts = ", ".join(f"{k} {v}" for k, v in result["facts"].items() if k != "allocator")
        speeds, engines = speeds_table(result["rows"]), engines_table(result["engines"])
        lines += [f"## {result['facts']['allocator']}\n", f"{facts}.\n", machine.markdown(speeds)]
        if engines:
            lines += ["DeepSpeed's time per step over the torch engine's:\n", machine.markdown(engines)]
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["5M", "35M"])
    parser.add_argument("--orders", nargs="+", default=["sorted", "random"], choices=["sorted", "random"])
    parser.add_argument("--variants", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--budget", type=int, default=6144, help="padded positions of a batch")
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "tf32", "bf16"])
    parser.add_argument("--allocators", nargs="+", default=["default", "tuned"], choices=["default", "tuned"])
    parser.add_argument("--engines", action="store_true", help="also DeepSpeed's overhead over the torch engine")
    parser.add_argument("--out", type=Path, help="markdown page to write")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if "plmscale" not in args.variants:
        parser.error("ratios are to the variant plmscale: name it too")
    return args


def main() -> None:
    """Measure under each allocator, each in a process of its own, and print the page."""
    args = parse()
    if args.child:
        child(args)
        return
    results = []
    for allocator in args.allocators if args.device == "cpu" else ["default"]:
        env = os.environ | ({"GLIBC_TUNABLES": TUNABLES} if allocator == "tuned" else {})
        env |= {"OMP_NUM_THREADS": str(args.threads)}
        done = subprocess.run(
            [sys.executable, *sys.argv, "--child"], stdout=subprocess.PIPE, text=True, check=True, env=env
        )
        results.append(json.loads(done.stdout.splitlines()[-1]))
    page = report(results, args)
    print(page)
    if args.out:
        args.out.write_text(page)


if __name__ == "__main__":
    main()
