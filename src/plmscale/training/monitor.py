"""What a run shows while it trains: rows of metrics, monitors that draw them, and a bar or lines of progress."""

import argparse
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..study.flops import train_flops
from ..study.grid import Cell
from .checkpoints import Progress
from .console import ProgressDisplay, TrainingTask, perplexity, progress_point, speed
from .loggers import MetricsWriters, MonitoredRun, check_monitors

log = logging.getLogger(__name__)

METRICS = pa.schema(
    [
        ("step", pa.int64()),
        ("n_tokens", pa.int64()),
        ("squared_lengths", pa.int64()),
        ("loss", pa.float64()),
        ("n_predicted", pa.int64()),
        ("learning_rate", pa.float64()),
        ("lr_fraction", pa.float64()),
    ]
)
"""Columns of metrics.parquet.

`n_tokens` and `squared_lengths` are sums since the start, so that FLOPs follow by any convention; `loss` is the mean
over the `n_predicted` positions since the row before; `learning_rate` is that of the next step.
"""


def metrics_row(progress: Progress, *, fraction: float, learning_rate: float) -> dict[str, Any]:
    """The row of metrics of the steps since the row before.

    Parameters
    ----------
    progress : Progress
        Where the run stands.
    fraction : float
        Learning rate of the next step ÷ initial learning rate.
    learning_rate : float
        Initial learning rate.

    Returns
    -------
    dict
        A value for each column of `METRICS`.
    """
    return {
        "step": progress.step,
        "n_tokens": progress.n_tokens,
        "squared_lengths": progress.squared_lengths,
        "loss": progress.summed / max(1, progress.n_predicted),
        "n_predicted": progress.n_predicted,
        "learning_rate": fraction * learning_rate,
        "lr_fraction": fraction,
    }


@dataclass(frozen=True)
class MonitorOptions:
    """How a run is shown; none of it can change a result.

    Attributes
    ----------
    monitors : tuple of str
        Keys of `plmscale.training.loggers.METRICS_WRITERS`.
    project : str
        Project of Weights & Biases.
    every : float
        Seconds between two lines of progress.
    convention : str
        FLOP convention of the utilisation, see `plmscale.study.flops.train_flops`.
    peak_flops : float or None
        Peak FLOP/s of all devices of the run together.
    """

    monitors: tuple[str, ...]
    project: str
    every: float
    convention: str
    peak_flops: float | None

    @classmethod
    def from_args(cls, args: argparse.Namespace, *, world: int) -> "MonitorOptions":
        """The options of `plmscale train`; monitors that cannot be had are an `InputError`."""
        monitors = () if args.monitors == "none" else tuple(args.monitors.split(","))
        check_monitors(monitors)
        peak = None if args.peak_flops is None else args.peak_flops * world
        return cls(monitors, args.wandb_project, args.progress_seconds, args.flop_convention, peak)


class RunMonitor:
    """Everything that shows a run, on its first rank.

    Parameters
    ----------
    cell : Cell
    options : MonitorOptions
    folder : Path
        The run's folder.
    progress : Progress
        Where this attempt begins.
    n_tokens : int
        Tokens of the whole run.
    continued : bool
        Whether there was an attempt before.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        options: MonitorOptions,
        folder: Path,
        progress: Progress,
        n_tokens: int,
        continued: bool,
    ) -> None:
        run = MonitoredRun(folder, cell.path, cell.frozen(), options.project, progress.step, continued)
        self._writers = MetricsWriters(options.monitors, run=run)
        may_stop = cell.training.stop.patience_tokens is not None
        self.task = TrainingTask(
            cell.path, n_tokens, partial(_flops, cell, options.convention), options.peak_flops, may_stop
        )
        self._before = progress_point(vars(progress))
        self._live: ProgressDisplay | None = ProgressDisplay(
            self.task, start=self._before, every=options.every, stream=sys.stderr
        )

    def show(self, row: dict[str, Any]) -> None:
        """Show a row of metrics."""
        now = progress_point(row)
        here = speed(self.task, since=self._before, now=now)
        self._before = now
        values = {name: row[name] for name in ("n_tokens", "loss", "learning_rate", "lr_fraction")}
        values |= {"perplexity": perplexity(row["loss"]), "tokens_per_second": here.tokens_per_second}
        if here.utilisation is not None:
            values["utilisation"] = here.utilisation
        self._writers.write(row["step"], values)
        self._shown(lambda live: live.show(row, now=now))

    def sync(self) -> None:
        """Write out what monitors still buffer: called before a checkpoint, from which a resumed run draws on."""
        self._writers.sync()

    def close(self) -> None:
        """Show the last row and finish the monitors."""
        self._shown(lambda live: live.close())
        self._writers.close()

    def _shown(self, act: Callable[[ProgressDisplay], None]) -> None:
        """Show progress; a terminal that has gone (the user logged out) must not stop the run."""
        if self._live is None:
            return
        try:
            act(self._live)
        except OSError as error:
            self._live = None
            log.warning("progress is no longer shown; the run continues: %s", error)


def _flops(cell: Cell, convention: str, n_tokens: int, squared_lengths: int) -> float:
    return train_flops(
        cell.model,
        n_tokens,
        convention=convention,
        max_length=cell.max_length,
        squared_lengths=squared_lengths,
    )
