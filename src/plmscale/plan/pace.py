"""How fast a cell trains: measured on the devices of the study, else assumed."""

from dataclasses import dataclass, replace
from math import ceil

from ..study.config import Execution, Hardware
from ..study.flops import count_params, train_flops_per_token
from ..study.grid import Cell
from .hardware.devices import Device, device_of
from .hardware.step_time import Scaling, scaling_of
from .hardware.utilisation import published_for
from .memory import Memory


@dataclass(frozen=True)
class Pace:
    """Speed of a size on a type of device.

    Attributes
    ----------
    tokens_per_second : float
        Of all `devices` together.
    devices, grad_accum : int
        Devices, and micro-batches of each a step, to which that speed belongs.
    scaling : Scaling
        What a device keeps of its speed among others.
    startup_seconds : float
        Time of a job that is not spent on steps, checkpoints or evaluation.
    checkpoint_seconds, evaluation_seconds : float
        Of one checkpoint, and of the evaluation on the holdout.
    memory_factor : float
        Measured ÷ estimated activations where that is more than 1.
    measured_on : str or None
        What the driver calls the device; None: the speed is the assumed utilisation of the peak.
    """

    tokens_per_second: float
    devices: int
    scaling: Scaling
    startup_seconds: float
    grad_accum: int = 1
    checkpoint_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    memory_factor: float = 1.0
    measured_on: str | None = None

    def speed(self, devices: int, grad_accum: int = 1) -> float:
        """Tokens per second of `devices`, each with `grad_accum` micro-batches a step.

        The measured speed where it was measured; elsewhere that speed, changed by the scaling.

        Examples
        --------
        >>> from plmscale.plan.hardware.step_time import ByDoubling
        >>> Pace(1000.0, 1, ByDoubling(0.9), 0.0).speed(4)
        3240.0
        """
        kept = self.scaling.efficiency(devices, grad_accum) / self.scaling.efficiency(self.devices, self.grad_accum)
        return self.tokens_per_second * (devices / self.devices) * kept

    def seconds(self, n_tokens: float, devices: int, *, grad_accum: int = 1, checkpoint_tokens: int) -> float:
        """Time of a run over `n_tokens` tokens, from start to end."""
        checkpoints = ceil(n_tokens / checkpoint_tokens)
        training = n_tokens / self.speed(devices, grad_accum)
        return self.startup_seconds + training + checkpoints * self.checkpoint_seconds + self.evaluation_seconds

    def corrected(self, memory: Memory) -> Memory:
        """An estimate of memory, raised to what was measured."""
        return replace(memory, activations=memory.activations * self.memory_factor)


def device_for(cell: Cell, hardware: Hardware) -> Device:
    """The device, with the utilisation that is assumed for the cell's size: a published one where there is one."""
    device = device_of(hardware, cell.training.precision)
    if hardware.mfu is not None or hardware.peak_flops is not None:
        return device
    found = published_for(hardware.name, cell.training.precision, n_params=count_params(cell.model))
    return device if found is None else replace(device, mfu=found.share)


def assumed_pace(cell: Cell, hardware: Hardware, *, execution: Execution) -> Pace:
    """The pace of a cell at the utilisation that is assumed, its FLOPs counted as the paper does (appendix E)."""
    device = device_for(cell, hardware)
    per_token = train_flops_per_token(cell.model, cell.max_length)
    return Pace(
        tokens_per_second=device.peak_flops * device.mfu / per_token,
        devices=1,
        scaling=scaling_of(cell, device, hardware=hardware, execution=execution),
        startup_seconds=hardware.startup_seconds,
    )
