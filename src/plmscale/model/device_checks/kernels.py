"""Attention of a device against double precision: `python -m …kernels cuda` prints a line of JSON for each type."""

import json
import sys

import torch
from torch import Tensor

from ..attention import PackedLayout, Rotation, attend

HEADS = (16, 20, 24, 26, 30, 32, 44, 64)
"""Features of a head, of which those of the paper's sizes are some."""

LENGTHS = (7, 130, 64, 2, 255)

TOLERANCES = {"fp32": 1e-4, "tf32": 2e-2, "bf16": 3e-2}
"""Largest difference from double precision, as a share of the largest value: rounding of 24, 11 and 8 bits, over
products of up to 64 and sums of up to 255 terms."""


def largest_difference(head_dim: int, precision: str, *, device: str) -> float:
    """Largest difference of mixed values and their gradient, as a share of the largest value in double precision.

    Parameters
    ----------
    head_dim : int
    precision : {"fp32", "tf32", "bf16"}
    device : str
        "cuda" or "cpu".
    """
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    x = torch.randn(sum(LENGTHS), 3, 3, head_dim, generator=torch.Generator().manual_seed(head_dim)).to(dtype)
    found, expected = _attended(x.to(device)), _attended(x.double())
    return max(float((a.cpu().double() - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


def _attended(x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    layout = PackedLayout.of(torch.tensor(LENGTHS), None, device=x.device)
    inv_freq = 1 / 10000 ** (torch.arange(0, x.shape[-1], 2, device=x.device) / x.shape[-1])
    mixed = attend(None, x, Rotation.at(layout.positions, inv_freq, longest=max(LENGTHS)), layout)
    (gradient,) = torch.autograd.grad(mixed.square().sum(), x)
    return mixed.detach(), gradient


def main(device: str) -> None:
    """Print what came of each precision."""
    for precision, most in TOLERANCES.items():
        off = {n: largest_difference(n, precision, device=device) for n in HEADS}
        wrong = [n for n in HEADS if not off[n] <= most]  # also where it is no number
        name, heads = f"kernels in {precision}", f"heads of {HEADS[0]} to {HEADS[-1]} features"
        found = f"{heads} differ from the CPU by up to {max(off.values()):.1e} of the largest value"
        remedy = "install the torch of your driver's CUDA; report it if that is so already" if wrong else ""
        row = {"name": name, "outcome": "failed" if wrong else "ok", "found": found, "remedy": remedy}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
