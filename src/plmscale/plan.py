"""What each cell needs on the hardware that the study names, and what the study costs.

Pure functions of cell and hardware: nothing here is an input of training, so a new allocation retrains nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import pandas as pd

from .config import Execution, Hardware, ModelSize
from .errors import InputError
from .grid import RESIDUES_PER_SEQUENCE, Cell, count_params, grid, train_flops
from .study import Study

BYTES_PER_PARAMETER = {"weights": 4, "gradients": 4, "moments": 8}
"""fp32 weights, gradients and Adam's two moments (Rajbhandari et al. 2020, §3.1, without the fp16 copies)."""

ACTIVATION_BYTES = {"fp32": 68, "tf32": 68, "bf16": 34}
"""Bytes that a layer keeps per position and unit of d_model for the backward pass: 34 at 16 bits (Korthikanti et al.
2022, equation 1, without the s² term, which fused attention does not store), twice that at 32 bits."""

USABLE_MEMORY = 0.9
"""Share of a device's memory left to tensors by allocator and runtime: a rule of thumb."""


@dataclass(frozen=True)
class Allocation:
    """Devices and time for one cell.

    Attributes
    ----------
    nodes, devices_per_node : int
    micro_batch_tokens : int
        Largest number of positions that a rank processes at a time.
    grad_accum : int
        Micro-batches per optimizer step and rank.
    hours : float
        Planned time from start to end.
    runtime_min : int
        Walltime to ask for, in minutes: planned time × margin.
    memory_gib : float
        Peak memory of one device.
    """

    nodes: int
    devices_per_node: int
    micro_batch_tokens: int
    grad_accum: int
    hours: float
    runtime_min: int
    memory_gib: float

    @property
    def devices(self) -> int:
        """Devices of all nodes."""
        return self.nodes * self.devices_per_node

    @property
    def launcher(self) -> str:
        """The command that starts one process per device."""
        if self.nodes > 1:
            return f"srun --nodes={self.nodes} --ntasks={self.devices} --kill-on-bad-exit=1 python"
        if self.devices_per_node > 1:
            return f"torchrun --standalone --nproc-per-node={self.devices_per_node}"
        return "python"

    @property
    def mpi(self) -> str | None:
        """Set when the command itself calls srun, so that Snakemake does not."""
        return "srun" if self.nodes > 1 else None

    @property
    def slurm_extra(self) -> str:
        """What sbatch has to know besides: devices of a node, and to warn two minutes before the walltime.

        On the warning (SIGUSR1) a rank writes a checkpoint and leaves, and the retry goes on from there. SLURM gives
        it to ranks that srun started; whether those of one node get it depends on the cluster's ProctrackType, and
        where they do not, a run goes on from its last regular checkpoint.
        """
        ranks = self.devices_per_node if self.nodes > 1 else 1  # torchrun starts the ranks of one node itself
        return f"--gpus-per-node={self.devices_per_node} --ntasks-per-node={ranks} --signal=USR1@120"

    @property
    def tasks(self) -> int | None:
        """Ranks of a job of several nodes."""
        return self.devices if self.nodes > 1 else None


def allocate(cell: Cell, n_tokens: int, *, hardware: Hardware) -> Allocation:
    """The fewest devices that train a cell within the target time.

    Parameters
    ----------
    cell : Cell
    n_tokens : int
        Tokens of one pass over its set.
    hardware : Hardware

    Returns
    -------
    Allocation
        With the target out of reach, the most devices there are.

    Raises
    ------
    InputError
        If a single sequence of the greatest length does not fit into a device; the message names cell, need and limit.
    """
    flops = train_flops(cell.model, n_tokens, convention="appendix_e", max_length=cell.max_length)
    serial_hours = flops / (hardware.peak_flops * hardware.mfu) / 3600
    startup = hardware.startup_seconds / 3600
    limit = hardware.devices_per_node * hardware.max_nodes
    devices = 1
    while devices < limit and serial_hours / devices + startup > hardware.target_hours:
        devices = min(
            limit, 2 * devices if devices < hardware.devices_per_node else devices + hardware.devices_per_node
        )
    nodes = ceil(devices / hardware.devices_per_node)
    hours = serial_hours / devices + startup
    micro_batch, memory = _micro_batch(cell, devices, hardware)
    return Allocation(
        nodes=nodes,
        devices_per_node=devices // nodes,
        micro_batch_tokens=micro_batch,
        grad_accum=max(1, ceil(cell.training.batch_tokens / (devices * micro_batch))),
        hours=hours,
        runtime_min=ceil(60 * hours * hardware.walltime_margin),
        memory_gib=memory,
    )


def _micro_batch(cell: Cell, devices: int, hardware: Hardware) -> tuple[int, float]:
    """Largest micro-batch in positions that fits, and the memory it takes in GiB."""
    n, model = count_params(cell.model), cell.model
    states = n * (
        BYTES_PER_PARAMETER["weights"] + BYTES_PER_PARAMETER["gradients"] + BYTES_PER_PARAMETER["moments"] / devices
    )
    per_position = ACTIVATION_BYTES[cell.training.precision] * model.d_model * model.n_layers
    room = hardware.memory_gib * USABLE_MEMORY * 2**30 - states
    share = ceil(cell.training.batch_tokens / devices)
    fits = int(room // per_position)
    if fits < cell.max_length:
        need = (states + per_position * cell.max_length) / USABLE_MEMORY / 2**30
        raise InputError(
            f"cell {cell.path} needs {need:.3g} GiB of device memory for one sequence of {cell.max_length} positions, "
            f"but hardware.memory_gib is {hardware.memory_gib:g}. "
            f"Name a larger device, or leave the size {model.name!r} out."
        )
    accumulation = max(1, ceil(share / fits))
    micro_batch = max(ceil(share / accumulation), cell.max_length)
    return micro_batch, (states + per_position * micro_batch) / 2**30


def planned_tokens(study: Study, counted: Mapping[str, int] | None = None) -> dict[str, int]:
    """Tokens of one pass over each set: counted where the set exists, else estimated.

    The estimate is the paper's 325 residues a sequence, cut to `max_length` with START and END.
    """
    estimate = min(RESIDUES_PER_SEQUENCE, study.config.max_length)
    return {s.name: (counted or {}).get(s.name, s.n_sequences * estimate) for s in study.subsets}


def plan(study: Study, counted: Mapping[str, int] | None = None) -> pd.DataFrame:
    """The compute plan: one row per cell.

    Parameters
    ----------
    study : Study
    counted : mapping of str to int, optional
        Exact tokens of the sets that exist already.

    Returns
    -------
    pandas.DataFrame
        One row per cell: N, tokens and where they come from, FLOPs by each convention known beforehand, devices,
        device-hours, walltime and, if the hardware has a price, cost.
    """
    tokens, hardware = planned_tokens(study, counted), study.config.hardware
    rows = []
    for cell in grid(study):
        n_tokens = tokens[cell.subset]
        allocation = allocate(cell, n_tokens, hardware=hardware)
        rows.append(
            {
                "model": cell.model.name,
                "subset": cell.subset,
                "schedule": cell.schedule,
                "seed": cell.seed,
                "n_params": count_params(cell.model),
                "n_tokens": n_tokens,
                "tokens_from": "counted" if cell.subset in (counted or {}) else "estimate",
                **_flop_columns(cell.model, n_tokens, cell.max_length),
                "nodes": allocation.nodes,
                "devices_per_node": allocation.devices_per_node,
                "grad_accum": allocation.grad_accum,
                "micro_batch_tokens": allocation.micro_batch_tokens,
                "memory_gib": allocation.memory_gib,
                "hours": allocation.hours,
                "device_hours": allocation.hours * allocation.devices,
                "walltime_min": allocation.runtime_min,
                **_cost_column(allocation, hardware),
            }
        )
    return pd.DataFrame(rows)


def _flop_columns(model: ModelSize, n_tokens: int, max_length: int) -> dict[str, float]:
    conventions = ("appendix_e", "6nd", "6nd_non_embedding")
    return {f"flops_{c}": train_flops(model, n_tokens, convention=c, max_length=max_length) for c in conventions}


def _cost_column(allocation: Allocation, hardware: Hardware) -> dict[str, float]:
    if hardware.price_per_device_hour is None:
        return {}
    return {"cost": allocation.hours * allocation.devices * hardware.price_per_device_hour}


def plan_summary(table: pd.DataFrame, hardware: Hardware) -> pd.DataFrame:
    """Sums of a plan: one row per schedule, and one for the study."""
    sums = {
        "cells": ("model", "size"),
        "n_tokens": ("n_tokens", "sum"),
        "flops_appendix_e": ("flops_appendix_e", "sum"),
    }
    sums |= {"device_hours": ("device_hours", "sum"), "longest_hours": ("hours", "max")}
    if "cost" in table:
        sums["cost"] = ("cost", "sum")
    parts = [table.groupby("schedule", sort=False).agg(**sums).reset_index()]
    parts.append(table.assign(schedule="study").groupby("schedule").agg(**sums).reset_index())
    return pd.concat(parts, ignore_index=True).assign(device=hardware.name)


def resources(cell: Cell, n_tokens: int, *, hardware: Hardware, execution: Execution) -> dict[str, str | int | None]:
    """The `resources:` of a cell's training job, so that none of them can trigger a new training."""
    allocation = allocate(cell, n_tokens, hardware=hardware)
    return {
        "launcher": allocation.launcher,
        "mpi": allocation.mpi,
        "nodes": allocation.nodes,
        "tasks": allocation.tasks,
        "slurm_extra": allocation.slurm_extra if hardware.device == "gpu" else None,
        "runtime": allocation.runtime_min,
        "micro_batch_tokens": allocation.micro_batch_tokens,
        "engine": execution.engine,
        "zero_stage": execution.zero_stage,
        "checkpoint_tokens": execution.checkpoint_tokens,
        "keep_checkpoints": int(execution.keep_checkpoints),
    }


@dataclass(frozen=True)
class Workload:
    """What a cell has to do: tokens of its set and, by appendix E, their training FLOPs."""

    n_tokens: int
    flops: float


def workloads(study: Study, counted: Mapping[str, int]) -> dict[str, Workload]:
    """The workload of every cell by its path."""
    tokens = planned_tokens(study, counted)
    found = {}
    for cell in grid(study):
        n_tokens = tokens[cell.subset]
        flops = train_flops(cell.model, n_tokens, convention="appendix_e", max_length=cell.max_length)
        found[cell.path] = Workload(n_tokens, flops)
    return found


def grid_resources(study: Study, counted: Mapping[str, int]) -> dict[str, dict[str, str | int | None]]:
    """`resources` of every cell by its path, and its `priority`: long cells first, so that none is left at the end."""
    config, work = study.config, workloads(study, counted)
    found = {
        cell.path: resources(cell, work[cell.path].n_tokens, hardware=config.hardware, execution=config.execution)
        for cell in grid(study)
    }
    for priority, path in enumerate(sorted(work, key=lambda path: work[path].flops)):
        found[path]["priority"] = priority
    return found
