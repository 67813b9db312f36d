"""What each cell needs on the hardware that the study names, and what the study costs.

Pure functions of cells, hardware and measured speeds: nothing here is an input of training, so a new allocation
retrains nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

import pandas as pd

from ..study.config import Config, Execution, Hardware, ModelSize
from ..study.flops import count_params, train_flops
from ..study.grid import Cell, grid
from ..study.jobs import TRUNK, TRUNKS, Job, by_flops, jobs, planned_tokens, waits
from ..study.recipes.resolve import recipes
from ..study.study import Study
from ..study.trunks import Trunk
from .allocation import Allocation, fewest_devices, placements
from .calibration import paces, utilisation
from .deadline import CellSchedule, Options, cheapest, fastest, scheduled
from .dispatch import dispatch
from .hardware.devices import Device, device_of
from .memory import GIB
from .recipe_words import values_of
from .short_cells import sharing

Records = Mapping[str, Mapping[str, Any]]
"""Usable measurements by size, see `plmscale.plan.calibration.read_calibrations`."""

Shared = Mapping[str, Trunk] | None
"""The trunks that there are, see `plmscale.study.jobs.jobs`; None: those of a study that has trained nothing."""


def all_options(
    study: Study, tokens: Mapping[str, int], records: Records, *, hardware: Hardware, shared: Shared = None
) -> Options:
    """Every job's allocations by its path, jobs in the order in which Snakemake starts them."""
    measured, execution = paces(study, records), study.config.execution
    found, placed = {}, {}
    every = jobs(study, tokens, shared=shared)
    for job in every:  # the first that does not fit is refused
        # One object each for all cells of a size trained alike; `every` keeps them, so no number is used twice.
        same = id(job.cell.model), id(job.cell.training)
        if same not in placed:
            pace = measured.get(job.cell.model.name)
            placed[same] = list(placements(job.cell, hardware=hardware, execution=execution, pace=pace))
        found[job.path] = [each.over(job.n_tokens) for each in placed[same]]
    return {job.path: found[job.path] for job in in_turn(study, every)}


def in_turn(study: Study, every: Sequence[Job]) -> list[Job]:
    """Jobs in the order in which Snakemake starts those that are ready: long ones first, none is left at the end.

    With a forecast, cells that are predicted go before all, then the runs that it rests on: those of other schedules
    need not wait for it, and are trained beside its cells.
    """
    sets = study.config.forecast.sets
    predicted = {job.cell.schedule for job in every if job.cell.subset in sets}

    def turn(job: Job) -> int:
        if job.cell.subset in sets:
            return 0
        return 1 if job.path.startswith(TRUNKS) or job.cell.schedule in predicted else 2

    return sorted(by_flops(every), key=turn) if predicted else by_flops(every)


def chosen(study: Study, tokens: Mapping[str, int], records: Records, *, shared: Shared = None) -> CellSchedule:
    """The allocation of every cell; the makespan is infinite where `max_devices` is not given.

    With a deadline that cannot be met, the allocation that ends first.
    """
    hardware = study.config.hardware
    options = all_options(study, tokens, records, hardware=hardware, shared=shared)
    after = waits(jobs(study, tokens, shared=shared))
    if hardware.deadline_hours is None or hardware.max_devices is None:
        each = {path: fewest_devices(found, hardware=hardware) for path, found in options.items()}
        most = hardware.max_devices
        return scheduled(each, most, after=after) if most else CellSchedule(each, float("inf"))
    found = cheapest(options, deadline=hardware.deadline_hours, max_devices=hardware.max_devices, after=after)
    return found or fastest(options, max_devices=hardware.max_devices, after=after)


def plan(
    study: Study,
    counted: Mapping[str, int] | None = None,
    records: Records | None = None,
    *,
    shared: Shared = None,
) -> pd.DataFrame:
    """The compute plan: one row per cell.

    Parameters
    ----------
    study : Study
    counted : mapping of str to int, optional
        Exact tokens of the sets that exist already.
    records : mapping of str to dict, optional
        Measured speeds by size.
    shared : mapping of str to Trunk, optional
        See `plmscale.study.jobs.jobs`.

    Returns
    -------
    pandas.DataFrame
        One row per cell, in the order of the grid: N, tokens and where they come from, FLOPs by each convention known
        beforehand, those of them that the cell's own job trains (`tokens_trained`, `flops_trained` by appendix E: of a
        branch what comes after its trunk), devices, micro-batch and accumulation, memory of a device by part (GiB),
        time and where its speed comes from, the share of the peak that this is, device-hours, walltime and, where the
        device's draw and price are known, `energy_kwh` and `cost`; where there are rules, `learning_rate`,
        `batch_tokens` and `weight_decay`.
    """
    return _cells_and_trunks(study, counted or {}, records or {}, shared)[0]


def plan_trunks(
    study: Study,
    counted: Mapping[str, int] | None = None,
    records: Records | None = None,
    *,
    shared: Shared = None,
) -> pd.DataFrame:
    """The trunks of a plan: one row each, with the columns of `plan`; empty without any."""
    return _cells_and_trunks(study, counted or {}, records or {}, shared)[1]


def whole_plan(
    study: Study,
    counted: Mapping[str, int],
    records: Records,
    *,
    shared: Shared = None,
    found: CellSchedule | None = None,
) -> pd.DataFrame:
    """The rows of all cells, then those of their trunks; `found`, if they were chosen before (`chosen`)."""
    cells, trunks = _cells_and_trunks(study, counted, records, shared, found)
    return pd.concat([cells, trunks], ignore_index=True) if len(trunks) else cells


def _cells_and_trunks(
    study: Study, counted: Mapping[str, int], records: Records, shared: Shared, found: CellSchedule | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of all cells, and those of their trunks, of one choice of allocations."""
    tokens, n_cells = planned_tokens(study, counted), len(grid(study))
    every, found = jobs(study, tokens, shared=shared), found or chosen(study, tokens, records, shared=shared)
    cells = _rows(study, [(job, tokens[job.cell.subset]) for job in every[:n_cells]], counted, found)
    return cells, _rows(study, [(job, job.n_tokens) for job in every[n_cells:]], counted, found).assign(schedule=TRUNK)


def _rows(
    study: Study, which: Sequence[tuple[Job, int]], counted: Mapping[str, int], found: CellSchedule
) -> pd.DataFrame:
    """Rows of the plan for jobs, each with the tokens that its run has seen at its end."""
    config, rows = study.config, []
    ruled = any(recipe.rules for recipe in recipes(study.models, config.training).values())
    device = device_of(config.hardware, config.training.precision)
    for job, n_tokens in which:
        cell, allocation = job.cell, found.allocations[job.path]
        known = "counted" if cell.data in counted else "estimate"
        row = {"n_params": count_params(cell.model), "n_tokens": n_tokens, "tokens_from": known}
        row |= _flop_columns(cell.model, n_tokens, cell.max_length)
        row |= {"tokens_trained": job.n_tokens, "flops_trained": job.flops} | (values_of(cell) if ruled else {})
        row |= _allocation_columns(allocation) | _memory_columns(allocation)
        row |= _time_columns(cell, allocation, device) | _cost_columns(allocation, config.hardware, device)
        rows.append(_identity(cell) | row)
    return pd.DataFrame(rows)


def _identity(cell: Cell) -> dict[str, str | int]:
    return {"model": cell.model.name, "subset": cell.subset, "schedule": cell.schedule, "seed": cell.seed}


def _flop_columns(model: ModelSize, n_tokens: int, max_length: int) -> dict[str, float]:
    conventions = ("appendix_e", "6nd", "6nd_non_embedding")
    return {f"flops_{c}": train_flops(model, n_tokens, convention=c, max_length=max_length) for c in conventions}


def _allocation_columns(allocation: Allocation) -> dict[str, int]:
    names = ("nodes", "devices_per_node", "devices", "grad_accum", "micro_batch_tokens")
    return {name: getattr(allocation, name) for name in names}


def _memory_columns(allocation: Allocation) -> dict[str, float]:
    memory = allocation.memory
    parts = {name: getattr(memory, name) / GIB for name in ("weights", "gradients", "optimizer", "activations")}
    return {f"memory_{name}_gib": value for name, value in parts.items()} | {"memory_gib": memory.total / GIB}


def _time_columns(cell: Cell, allocation: Allocation, device: Device) -> dict[str, Any]:
    pace, peak = allocation.pace, device.peak_flops
    return {
        "speed_from": "assumed" if pace.measured_on is None else f"measured on {pace.measured_on}",
        "utilisation": utilisation(
            cell, pace, devices=allocation.devices, grad_accum=allocation.grad_accum, peak_flops=peak
        ),
        "hours": allocation.hours,
        "device_hours": allocation.device_hours,
        "walltime_min": allocation.runtime_min,
    }


def _cost_columns(allocation: Allocation, hardware: Hardware, device: Device) -> dict[str, float]:
    columns = {}
    if device.watts is not None:
        columns["energy_kwh"] = allocation.device_hours * device.watts * hardware.pue / 1000
    if hardware.price_per_device_hour is not None:
        columns["cost"] = allocation.device_hours * hardware.price_per_device_hour
    return columns


def plan_summary(table: pd.DataFrame, hardware: Hardware) -> pd.DataFrame:
    """Sums of a plan by size, by set and by schedule, and last those of the study.

    Returns
    -------
    pandas.DataFrame
        `by` is "model", "subset", "schedule" or "study", `name` which one; then cells; tokens and FLOPs that are
        trained, trunks once; FLOPs with every cell trained from its start; device-hours, the longest job, energy and
        cost.
    """
    whole = table["schedule"] != TRUNK
    table = table.assign(cell=whole.astype(int), scratch=table["flops_appendix_e"].where(whole, 0.0))
    sums = {"cells": ("cell", "sum"), "n_tokens": ("tokens_trained", "sum")}
    sums |= {"flops_appendix_e": ("flops_trained", "sum"), "flops_from_scratch": ("scratch", "sum")}
    sums |= {"device_hours": ("device_hours", "sum"), "longest_hours": ("hours", "max")}
    sums |= {name: (name, "sum") for name in ("energy_kwh", "cost") if name in table}
    parts = []
    for by in ("model", "subset", "schedule", "study"):
        keys = table[by] if by in table else pd.Series("all", index=table.index, name="study")
        part = table.groupby(keys, sort=False).agg(**sums).rename_axis("name").reset_index()
        parts.append(part.assign(by=by))
    columns = ["by", "name", *sums]
    return pd.concat(parts, ignore_index=True)[columns].assign(device=hardware.name)


def resources(
    cell: Cell, allocation: Allocation, *, hardware: Hardware, execution: Execution
) -> dict[str, str | int | None]:
    """The `resources:` of a cell's training job, so that none of them can trigger a new training."""
    nodes, per_node = allocation.nodes, allocation.devices_per_node
    longest = ceil(60 * hardware.max_walltime_hours) if hardware.max_walltime_hours else allocation.runtime_min
    return {
        **dispatch(nodes, devices_per_node=per_node, hardware=hardware, execution=execution),
        "devices": allocation.devices,
        "runtime": min(allocation.runtime_min, longest),
        "micro_batch_tokens": allocation.micro_batch_tokens,
        "peak_flops": str(device_of(hardware, cell.training.precision).peak_flops),
    }


def same_resources(config: Config) -> dict[str, str | int]:
    """The `resources:` that all training jobs of a study have in common: values, which need no look-up a job."""
    execution = config.execution
    return {
        "engine": execution.engine,
        "zero_stage": execution.zero_stage,
        "compile": int(execution.compile),
        "checkpoint_tokens": execution.checkpoint_tokens,
        "keep_checkpoints": int(execution.keep_checkpoints),
        "max_attempts": execution.max_attempts,
        "monitors": ",".join(execution.monitors) or "none",
        "wandb_project": execution.wandb_project,
        "progress_seconds": str(execution.progress_seconds),  # a resource is a whole number or a text
        "flop_convention": config.analysis.flops,
        "staging": execution.staging or "none",
    }


def grid_resources(
    study: Study, counted: Mapping[str, int], records: Records | None = None, *, shared: Shared = None
) -> dict[str, dict[str, str | int | None]]:
    """`resources` of every job by its path, and its `priority`: that of its turn."""
    config, tokens = study.config, planned_tokens(study, counted)
    allocated = chosen(study, tokens, records or {}, shared=shared).allocations
    every = jobs(study, tokens, shared=shared)
    found = {
        job.path: resources(job.cell, allocated[job.path], hardware=config.hardware, execution=config.execution)
        for job in every
    }
    cells = {job.path: allocated[job.path] for job in every if not job.path.startswith(TRUNKS)}
    for path, share in sharing(cells, hardware=config.hardware).items():
        found[path] |= share
    for priority, job in enumerate(reversed(in_turn(study, every))):
        found[job.path]["priority"] = priority
    return found


def alike(resources: Iterable[Mapping[str, str | int | None]]) -> dict[str, str | int | None]:
    """What all jobs ask for alike: values, which Snakemake need not look up for each job.

    Examples
    --------
    >>> alike([{"nodes": 1, "runtime": 10}, {"nodes": 1, "runtime": 20}])
    {'nodes': 1}
    """
    first, *others = resources
    return {name: value for name, value in first.items() if all(each[name] == value for each in others)}
