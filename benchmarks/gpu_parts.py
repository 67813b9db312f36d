"""The parts of `gpu.py`: each yields rows of text, so that what was found before a failure is kept."""

import re
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from engines import overhead

from plmscale.model.attention import PackedLayout, Rotation, attend
from plmscale.model.device_checks.kernels import HEADS, TOLERANCES, largest_difference
from plmscale.model.esm2 import ESM2
from plmscale.plan.allocation import Allocation, allocate
from plmscale.plan.hardware.device_types import DEVICE_TYPES
from plmscale.plan.memory import GIB
from plmscale.sequences.store import Store, build_store
from plmscale.sets.batches import Batches, GlobalBatch
from plmscale.study.config import Execution, Hardware, ModelSize, Training
from plmscale.study.flops import train_flops
from plmscale.study.grid import Cell
from plmscale.training.engine import EngineSettings, TorchEngine, joined_ranks, summed_loss
from plmscale.training.optimizer import make_optimizer

Row = dict[str, str]

ROOT = Path(__file__).parents[1]
NAMES = ("5M", "35M", "150M", "650M")
TOY = {"d_ffn": 64, "n_heads": 2, "learning_rate": 1e-4, "schedules": ["constant"]}
BATCH, TOY_BATCH = 50_000, 600
"""Tokens of a batch: the paper's, and those of a dry run."""

GRADIENT_TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2}
"""Largest difference of a gradient as a share of the largest value: rounding of 24 and 8 bits over four layers."""

STEPS = 3
"""Steps that are timed, after two."""


def _paper_sizes() -> list[ModelSize]:
    table = pd.read_csv(ROOT / "config/models.tsv", sep="\t").set_index("name", drop=False)
    rows = [table.loc[name].to_dict() for name in NAMES]
    return [ModelSize(**{**row, "schedules": row["schedules"].split(",")}) for row in rows]


SIZES = _paper_sizes()
TOY_SIZES = [ModelSize(name=f"toy{n}", n_layers=n, d_model=32, **TOY) for n in (1, 2)]


@cache
def global_batches(n: int, *, tokens: int, dry: bool) -> list[GlobalBatch]:
    """Batches of real proteins as training draws them; made-up short ones in a dry run, which compiles nothing."""
    if dry:
        rng = np.random.default_rng(0)
        found = []
        for _ in range(n):
            lengths = np.sort(rng.integers(20, 60, tokens // 40))
            originals = rng.integers(4, 24, int(lengths.sum())).astype(np.uint8)
            predicted = rng.random(originals.size) < 0.15
            found.append(GlobalBatch(originals, originals, lengths, predicted))
        return found
    with tempfile.TemporaryDirectory() as folder:
        build_store(ROOT / "resources/example/swissprot_20k.fasta.gz", folder)
        store = Store.open(folder)
        ids = np.arange(store.lengths.size)
        batches = Batches(store, ids, training=Training(batch_tokens=tokens), max_length=1024, seed=0)
        return [batches.batch(step) for step in range(n)]


def kernel_rows(device: torch.device, *, dry: bool) -> Iterator[Row]:
    """Largest difference from double precision, the kernel that was reached, and its time, by features of a head."""
    for precision, most in TOLERANCES.items():
        for head_dim in HEADS[:2] if dry else HEADS:
            off = largest_difference(head_dim, precision, device=device.type)
            kernel, milliseconds = _attention(head_dim, precision, device=device, n=4 if dry else 50)
            yield {
                "precision": precision,
                "features": str(head_dim),
                "difference": f"{off:.1e}",
                "at most": f"{most:.0e}",
                "kernel": kernel,
                "forward and backward, ms": f"{milliseconds:.2f}",
                "result": "ok" if off <= most else "WRONG",
            }


def _attention(head_dim: int, precision: str, *, device: torch.device, n: int) -> tuple[str, float]:
    """Operators of attention that ran on `n` sequences of mixed lengths with 20 heads, and milliseconds."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    lengths = torch.from_numpy(np.random.default_rng(0).integers(50, 1024 if n > 10 else 60, n))
    x = torch.randn(int(lengths.sum()), 3, 20, head_dim, device=device, dtype=dtype, requires_grad=True)
    layout = PackedLayout.of(lengths, None, device=device)
    inv_freq = 1 / 10000 ** (torch.arange(0, head_dim, 2, device=device) / head_dim)
    rotation = Rotation.at(layout.positions, inv_freq, longest=int(lengths.max()))

    def step() -> None:
        attend(None, x, rotation, layout).sum().backward()

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        step()
    names = {event.key for event in seen.key_averages() if re.search("attention|attn", event.key, re.I)}
    chosen = sorted(name for name in names if "backward" not in name.lower() and name.count("::") <= 1)
    return ", ".join(chosen) or "none", 1e3 * _seconds(step, device)


def _seconds(function, device: torch.device) -> float:
    """Shortest of three runs, the device synchronised."""
    times = []
    for _ in range(STEPS):
        _synchronise(device)
        began = time.perf_counter()
        function()
        _synchronise(device)
        times.append(time.perf_counter() - began)
    return min(times)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def exactness_rows(device: torch.device, *, dry: bool) -> Iterator[Row]:
    """Loss and gradients of an encoder on the device against fp32 on the CPU, from the same weights and batch."""
    torch.backends.cuda.matmul.allow_tf32 = False
    size = TOY_SIZES[1] if dry else SIZES[0]
    micro = global_batches(1, tokens=TOY_BATCH if dry else 3000, dry=dry)[0].micro_batches(1)[0]
    expected = _loss_and_gradients(size, micro, torch.device("cpu"), "fp32")
    for precision, most in GRADIENT_TOLERANCE.items():
        loss, gradients = _loss_and_gradients(size, micro, device, precision)
        off = float((gradients - expected[1]).abs().max() / expected[1].abs().max())
        yield {
            "size": size.name,
            "precision": precision,
            "loss": f"{loss:.6f}",
            "CPU, fp32": f"{expected[0]:.6f}",
            "gradients differ by": f"{off:.1e}",
            "at most": f"{most:.0e}",
            "result": "ok" if off <= most else "WRONG",
        }


def _loss_and_gradients(size: ModelSize, micro, device: torch.device, precision: str) -> tuple[float, torch.Tensor]:
    model = ESM2(size, seed=0).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        loss = summed_loss(model, micro, device) / micro.select.size
    loss.backward()
    return float(loss), torch.cat([p.grad.double().cpu().flatten() for p in model.parameters() if p.grad is not None])


def hardware_of(kind: str | None, device: torch.device) -> Hardware:
    """One device of this type, or of this memory."""
    if kind is not None:
        return Hardware(name=kind, devices_per_node=1, max_nodes=1)
    memory = torch.cuda.get_device_properties(device).total_memory / GIB if device.type == "cuda" else 8.0
    return Hardware(name="this", peak_flops=1e13, memory_gib=memory, devices_per_node=1, max_nodes=1)


def speed_rows(
    size: ModelSize, precision: str, *, device: torch.device, kind: str | None, goal: str, dry: bool
) -> Iterator[Row]:
    """Steps of the plain engine in the micro-batches of the plan: speed, share of the peak, and memory."""
    found = global_batches(2, tokens=TOY_BATCH if dry else BATCH, dry=dry)
    planned = _planned(size, precision, kind=kind, device=device, dry=dry)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = _step_seconds(size, precision, found, grad_accum=planned.grad_accum)
    lengths = np.concatenate([batch.lengths for batch in found])
    flops = train_flops(
        size,
        float(lengths.sum()),
        convention="measured_lengths",
        max_length=1024,
        squared_lengths=float((lengths**2).sum()),
    )
    yield {
        "size": size.name,
        "precision": precision,
        "micro-batches a step": str(planned.grad_accum),
        "tokens/s": f"{lengths.sum() / seconds:,.0f}",
        "TFLOP/s": f"{flops / seconds / 1e12:.2f}",
        "share of the peak": _share(flops / seconds, kind, precision),
        "goal": goal,
        **_memory(planned.memory.total, device),
    }


def _planned(size: ModelSize, precision: str, *, kind: str | None, device: torch.device, dry: bool) -> Allocation:
    """What the plan gives a cell of this size on one such device."""
    training = Training.model_validate({"batch_tokens": TOY_BATCH if dry else BATCH, "precision": precision})
    cell = Cell(size, "s", "constant", 0, training, 64 if dry else 1024)
    return allocate(cell, 10**9, hardware=hardware_of(kind, device), execution=Execution(engine="torch"))


def _memory(planned: float, device: torch.device) -> Row:
    """Peak memory since it was last asked to begin anew, against the plan's."""
    row = {"planned, GiB": f"{planned / GIB:.3g}"}
    if device.type == "cpu":
        return row | {"peak, GiB": "not measured: a CPU", "memory": ""}
    used = torch.cuda.max_memory_allocated()
    return row | {"peak, GiB": f"{used / GIB:.3g}", "memory": "ok" if used <= planned else "ABOVE THE PLAN"}


def _step_seconds(size: ModelSize, precision: str, found: list[GlobalBatch], *, grad_accum: int) -> float:
    """Seconds of one step on each batch."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    with joined_ranks() as ranks:
        model = ESM2(size, seed=0)
        settings = EngineSettings(grad_accum, precision, 0.0, 0)
        optimizer = make_optimizer(model.to(ranks.device), Training().optimizer, size.learning_rate)
        engine = TorchEngine(model, optimizer, ranks=ranks, settings=settings)

        def steps() -> None:
            for batch in found:
                micros = batch.micro_batches(grad_accum)
                engine.step(micros, n_predicted=batch.n_predicted, learning_rate=size.learning_rate)

        steps()
        return _seconds(steps, ranks.device)


def _share(rate: float, kind: str | None, precision: str) -> str:
    if kind is None:
        return "not measured: the type of the device is not known"
    peak = getattr(DEVICE_TYPES[kind], precision)
    return f"{rate / peak / 1e12:.1%}" if peak else "not measured: no peak in this precision"


def deepspeed_rows(size: ModelSize, device: torch.device, *, dry: bool) -> Iterator[Row]:
    """DeepSpeed's step over the plain engine's, and whether their losses agree."""
    found = global_batches(1, tokens=TOY_BATCH if dry else 20_000, dry=dry)

    def clock(function) -> float:
        _synchronise(device)
        began = time.perf_counter()
        function()
        _synchronise(device)
        return time.perf_counter() - began

    for precision in ("fp32",) if dry else ("fp32", "bf16"):
        stages = (2,) if dry else (0, 2)
        for row in overhead(size, found, clock, rounds=1, precision=precision, zero_stages=stages):
            off, most = row["largest_loss_difference"], 1e-4 if precision == "fp32" else 2e-2
            yield {
                "size": size.name,
                "precision": precision,
                "engine": row["engine"],
                "time over the plain engine's": f"{row['overhead']:+.1%}",
                "losses differ by": f"{off:.1e}",
                "result": "ok" if off <= most else "WRONG",
            }
