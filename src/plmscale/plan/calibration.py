"""Measured speeds of sizes: what is measured, and which measurements a plan may use."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..files import read_as, read_object
from ..study.config import Health
from ..study.flops import train_flops_per_token
from ..study.grid import Cell, grid
from ..study.schedule_settings import Stop
from ..study.study import Study
from .hardware.devices import same_device
from .hardware.step_time import scaling_of
from .memory import memory_of
from .pace import Pace, device_for

SHAPE = ("n_layers", "d_model", "d_ffn", "n_heads")
"""What of a size decides how fast it is."""


def settings_of(study: Study, cell: Cell) -> dict[str, Any]:
    """Everything that the speed of a cell's size may depend on; a measurement under other values is not used."""
    hardware, execution = study.config.hardware, study.config.execution
    return {
        "hardware.name": hardware.name,
        "hardware.device": hardware.device,
        "training.precision": cell.training.precision,
        "training.batch_tokens": cell.training.batch_tokens,
        "training.order": cell.training.order,
        "max_length": cell.max_length,
        "execution.engine": execution.engine,
        "execution.zero_stage": execution.zero_stage,
        "execution.compile": execution.compile,
        "execution.threads": execution.threads,
    } | {name: getattr(cell.model, name) for name in SHAPE}


def timed_cells(study: Study) -> dict[str, Cell]:
    """The cell that is timed for each size of the grid: its first on its largest set, which has most devices."""
    estimates = {s.name: s.n_sequences for s in study.subsets}
    found: dict[str, Cell] = {}
    for cell in grid(study):
        known = found.get(cell.model.name)
        if known is None or estimates[cell.subset] > estimates[known.subset]:
            found[cell.model.name] = cell
    return found


def timed_run(cell: Cell) -> dict[str, Any]:
    """The frozen cell of the run that times `cell`: nothing ends it early, and no learning rate makes it diverge."""
    training = cell.training.model_copy(
        update={"warmup_tokens": 0, "stop": Stop(), "health": Health(divergence_nats=1e6)}
    )
    model = cell.model.model_copy(update={"learning_rate": 1e-12})
    return replace(cell, model=model, training=training, schedule="constant", of=None, epochs=1.0).frozen()


def specification(study: Study, cell: Cell) -> str:
    """The input of `plmscale.training.calibrate` for a size, as JSON text."""
    steps = study.config.hardware.calibration_steps
    return json.dumps({"cell": timed_run(cell), "settings": settings_of(study, cell), "steps": steps})


def read_calibrations(study: Study, folder: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The measurements in `folder` ({size}.json) that hold for a study, and why others do not.

    Returns
    -------
    dict of str to dict
        Record by size.
    list of str
        A sentence for every record that was made under other settings or on another device.
    """
    usable, warnings = {}, []
    for name, cell in timed_cells(study).items():
        path = folder / f"{name}.json"
        if not path.is_file():
            continue
        record = read_object(path)
        with read_as("what `plmscale calibrate` measured", where=path):
            reason = _void(record, settings_of(study, cell)) or ("" if _pace(study, cell, record) else "")
        if reason:
            warnings.append(f"{path} is not used: {reason}. Delete it, and run `plmscale calibrate` to measure again.")
        else:
            usable[name] = record
    return usable, warnings


def _void(record: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    was = record["settings"]
    for key, now in settings.items():
        if was.get(key) != now:
            return f"{key} was {was.get(key)!r} and is {now!r}"
    name, reported = settings["hardware.name"], record["device_name"]
    if settings["hardware.device"] == "gpu" and not same_device(name, reported):
        return f"it was measured on {reported!r}, which is not {name}"
    return ""


def paces(study: Study, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Pace]:
    """The pace of every size with a usable record.

    The start-up is what a job spends besides steps, checkpoints and evaluation, slow first steps included. The holdout
    counts with the size it is drawn with, an upper bound.
    """
    timed = timed_cells(study)
    return {name: _pace(study, timed[name], record) for name, record in records.items() if name in timed}


def _pace(study: Study, cell: Cell, record: Mapping[str, Any]) -> Pace:
    config = study.config
    estimate = memory_of(cell, devices=record["devices"], grad_accum=record["grad_accum"], execution=config.execution)
    used = record["peak_memory_gib"] * 2**30 - estimate.states
    # The memory of a process on a CPU is mostly that of its libraries.
    factor = max(1.0, used / estimate.activations) if config.hardware.device == "gpu" else 1.0
    return Pace(
        tokens_per_second=record["tokens_per_second"],
        devices=record["devices"],
        scaling=scaling_of(
            cell, device_for(cell, config.hardware), hardware=config.hardware, execution=config.execution
        ),
        grad_accum=record["grad_accum"],
        startup_seconds=record["startup_seconds"] + record["finish_seconds"],
        checkpoint_seconds=record["checkpoint_seconds"],
        evaluation_seconds=record["evaluation_seconds_per_sequence"] * config.holdout.n_sequences,
        memory_factor=factor,
        measured_on=record["device_name"],
    )


def utilisation(cell: Cell, pace: Pace, *, devices: int, grad_accum: int, peak_flops: float) -> float:
    """Share of the peak that a pace means for a cell, FLOPs counted by appendix E."""
    per_token = train_flops_per_token(cell.model, cell.max_length)
    return pace.speed(devices, grad_accum) * per_token / (devices * peak_flops)
