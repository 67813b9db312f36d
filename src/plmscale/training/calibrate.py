"""Time a short run of one size, once per rank, as training is run.

It is a training run as any other, on a few steps' worth of sequences, with a clock on its parts.
"""

import argparse
import logging
import os
import platform
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from ..clock import process_age
from ..errors import InputError
from ..files import read_object, write_json
from ..provenance import versions
from ..study.flops import train_flops
from .calibration_data import SPECIFICATION, WARM_UP
from .engine import Ranks, joined_ranks
from .interruption import StopRequest
from .monitor import MonitorOptions
from .trainer import Run

GIB = 2**30


class TimedRun(Run):
    """A run with a clock: when its steps ended, and how long checkpoints and evaluation took."""

    def __init__(self, args: argparse.Namespace, ranks: Ranks, *, asked: StopRequest) -> None:
        super().__init__(args, ranks, asked=asked)
        self.first_step_at: float | None = None
        self.ends: list[float] = []
        self.tokens: list[int] = []
        self.pauses: list[tuple[int, float]] = []
        self.evaluation_seconds = 0.0

    @property
    def n_sequences(self) -> int:
        """Sequences of the pass."""
        return sum(len(self.batches.batch(step).lengths) for step in range(len(self.batches)))

    def _step(self) -> float:
        if self.first_step_at is None:
            self.first_step_at = process_age()
        loss = super()._step()  # the loss on the host means that the device has done the step
        self.ends.append(process_age())
        self.tokens.append(self.progress.n_tokens)
        return loss

    def _checkpoint(self, *args: Any, **kwargs: Any) -> None:
        started = time.perf_counter()
        super()._checkpoint(*args, **kwargs)
        self.pauses.append((len(self.ends), time.perf_counter() - started))

    def evaluate(self) -> dict[str, Any]:
        """See `Run.evaluate`."""
        started = time.perf_counter()
        scores = super().evaluate()
        self.evaluation_seconds = time.perf_counter() - started
        return scores


FILES = {
    "cell": "cell.json",
    "store": "store",
    "subset": "subset.npy",
    "holdout": "holdout.npy",
    "metrics": "metrics.parquet",
    "record": "run.json",
    "checkpoints": "checkpoints",
}
"""Arguments of a training run that are files, and their names in the folder of a timed run."""


def time_size(args: argparse.Namespace, *, work: Path, out: Path) -> NoReturn:
    """Time a size, write the measurement, and end the process.

    Parameters
    ----------
    args : Namespace
        Of `plmscale time-size`; it gets the arguments of a training run that are files.
    work : Path
        What `prepare_data` made.
    out : Path
    """
    vars(args).update({name: work / file for name, file in FILES.items()} | {"trunk": None, "until_passes": None})
    torch.set_num_threads(args.threads)
    spec = read_object(work / SPECIFICATION)
    with joined_ranks() as ranks:
        asked = StopRequest()
        asked.listen()
        args.checkpoint_tokens = max(1, spec["steps"] * spec["cell"]["training"]["batch_tokens"] // 2)
        record = measure(args, ranks, asked=asked)
        if ranks.rank == 0:
            write_json(out, record | {"settings": spec["settings"], "versions": versions()})
            shutil.rmtree(work, ignore_errors=True)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # as training ends: threads of gloo do not survive a finalising interpreter


def measure(args: argparse.Namespace, ranks: Ranks, *, asked: StopRequest) -> dict[str, Any]:
    """Train to the end of the short pass, and say how long its parts took.

    Parameters
    ----------
    args : Namespace
        Of `plmscale train`.
    ranks : Ranks
    asked : StopRequest

    Returns
    -------
    dict
        `tokens_per_second` of all devices together, from the end of the warm-up to the last step, checkpoints left
        out; `step_seconds`, their quantiles; `flops_per_second` and `utilisation` by the study's convention;
        `peak_memory_gib`; `startup_seconds` to the first step, and what the first steps took longer;
        `checkpoint_seconds`, mean of two; `evaluation_seconds_per_sequence`; `finish_seconds` for the outputs.
    """
    run = TimedRun(args, ranks, asked=asked)
    result = run.train()
    trained = process_age()
    run.finish(*result)
    finish = process_age() - trained - run.evaluation_seconds
    return _record(run, args, finish=finish)


def _record(run: TimedRun, args: argparse.Namespace, *, finish: float) -> dict[str, Any]:
    ends, tokens = np.array(run.ends), np.array(run.tokens)
    if ends.size < WARM_UP + 4:
        raise InputError(f"the timed run had {ends.size} steps, {WARM_UP + 4} are needed: give a larger training set.")
    # A checkpoint after step k lies between the ends of k and k + 1.
    paused = sum(seconds for after, seconds in run.pauses if WARM_UP <= after < ends.size)
    pace = float(tokens[-1] - tokens[WARM_UP - 1]) / float(ends[-1] - ends[WARM_UP - 1] - paused)
    pauses = np.array([sum(s for after, s in run.pauses if after == k) for k in range(1, ends.size)])
    steps = (np.diff(ends) - pauses)[WARM_UP - 1 :]
    assert run.first_step_at is not None
    slow_start = float(ends[WARM_UP - 1]) - run.first_step_at - float(tokens[WARM_UP - 1]) / pace
    options = MonitorOptions.from_args(args, world=run.ranks.world)
    flops = train_flops(
        run.cell.model,
        pace,
        convention=options.convention,
        max_length=run.cell.max_length,
        squared_lengths=run.progress.squared_lengths / run.progress.n_tokens * pace,
    )
    return {
        "device_name": device_name(run.ranks.device),
        "devices": run.ranks.world,
        "micro_batch_tokens": args.micro_batch_tokens,
        "grad_accum": run.grad_accum,
        "steps": int(steps.size),
        "mean_length": run.progress.n_tokens / run.n_sequences,
        "tokens_per_second": pace,
        "step_seconds": dict(zip(("p10", "p50", "p90"), np.quantile(steps, (0.1, 0.5, 0.9)).tolist(), strict=True)),
        "flops_per_second": flops,
        "utilisation": None if options.peak_flops is None else flops / options.peak_flops,
        "peak_memory_gib": peak_memory(run.ranks.device) / GIB,
        "startup_seconds": run.first_step_at + max(0.0, slow_start),
        "checkpoint_seconds": float(np.mean([seconds for _, seconds in run.pauses])),
        "evaluation_seconds_per_sequence": run.evaluation_seconds / max(1, len(run.holdout)),
        "finish_seconds": max(0.0, finish),
    }


def device_name(device: torch.device) -> str:
    """What the driver calls a GPU, or the system a processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def peak_memory(device: torch.device) -> int:
    """Most bytes held at a time: of tensors on a GPU, of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
