"""How long an optimizer step takes on several devices, and so what share of its speed a device keeps there.

One global batch is cut into micro-batches for all devices. Three things make small ones dear:

* A matrix product is computed in tiles, as many at a time as there are multiprocessors, and its last wave is half empty
  on average (NVIDIA, Matrix Multiplication Background User's Guide, §3.2). Counted for the forward pass and the
  gradients of inputs; the products of weight gradients are cut along their sums instead.
* Micro-batches end at the ends of sequences, and all devices wait for the largest.
* A kernel takes the processor some microseconds to start, be its work ever so small.

Against published speeds of BERT-large in fp32 on one V100: from 4096 to 1024 tokens a micro-batch it kept 0.83 of its
speed, by this model 0.84; from 2048 to 1024, 0.90 and 0.90 (tests/test_step_time.py, with what 4 and 8 devices kept).
"""

from dataclasses import dataclass
from functools import cached_property
from math import log2
from typing import Protocol

from ...study.config import Execution, Hardware
from ...study.flops import train_flops_per_token
from ...study.grid import Cell
from .communication import communication_seconds, traffic_of
from .devices import Device

TILE = 128
"""Rows and columns of a tile (same guide, §2.3: 256 × 128 and 128 × 128 are cuBLAS's most efficient)."""

LONGER = 0.3
"""By how much the largest micro-batch exceeds an equal share, in units of the greatest length: on real proteins of up
to 1024 positions in batches of 50,000, by 290 to 304 positions from 4 to 32 devices (tests/test_step_time.py)."""

KERNELS_A_LAYER = {"fp32": 65, "tf32": 65, "bf16": 95}
"""Kernels of a layer forward and backward, counted on the encoder; autocast adds 30 conversions
(tests/test_step_time.py)."""

KERNEL_SECONDS = 5e-6
"""To start a kernel from PyTorch: a rule of thumb, not measured here. Compiled blocks have fewer."""

DOUBLING_EFFICIENCY = 0.95
"""Share of its speed that a device keeps when twice as many train a cell, where there is no better model: on CPUs, and
where the size is not known."""


class Scaling(Protocol):
    """What share of its speed alone a device keeps among others."""

    def efficiency(self, devices: int, grad_accum: int) -> float:
        """The share, for so many devices and micro-batches of each a step; 1 for one device and one micro-batch."""
        ...


@dataclass(frozen=True)
class ByDoubling:
    """The same loss with each doubling of devices: a stated form, not a model.

    Attributes
    ----------
    kept : float
        Share kept when devices double.
    """

    kept: float

    def efficiency(self, devices: int, grad_accum: int) -> float:
        """See `Scaling.efficiency`.

        Examples
        --------
        >>> ByDoubling(0.9).efficiency(4, 1)
        0.81
        """
        return self.kept ** log2(devices)


@dataclass(frozen=True)
class StepTime:
    """Seconds of an optimizer step of a cell.

    Attributes
    ----------
    cell : Cell
    device : Device
        `device.mfu` is the share of the peak that a device reaches alone, in large micro-batches.
    devices_per_node : int
    execution : Execution
    """

    cell: Cell
    device: Device
    devices_per_node: int
    execution: Execution

    @cached_property
    def _efficiencies(self) -> dict[tuple[int, int], float]:
        return {}

    @cached_property
    def rate(self) -> float:
        """FLOP/s of a device alone."""
        return self.device.peak_flops * self.device.mfu

    @cached_property
    def wave_seconds(self) -> float:
        """Half a wave of every product of a micro-batch: half the multiprocessors' tiles × the terms of their sums."""
        model = self.cell.model
        terms = model.n_layers * (8 * model.d_model + 2 * model.d_ffn)
        return 0.5 * self.device.multiprocessors * TILE**2 * 2 * terms / self.rate

    def micro_batch_seconds(self, positions: float) -> float:
        """Forward and backward pass of one micro-batch."""
        per_position = train_flops_per_token(self.cell.model, self.cell.max_length) / self.rate
        kernels = KERNELS_A_LAYER[self.cell.training.precision] * self.cell.model.n_layers
        return max(positions * per_position + self.wave_seconds, kernels * KERNEL_SECONDS)

    def communication_seconds(self, devices: int, grad_accum: int) -> float:
        """Time of communication, see `plmscale.plan.hardware.communication`."""
        precision = self.cell.training.precision
        traffic = traffic_of(self.cell.model, precision=precision, execution=self.execution, grad_accum=grad_accum)
        return communication_seconds(traffic, devices, devices_per_node=self.devices_per_node, device=self.device)

    def seconds(self, devices: int, grad_accum: int) -> float:
        """A step on so many devices, of so many micro-batches each."""
        batch = max(self.cell.training.batch_tokens, self.cell.max_length)
        share = batch / (devices * grad_accum)
        largest = share + (LONGER * self.cell.max_length if devices > 1 else 0.0)
        computed = grad_accum * self.micro_batch_seconds(min(batch, largest))
        return computed + self.communication_seconds(devices, grad_accum)

    def efficiency(self, devices: int, grad_accum: int) -> float:
        """See `Scaling.efficiency`; each is computed once, the cells of a size ask for it again and again."""
        key = devices, grad_accum
        if key not in self._efficiencies:
            self._efficiencies[key] = self.seconds(1, 1) / (devices * self.seconds(devices, grad_accum))
        return self._efficiencies[key]


def scaling_of(cell: Cell, device: Device, *, hardware: Hardware, execution: Execution) -> Scaling:
    """How a cell's speed depends on its devices: on GPUs by this model, unless `doubling_efficiency` is set."""
    kept = hardware.doubling_efficiency
    if kept is None and hardware.device == "gpu":
        return StepTime(cell, device, hardware.devices_per_node, execution)
    return ByDoubling(DOUBLING_EFFICIENCY if kept is None else kept)
