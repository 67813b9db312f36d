"""The record of a run: what it was, what it saw, what it cost, and where."""

import argparse
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ..files import atomic, write_json
from ..provenance import versions
from ..study.flops import count_params
from .attempts import device_seconds
from .checkpoints import Checkpoints
from .monitor import METRICS

if TYPE_CHECKING:
    from .trainer import Run


WEIGHTS = "model.safetensors"
"""The weights of a run, beside its record."""


def record_of(run: "Run", *, status: str, reason: str | None, holdout: dict[str, Any] | None) -> dict[str, Any]:
    """The record of a run that has ended; keys are those of `file_formats.RECORD_MEANINGS`."""
    progress, attempts, passes = run.progress, run.attempts.table(), run.batches.passes
    return {
        "cell": run.cell.frozen(),
        "status": status,
        "stopped": run.stopped,
        "reason": reason,
        "n_params": count_params(run.cell.model),
        "n_steps": progress.step,
        "n_tokens": progress.n_tokens,
        "squared_lengths": progress.squared_lengths,
        "pass_tokens": passes.pass_tokens,
        "unique_tokens": passes.unique_tokens,
        "epochs": progress.n_tokens / passes.pass_tokens,
        "trunk": str(run.args.trunk) if run.args.trunk else None,
        "branched_from": progress.branched_from,
        "holdout": holdout,
        "seconds": progress.seconds,
        "wall_seconds": run.wall_seconds(),
        "resumed_at_steps": progress.resumed_at,
        "attempts": attempts,
        "device_seconds": device_seconds(attempts),
        "discarded_checkpoints": progress.discarded_checkpoints,
        "failed_checkpoints": progress.failed_checkpoints,
        "spikes": progress.health.spikes,
        "allocation": {
            "world": run.ranks.world,
            "device": run.ranks.device.type,
            "threads": torch.get_num_threads(),
            "grad_accum": run.grad_accum,
            "engine": run.args.engine,
            "zero_stage": run.args.zero_stage,
            "compile": bool(run.args.compile),
        },
        "versions": versions(),
    }


def write_outputs(args: argparse.Namespace, record: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Write the declared outputs, the record last."""
    with atomic(args.metrics) as partial:
        pq.write_table(pa.Table.from_pylist(rows, METRICS), partial)
    write_json(args.record, record)


def keep_checkpoints(checkpoints: Checkpoints, args: argparse.Namespace, *, status: str) -> None:
    """Remove the checkpoints of a run that has ended; the last stays if that was asked for, or if the run diverged."""
    if status == "done" and not args.keep_checkpoints:
        checkpoints.remove()
    else:
        checkpoints.keep(1)
