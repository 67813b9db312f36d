"""Attention on a CPU against torch's fused kernel, forward and backward.

    python benchmarks/attention.py --out benchmarks/results/attention.md

float32, one thread, processor time, sequences of one length, heads of the paper's sizes, turn by turn in one process.
torch's side is what `scaled_dot_product_attention` calls on a CPU, all sequences in one call, without the rotation of
queries and keys; this package's side has the rotation, and is called as the encoder calls it.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import machine
import torch
from torch import Tensor

from plmscale.model.attention import PackedLayout, Rotation, attend

FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
FLASH_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
CPU = torch.device("cpu")


def ours(qkv: Tensor, grad: Tensor, rotation: Rotation, layout: PackedLayout) -> Callable[[], Tensor]:
    """Mixed values and gradients of this package; returns the mixed values."""

    def step() -> Tensor:
        leaf = qkv.detach().requires_grad_()
        mixed = attend(None, leaf, rotation, layout, kernel="cpu")
        mixed.backward(grad)
        return mixed.detach()

    return step


def torchs(qkv: Tensor, grad: Tensor, n: int) -> Callable[[], Tensor]:
    """The same by torch, of queries and keys that are turned already."""
    q, k, v = (qkv[:, i].unflatten(0, (n, -1)).transpose(1, 2) for i in range(3))
    d_mixed = grad.view(q.shape[0], q.shape[2], q.shape[1], q.shape[3]).transpose(1, 2)

    def step() -> Tensor:
        mixed, sums = FLASH(q, k, v)
        FLASH_BACKWARD(d_mixed, q, k, v, mixed, sums, 0.0, False)
        return mixed.transpose(1, 2).flatten(0, 1).flatten(1)

    return step


def measured(head_dim: int, length: int, *, n_heads: int, tokens: int, repeats: int) -> dict[str, str]:
    """Nanoseconds per score of each, medians; raises if they do not give the same."""
    n = max(1, tokens // length)
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(n * length, 3, n_heads, head_dim, generator=generator)
    grad = torch.randn(n * length, n_heads * head_dim, generator=generator)
    layout = PackedLayout.of(torch.full((n,), length), None, device=CPU)
    still = Rotation.at(layout.positions, torch.zeros(head_dim // 2), longest=length)  # turns by nothing
    steps = {"torch": torchs(qkv, grad, n), "plmscale": ours(qkv, grad, still, layout)}
    torch.testing.assert_close(*(step() for step in steps.values()), rtol=1e-5, atol=1e-5)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            begin = time.process_time()
            step()
            seconds[name].append(time.process_time() - begin)
    per_score = {name: statistics.median(t) / (n * n_heads * length**2) * 1e9 for name, t in seconds.items()}
    row = {"features a head": str(head_dim), "length": str(length)}
    row |= {f"{name}, ns a score": f"{value:.2f}" for name, value in per_score.items()}
    return row | {"times as fast": f"{per_score['torch'] / per_score['plmscale']:.2f}"}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head-dims", type=int, nargs="+", default=[16, 20, 24, 26, 30, 32, 44, 64])
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--heads", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=6144, help="positions of a batch")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="markdown file; else printed")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        measured(head_dim, length, n_heads=args.heads, tokens=args.tokens, repeats=args.repeats)
        for head_dim in args.head_dims
        for length in args.lengths
    ]
    facts = "\n".join(f"- {key}: {value}" for key, value in machine.facts("torch", "numba", "numpy").items())
    text = f"# Attention on a CPU, forward and backward\n\n{facts}\n\n{machine.markdown(rows)}\n"
    args.out.write_text(text) if args.out else print(text)


if __name__ == "__main__":
    main()
