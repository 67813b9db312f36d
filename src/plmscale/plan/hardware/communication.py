"""What the devices of a cell send each other in an optimizer step, and how long that takes.

Gradients are summed over all devices by a ring all-reduce, in which each device sends and receives 2(p - 1)/p of the
bytes (Patarasuk and Yuan 2009). Under ZeRO each device then updates its share of the weights, which all gather:
(p - 1)/p of their bytes. What our engine really sends was read off its calls (tests/test_engines.py):

* DeepSpeed with ZeRO stage 2 sums gradients after every micro-batch, all others once a step. Its `reduce_scatter` is a
  whole all-reduce of each bucket (`use_multi_rank_bucket_allreduce`).
* In bf16 under ZeRO, gradients of linear layers are summed in bf16, two bytes; everything else has four.
* Nothing overlaps with the backward pass: DeepSpeed's `overlap_comm` is off for stages below 3, and the torch engine
  sums when the backward pass has ended. So the whole time counts.

Between nodes the ring passes each node's adapters, and the slower of the two ways counts (NCCL tests,
PERFORMANCE.md: bus bandwidth). Compared with what others measured in benchmarks/results/communication.md.
"""

from dataclasses import dataclass

from ...study.config import Execution, ModelSize
from ...study.flops import VOCABULARY_SIZE, count_params
from .devices import Device

LINK_EFFICIENCY = 0.8
"""Share of the links of a node that a ring moves: NCCL's protocol takes about 20 % (NVIDIA, GTC 2024, S62129: 122 of
150 GB/s on V100, 232 of 300 on A100, 370 of 450 on H100, 24 of 31.5 and 48 of 63 on PCI Express). Where the switch
itself sums (NVLink SHARP, from H100 on, over more than four devices), up to 1.3 times as much: not assumed."""

NETWORK_EFFICIENCY = 0.95
"""Share of a node's adapters that a ring over several nodes moves (same source: 192 of 200 GB/s on DGX A100, 380 of 400
on DGX H100; stas00/ml-engineering, network: 382 of 400 on four nodes of B200)."""

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
    around = (devices - 1) / devices
    sent = around * (2 * traffic.reduced * traffic.sums + traffic.gathered)
    hops = HOP_SECONDS * (devices - nodes) + NETWORK_HOP_SECONDS * (nodes - 1)
    latency = hops * (2 * traffic.calls * traffic.sums + (traffic.gathered > 0))
    return sent / (1e9 * bus_bandwidth(devices, nodes=nodes, device=device)) + latency


def bus_bandwidth(devices: int, *, nodes: int, device: Device) -> float:
    """GB/s at which each device sends in a ring over so many, in large messages.

    Examples
    --------
    >>> from plmscale.study.config import Hardware
    >>> from plmscale.plan.hardware.devices import device_of
    >>> mesh = device_of(Hardware(name="MI300X"), "bf16")
    >>> [round(bus_bandwidth(n, nodes=1, device=mesh), 1) for n in (1, 2, 8)]
    [358.4, 51.2, 358.4]
    """
    joined = min(devices, -(-devices // nodes)) - 1
    part = min(1.0, joined / device.peers) if device.peers and joined else 1.0
    inside = LINK_EFFICIENCY * device.link * part
    return inside if nodes == 1 else min(inside, NETWORK_EFFICIENCY * device.network)
