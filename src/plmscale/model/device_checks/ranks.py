"""A sum over all ranks, as training sums gradients: `torchrun … -m plmscale.model.device_checks.ranks nccl`."""

import json
import os
import sys
import time

import torch
from torch import distributed

N_FLOATS = 25_000_000
"""Of the sum that is timed: 100 MB, the gradients of 25 million parameters in fp32."""


def check_sum(backend: str, *, n_floats: int = N_FLOATS) -> dict[str, str]:
    """What came of a sum over the ranks of this process group.

    Parameters
    ----------
    backend : {"nccl", "gloo"}
    n_floats : int

    Returns
    -------
    dict of str to str
        A check. The bandwidth is that of a ring: bytes · 2(n - 1)/n ÷ seconds (NCCL tests, PERFORMANCE.md).
    """
    rank, n = distributed.get_rank(), distributed.get_world_size()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if backend == "nccl" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    x = torch.full((n_floats,), float(rank + 1), device=device)
    distributed.all_reduce(x)  # also sets up the connections, which is not timed
    right = bool((x == n * (n + 1) / 2).all())
    began = time.perf_counter()
    distributed.all_reduce(x)
    if device.type == "cuda":
        torch.cuda.synchronize()
    speed = 4 * n_floats * 2 * (n - 1) / n / (time.perf_counter() - began)
    name = "NCCL" if backend == "nccl" else backend
    if not right:
        remedy = "set NCCL_DEBUG=INFO and send its output to the administrator"
        return {"name": name, "outcome": "failed", "found": f"a sum over {n} ranks is wrong", "remedy": remedy}
    return {"name": name, "outcome": "ok", "found": f"{n} ranks, {speed / 1e9:.1f} GB/s", "remedy": ""}


def main(backend: str) -> None:
    """Print it, once."""
    distributed.init_process_group(backend)
    try:
        row = check_sum(backend)
        if distributed.get_rank() == 0:
            print(json.dumps(row), flush=True)
    finally:
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
