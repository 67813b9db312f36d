"""How fast a cell trains: measured on the devices of the study, else assumed."""

from dataclasses import dataclass, replace
from math import ceil, log2

from ..study.config import Hardware
from ..study.flops import train_flops_per_token
from ..study.grid import Cell
from .devices import device_of
from .memory import Memory


@dataclass(frozen=True)
class Pace:
    """Speed of a size on a type of device.

    Attributes
    ----------
    tokens_per_second : float
        Of all `devices` together.
    devices : int
        Devices to which that speed belongs.
    doubling_efficiency : float
        Share of its speed that a device keeps when twice as many train a cell.
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
    doubling_efficiency: float
    startup_seconds: float
    checkpoint_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    memory_factor: float = 1.0
    measured_on: str | None = None

    def speed(self, devices: int) -> float:
        """Tokens per second of `devices`.

        Each doubling costs a device 1 − `doubling_efficiency` of its speed: synchronisation, and smaller micro-batches
        at a fixed global batch. A stated form, not a measured one; at the number of devices that was measured it
        changes nothing.

        Examples
        --------
        >>> Pace(1000.0, 1, 0.9, 0.0).speed(4)
        3240.0
        """
        ratio = devices / self.devices
        return self.tokens_per_second * ratio * self.doubling_efficiency ** log2(ratio)

    def seconds(self, n_tokens: float, devices: int, *, checkpoint_tokens: int) -> float:
        """Time of a run over `n_tokens` tokens, from start to end."""
        checkpoints = ceil(n_tokens / checkpoint_tokens)
        training = n_tokens / self.speed(devices)
        return self.startup_seconds + training + checkpoints * self.checkpoint_seconds + self.evaluation_seconds

    def corrected(self, memory: Memory) -> Memory:
        """An estimate of memory, raised to what was measured."""
        return replace(memory, activations=memory.activations * self.memory_factor)


def assumed_pace(cell: Cell, hardware: Hardware) -> Pace:
    """The pace of a cell at the utilisation that is assumed, its FLOPs counted as the paper does (appendix E)."""
    device = device_of(hardware, cell.training.precision)
    per_token = train_flops_per_token(cell.model, cell.max_length)
    return Pace(
        tokens_per_second=device.peak_flops * device.mfu / per_token,
        devices=1,
        doubling_efficiency=hardware.doubling_efficiency,
        startup_seconds=hardware.startup_seconds,
    )
