"""Devices, micro-batch and time of one cell: pure functions of cell and hardware."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil

from ..errors import InputError
from ..study.config import Execution, Hardware
from ..study.grid import Cell
from .hardware.devices import device_of
from .memory import GIB, USABLE, Memory, largest_micro_batch, memory_of
from .pace import Pace, assumed_pace


@dataclass(frozen=True)
class Allocation:
    """Devices and time for one cell.

    Attributes
    ----------
    nodes, devices_per_node : int
    micro_batch_tokens : int
        Positions of a micro-batch: `batch_tokens` ÷ (devices × grad_accum), rounded up where that is no whole number.
        Batches are cut at the ends of sequences, so that a micro-batch may have one sequence more or less.
    grad_accum : int
        Micro-batches per optimizer step and device.
    efficiency : float
        Share of its speed alone that a device keeps.
    hours : float
        Planned time from start to end.
    runtime_min : int
        Walltime to ask for, in minutes, see `walltime_minutes`.
    memory : Memory
        Peak memory of one device, by part.
    pace : Pace
        Speed behind the hours, and where it is from.
    """

    nodes: int
    devices_per_node: int
    micro_batch_tokens: int
    grad_accum: int
    efficiency: float
    hours: float
    runtime_min: int
    memory: Memory
    pace: Pace

    @property
    def devices(self) -> int:
        """Devices of all nodes."""
        return self.nodes * self.devices_per_node

    @property
    def device_hours(self) -> float:
        """Planned time × devices."""
        return self.hours * self.devices


JOB_START_SECONDS = 60
"""Of a job of SLURM before its training begins and after it has ended: two Snakemakes inside each other that read the
workflow, and srun. 6 s were measured on a quiet machine, 12 s on a busy one; a cold network disk takes longer."""

LEAST_WALLTIME = 10
"""Minutes that any job asks for: SLURM ends jobs up to a minute early, and an unplanned second must not cost a job."""


def walltime_minutes(hours: float, *, hardware: Hardware) -> int:
    """Walltime to ask for: planned time × margin, and what a job takes beside it: its start, and the warning.

    Examples
    --------
    >>> walltime_minutes(10.0, hardware=Hardware(walltime_margin=1.25, warning_seconds=120))
    753
    >>> walltime_minutes(0.001, hardware=Hardware())
    10
    """
    seconds = 3600 * hours * hardware.walltime_margin + hardware.warning_seconds + JOB_START_SECONDS
    return max(LEAST_WALLTIME, ceil(seconds / 60))


def device_counts(hardware: Hardware) -> Iterator[int]:
    """Numbers of devices that a cell may have: doubled within a node, then whole nodes; beyond 96 in steps of 3 %.

    Examples
    --------
    >>> list(device_counts(Hardware(devices_per_node=4, max_nodes=3)))
    [1, 2, 4, 8, 12]
    """
    limit = hardware.devices_per_node * hardware.max_nodes
    limit = limit if hardware.max_devices is None else min(limit, hardware.max_devices)
    devices = 1
    while devices <= limit:
        yield devices
        inside = devices < hardware.devices_per_node
        more = max(1, devices // (32 * hardware.devices_per_node) - 1) * hardware.devices_per_node
        devices = min(2 * devices, hardware.devices_per_node) if inside else devices + more


def allocate(
    cell: Cell,
    n_tokens: int,
    *,
    hardware: Hardware,
    execution: Execution | None = None,
    pace: Pace | None = None,
) -> Allocation:
    """The fewest devices that train a cell within the target time, of those that work well enough together.

    Parameters
    ----------
    cell : Cell
    n_tokens : int
        Tokens of one pass over its set.
    hardware : Hardware
    execution : Execution, optional
        Engine and ZeRO stage; the default's if left out.
    pace : Pace, optional
        Measured speed of the cell's size; without it the hardware's assumed utilisation counts.

    Returns
    -------
    Allocation
        With the target out of reach, the quickest that keeps `hardware.least_efficiency`.

    Raises
    ------
    InputError
        If a single sequence of the greatest length does not fit into a device; the message names cell, need and limit.
    """
    return fewest_devices(
        allocations(cell, n_tokens, hardware=hardware, execution=execution, pace=pace), hardware=hardware
    )


def fewest_devices(found: Iterable[Allocation], *, hardware: Hardware) -> Allocation:
    """The choice of `allocate` among a cell's allocations, which begin with the fewest devices on which it fits."""
    quickest: Allocation | None = None
    for each in found:
        if quickest is not None and not _works_well(each, hardware):
            break
        if quickest is None or each.hours < quickest.hours:
            quickest = each
        if each.hours <= hardware.target_hours:
            break
    assert quickest is not None
    return quickest


def _works_well(allocation: Allocation, hardware: Hardware) -> bool:
    """Whether devices keep enough of their speed; not tested where the user has set `doubling_efficiency`."""
    modelled = hardware.doubling_efficiency is None and hardware.device == "gpu"
    return not modelled or allocation.efficiency >= hardware.least_efficiency


def allocations(
    cell: Cell,
    n_tokens: int,
    *,
    hardware: Hardware,
    execution: Execution | None = None,
    pace: Pace | None = None,
) -> Iterator[Allocation]:
    """A cell on every number of devices on which it fits, fewest first; see `allocate`."""
    for each in placements(cell, hardware=hardware, execution=execution, pace=pace):
        yield each.over(n_tokens)


@dataclass(frozen=True)
class Placement:
    """Devices on which a size fits with its batch: all of an allocation that does not depend on the tokens of a run.

    Attributes
    ----------
    devices, nodes, micro_batch_tokens, grad_accum, efficiency, memory, pace
        Of `Allocation`.
    hardware : Hardware
    checkpoint_tokens : int
        Tokens from one checkpoint to the next.
    """

    devices: int
    nodes: int
    micro_batch_tokens: int
    grad_accum: int
    efficiency: float
    memory: Memory
    pace: Pace
    hardware: Hardware
    checkpoint_tokens: int

    def over(self, n_tokens: int) -> Allocation:
        """The allocation of a run over `n_tokens` tokens."""
        every = self.checkpoint_tokens
        seconds = self.pace.seconds(n_tokens, self.devices, grad_accum=self.grad_accum, checkpoint_tokens=every)
        hours = seconds / 3600
        return Allocation(
            nodes=self.nodes,
            devices_per_node=self.devices // self.nodes,
            micro_batch_tokens=self.micro_batch_tokens,
            grad_accum=self.grad_accum,
            efficiency=self.efficiency,
            hours=hours,
            runtime_min=walltime_minutes(hours, hardware=self.hardware),
            memory=self.memory,
            pace=self.pace,
        )


def placements(
    cell: Cell, *, hardware: Hardware, execution: Execution | None = None, pace: Pace | None = None
) -> Iterator[Placement]:
    """Every number of devices on which a cell fits, fewest first; the same for all cells of its size and training.

    Raises
    ------
    InputError
        As `allocate`.
    """
    execution = execution or Execution()
    pace = pace or assumed_pace(cell, hardware, execution=execution)
    refused: InputError | None = None
    fits = False
    for devices in device_counts(hardware):
        try:
            grad_accum, memory = _accumulation(cell, devices, hardware=hardware, execution=execution, pace=pace)
        except InputError as error:  # more devices share the optimizer's state: it may fit there
            refused = error
            continue
        fits = True
        micro_batch = ceil(cell.training.batch_tokens / (devices * grad_accum))
        grad_accum = ceil(cell.training.batch_tokens / (devices * micro_batch))  # as a run counts them
        yield Placement(
            devices=devices,
            nodes=ceil(devices / hardware.devices_per_node),
            micro_batch_tokens=micro_batch,
            grad_accum=grad_accum,
            efficiency=pace.scaling.efficiency(devices, grad_accum),
            memory=memory,
            pace=pace,
            hardware=hardware,
            checkpoint_tokens=execution.checkpoint_tokens,
        )
    if refused is not None and not fits:
        raise refused


def _accumulation(
    cell: Cell, devices: int, *, hardware: Hardware, execution: Execution, pace: Pace
) -> tuple[int, Memory]:
    """Fewest micro-batches a step and device that fit, and the memory they take."""
    device, batch = device_of(hardware, cell.training.precision), cell.training.batch_tokens
    room = device.memory_gib * USABLE * GIB
    gpu = hardware.device == "gpu"

    def memory(grad_accum: int) -> Memory:
        found = memory_of(cell, devices=devices, grad_accum=grad_accum, execution=execution, gpu=gpu)
        return pace.corrected(found)

    least = memory(max(1, batch // devices))
    fitting = memory(1)
    if fitting.total <= room:
        return 1, fitting
    per_token = fitting.activations / largest_micro_batch(cell, devices)
    positions = int((room - least.states) // per_token)
    if positions < cell.max_length:
        need = (least.states + per_token * cell.max_length) / USABLE / GIB
        raise InputError(
            f"cell {cell.path} needs {need:.3g} GiB of device memory for one sequence of {cell.max_length} positions "
            f"on {devices} device{'s' if devices > 1 else ''}, but hardware.memory_gib is {device.memory_gib:g}. "
            f"Name a larger device, or leave the size {cell.model.name!r} out."
        )
    # A micro-batch is a share of the batch and at most one sequence more.
    share = max(1, positions - cell.max_length + 1)
    needed = ceil(batch / (devices * share))
    grad_accum = _dividing(batch, devices, needed)
    return grad_accum, memory(grad_accum)


def _dividing(batch: int, devices: int, needed: int) -> int:
    """The least accumulation from `needed` on with which equal micro-batches add up to the batch, if one is near."""
    exact = (k for k in range(needed, 2 * needed) if batch % (devices * k) == 0)
    return next(exact, needed)
