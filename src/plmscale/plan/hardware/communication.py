"""What the devices of a cell send each other in an optimizer step, and how long that takes.

Gradients are summed over all devices by a ring all-reduce, in which each device sends and receives 2(p - 1)/p of the
bytes (Patarasuk and Yuan 2009). Under ZeRO each device then updates its share of the weights, which all gather:
(p - 1)/p of their bytes. What our engine really sends was read off its calls (tests/test_engines.py):

* DeepSpeed with ZeRO stage 2 sums gradients after every micro-batch, all others once a step. Its `reduce_scatter` is a
  whole all-reduce of each bucket (`use_multi_rank_bucket_allreduce`).
* In bf16 under ZeRO, gradients of linear layers are summed in bf16, two bytes; everything else has four.
* Nothing overlaps with the backward pass: DeepSpeed's `overlap_comm` is off for stages below 3, and the torch engine
  sums when the backward pass has ended. So the whole time counts.

Between nodes the ring passes each node's adapters, and the narrower of the two ways counts (NCCL tests,
PERFORMANCE.md: bus bandwidth).
"""

from dataclasses import dataclass

from ...study.config import Execution, ModelSize
from ...study.flops import VOCABULARY_SIZE, count_params
from .devices import Device

EFFICIENCY = 0.8
"""Share of a link that a ring moves: NCCL's protocol takes about 20 % (NVIDIA/nccl-tests#212, of NVLink: 370 of 450
GB/s; #175: 232 of 300 GB/s on A100, 86 of 100 GB/s between nodes)."""

HOP_SECONDS, NETWORK_HOP_SECONDS = 5.7e-6, 9.6e-6
"""Latency of a step of a ring within a node (PCI Express; NVLink 3.4) and between nodes (NCCL, src/graph/tuning.cc)."""

TENSORS_A_LAYER, OTHER_TENSORS = 16, 8
"""Parameters that the torch engine sums one by one."""

BUCKET = 500_000_000
"""Numbers that DeepSpeed reduces at a time (`reduce_bucket_size`)."""

FP32, BF16 = 4, 2
"""Bytes of a number."""


@dataclass(frozen=True)
class Traffic:
    """What a step sends, whatever the number of devices.

    Attributes
    ----------
    reduced : float
        Bytes of gradients, all that are summed once.
    sums : int
        How often a step sums them.
    gathered : float
        Bytes of weights that are gathered.
    calls : int
        All-reduces of which each sum of all gradients consists.
    """

    reduced: float
    sums: int
    gathered: float
    calls: int


def traffic_of(model: ModelSize, *, precision: str, execution: Execution, grad_accum: int) -> Traffic:
    """What a step of this size sends.

    Examples
    --------
    >>> size = ModelSize(name="5M", n_layers=4, d_model=320, d_ffn=1280, n_heads=20,
    ...                  learning_rate=1e-5, schedules=["constant"])
    >>> traffic_of(size, precision="fp32", execution=Execution(), grad_accum=2)
    Traffic(reduced=20144640, sums=2, gathered=20144640, calls=1)
    """
    n = count_params(model)
    if execution.engine == "torch":
        return Traffic(FP32 * n, 1, 0, TENSORS_A_LAYER * model.n_layers + OTHER_TENSORS)
    shared = execution.zero_stage > 0
    # The embedding counts twice in the paper's N, as the head's weights too.
    linear = n - 2 * VOCABULARY_SIZE * model.d_model if shared and precision == "bf16" else 0
    return Traffic(
        reduced=BF16 * linear + FP32 * (n - linear),
        sums=grad_accum if execution.zero_stage == 2 else 1,
        gathered=FP32 * n if shared else 0,
        calls=-(-n // BUCKET),
    )


def communication_seconds(traffic: Traffic, devices: int, *, devices_per_node: int, device: Device) -> float:
    """Seconds of a step that its devices spend on communication.

    Parameters
    ----------
    traffic : Traffic
    devices : int
    devices_per_node : int
        Of a full node; a cell that has more devices has whole nodes.
    device : Device

    Returns
    -------
    float
        0 for one device.
    """
    nodes = -(-devices // devices_per_node)
    bandwidth = device.link if nodes == 1 else min(device.link, device.network)
    around = (devices - 1) / devices
    sent = around * (2 * traffic.reduced * traffic.sums + traffic.gathered)
    hops = HOP_SECONDS * (devices - nodes) + NETWORK_HOP_SECONDS * (nodes - 1)
    latency = hops * (2 * traffic.calls * traffic.sums + (traffic.gathered > 0))
    return sent / (EFFICIENCY * bandwidth * 1e9) + latency
