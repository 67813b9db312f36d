"""What of the encoder on CUDA can be traced by a torch without CUDA: `python benchmarks/gpu_trace.py`.

Tensors are fake: they have a shape, a type and the device "cuda", and no values. Each step runs in a forked process,
since some end it: a torch without CUDA has no guard for that device, which autograd asks for when it records a leaf
(`getDeviceGuardImpl`). So the forward pass is tried without gradients, operation by operation, and the backward pass
by nobody but a GPU. What reaches the kernels of attention, with which features of a head, is asserted in
tests/test_attention.py, on the CPU.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import machine
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from plmscale.model.attention import spare_features

HEADS = (16, 20, 24, 26, 30, 32, 44, 64)
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def _heads(n: int, dtype: torch.dtype) -> torch.Tensor:
    """Queries, keys or values as they reach the kernel: 2 sequences, 3 heads, 8 positions."""
    return torch.empty(2, 3, 8, n + spare_features(n, device="cuda", dtype=dtype), device="cuda", dtype=dtype)


def _linear(dtype: torch.dtype) -> torch.Tensor:
    return functional.linear(*(torch.empty(n, 8, device="cuda", dtype=dtype) for n in (4, 16)))


def _rows(dtype: torch.dtype) -> torch.Tensor:
    places = torch.zeros(2, dtype=torch.long, device="cuda")
    return torch.zeros(4, 8, device="cuda", dtype=dtype).index_put(
        (places,), torch.empty(2, 8, device="cuda", dtype=dtype)
    )


def _efficient(n: int, dtype: torch.dtype) -> torch.Tensor:
    x = _heads(n, dtype)
    return torch.ops.aten._scaled_dot_product_efficient_attention(x, x, x, None, False)[0]


def _flash(n: int, dtype: torch.dtype) -> torch.Tensor:
    x = _heads(n, dtype)
    return torch.ops.aten._scaled_dot_product_flash_attention(x, x, x)[0]


def _chosen(n: int, dtype: torch.dtype) -> torch.Tensor:
    """As the encoder calls it: torch chooses the kernel."""
    x, mask = _heads(n, dtype), torch.empty(2, 1, 1, 8, dtype=torch.bool, device="cuda")
    return functional.scaled_dot_product_attention(x, x, x, attn_mask=mask, scale=n**-0.5)


def _leaf(dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(4, device="cuda", dtype=dtype, requires_grad=True) * 2


STEPS: dict[str, Callable[[torch.dtype], object]] = {
    "linear": _linear,
    "layer norm": lambda dtype: functional.layer_norm(torch.empty(4, 8, device="cuda", dtype=dtype), (8,)),
    "gelu": lambda dtype: functional.gelu(torch.empty(4, 8, device="cuda", dtype=dtype)),
    "rows laid out": _rows,
    "copy to the device": lambda dtype: torch.arange(4).to("cuda", non_blocking=True),
    **{f"memory-efficient attention, {n} features": lambda dtype, n=n: _efficient(n, dtype) for n in HEADS},
    **{f"flash attention, {n} features": lambda dtype, n=n: _flash(n, dtype) for n in HEADS},
    "attention, kernel chosen by torch": lambda dtype: _chosen(26, dtype),
    "a gradient": _leaf,
}


def traced(name: str, precision: str) -> str:
    """Shape and device of what a step gives."""
    recorded = torch.enable_grad() if name == "a gradient" else torch.no_grad()
    with FakeTensorMode(allow_non_fake_inputs=True), recorded:
        found = STEPS[name](TYPES[precision])
    assert isinstance(found, torch.Tensor)
    return f"{tuple(found.shape)} on {found.device.type}"


def outcome(name: str, precision: str) -> str:
    """What a step says, or how its process ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            said = traced(name, precision)
        except Exception as error:
            said = f"no: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return f"no: ends the process by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said


def main() -> None:
    """Try each step in both types."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="markdown page to write")
    args = parser.parse_args()
    traced("gelu", "fp32")  # loads once what the first fake tensor needs
    rows = [{"step": name} | {precision: outcome(name, precision) for precision in TYPES} for name in STEPS]
    page = f"# Traced without a GPU, torch {torch.__version__}\n\n{machine.markdown(rows)}\n"
    print(page)
    if args.out:
        args.out.write_text(page)


if __name__ == "__main__":
    main()
