"""Metrics writers that draw a run while it trains: TensorBoard, a CSV file, Weights & Biases.

They are written here and not through DeepSpeed's monitor, so that both engines give the same points: DeepSpeed's loss
is that of a rank's last micro-batch, scaled for its own averaging, against samples and not tokens; and neither its
TensorBoard nor its CSV takes back, after a resume, what an interrupted attempt wrote beyond its checkpoint.
"""

import csv
import importlib.util
import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import InputError
from ..files import atomic, read_object

log = logging.getLogger(__name__)

COLUMNS = (
    "n_tokens",
    "loss",
    "perplexity",
    "learning_rate",
    "lr_fraction",
    "tokens_per_second",
    "utilisation",
)
"""What a monitor draws against the step. `utilisation` is left out where the peak of the devices is not known."""

Values = Mapping[str, float]


@dataclass(frozen=True)
class MonitoredRun:
    """The run that the monitors draw.

    Attributes
    ----------
    folder : Path
        Where its files are.
    name : str
        The cell, `Cell.path`.
    cell : dict
        `Cell.frozen`.
    project : str
        Project of Weights & Biases.
    last_step : int
        Step from which the run goes on; points beyond it are of an attempt that was interrupted.
    continued : bool
        Whether there was an attempt before, as opposed to a run that is trained afresh.
    """

    folder: Path
    name: str
    cell: Mapping[str, Any]
    project: str
    last_step: int
    continued: bool


class MetricsWriter(Protocol):
    """What is asked of a monitor. Each method may raise: the monitor is dropped then."""

    def write(self, step: int, values: Values) -> None:
        """Draw a point in each of `COLUMNS` that has a value."""
        ...

    def sync(self) -> None:
        """Write out what is still buffered: after a resume it would be missing."""
        ...

    def close(self) -> None:
        """Finish."""
        ...


class TensorBoardWriter:
    """Event files in `tensorboard/`; points of interrupted attempts are purged when TensorBoard reads them."""

    def __init__(self, run: MonitoredRun) -> None:
        from torch.utils.tensorboard import SummaryWriter  # here, since it takes half a second

        # The step named here is purged as well, hence the one after the last.
        self._writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=run.last_step + 1)

    def write(self, step: int, values: Values) -> None:
        """See `MetricsWriter.write`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def sync(self) -> None:
        """See `MetricsWriter.sync`."""
        self._writer.flush()

    def close(self) -> None:
        """See `MetricsWriter.close`."""
        self._writer.close()


class CsvWriter:
    """`metrics.csv`, one line a row; after a resume it is cut back to the checkpoint."""

    def __init__(self, run: MonitoredRun) -> None:
        path = run.folder / "metrics.csv"
        kept = [line for line in _whole_lines(path) if line.split(",")[0].isdigit()]
        kept = [line for line in kept if int(line.split(",")[0]) <= run.last_step]
        with atomic(path) as partial:
            partial.write_text("".join([",".join(("step", *COLUMNS)) + "\n", *kept]))
        self._file = path.open("a", newline="")
        self._lines = csv.writer(self._file, lineterminator="\n")

    def write(self, step: int, values: Values) -> None:
        """See `MetricsWriter.write`."""
        self._lines.writerow([step, *(values.get(name) for name in COLUMNS)])
        self._file.flush()

    def sync(self) -> None:
        """See `MetricsWriter.sync`."""
        self._file.flush()

    def close(self) -> None:
        """See `MetricsWriter.close`."""
        self._file.close()


def _whole_lines(path: Path) -> list[str]:
    """Lines of a file that may be absent; a last one that a kill cut short is left out."""
    if not path.is_file():
        return []
    return [line for line in path.read_text(errors="replace").splitlines(keepends=True) if line.endswith("\n")]


class WandbWriter:
    """A run of Weights & Biases, which is set up by its environment variables (`WANDB_MODE=offline`, `WANDB_ENTITY`).

    W&B cannot take points back, on its server or offline. So `wandb.json` keeps the run's id and the last step drawn:
    a run that is taken up again goes on under its id, and does not draw again what its interrupted attempt had drawn
    (the same numbers).
    """

    def __init__(self, run: MonitoredRun) -> None:
        import wandb  # type: ignore[import-not-found]  (optional)

        self._path = run.folder / "wandb.json"
        before = read_object(self._path) if run.continued and self._path.is_file() else {}
        self._id, self._drawn = before.get("id") or uuid.uuid4().hex, before.get("step", 0)
        self._note()
        self._run = wandb.init(
            project=run.project,
            name=run.name,
            id=self._id,
            resume="allow",
            dir=str(run.folder),
            config=dict(run.cell),
        )

    def _note(self) -> None:
        partial = self._path.with_suffix(".partial")  # without fsync, since it is written at every row
        partial.write_text(json.dumps({"id": self._id, "step": self._drawn}))
        partial.replace(self._path)

    def write(self, step: int, values: Values) -> None:
        """See `MetricsWriter.write`."""
        if step <= self._drawn:
            return
        self._run.log(dict(values), step=step)
        self._drawn = step
        self._note()

    def sync(self) -> None:
        """See `MetricsWriter.sync`."""

    def close(self) -> None:
        """See `MetricsWriter.close`."""
        self._run.finish()


METRICS_WRITERS: dict[str, Callable[[MonitoredRun], MetricsWriter]] = {
    "tensorboard": TensorBoardWriter,
    "csv": CsvWriter,
    "wandb": WandbWriter,
}
"""The monitors of `execution.monitors` by name."""


def check_monitors(names: Sequence[str]) -> None:
    """Check that monitors can be had, before anything is trained.

    Raises
    ------
    InputError
        For a name that is none, and for Weights & Biases where it is not installed.
    """
    if unknown := [name for name in names if name not in METRICS_WRITERS]:
        raise InputError(f"execution.monitors: no monitor {unknown[0]!r}. There are: {', '.join(METRICS_WRITERS)}.")
    if "wandb" in names and importlib.util.find_spec("wandb") is None:
        raise InputError(
            "execution.monitors names 'wandb', but the package wandb is not installed here. "
            "Install it (pip install wandb), or leave it out."
        )


class MetricsWriters:
    """Several monitors of a run, none of which can stop it: one that fails is dropped with one warning.

    Parameters
    ----------
    names : sequence of str
        Keys of `METRICS_WRITERS`.
    run : MonitoredRun
    """

    def __init__(self, names: Sequence[str], *, run: MonitoredRun) -> None:
        self._writers: dict[str, MetricsWriter] = {}
        for name in names:
            try:
                self._writers[name] = METRICS_WRITERS[name](run)
            except Exception as error:  # whatever a monitor's library raises: no monitor may stop a run
                _warn(name, error)

    def write(self, step: int, values: Values) -> None:
        """Draw a point in every monitor."""
        self._each(lambda writer: writer.write(step, values))

    def sync(self) -> None:
        """Write out what is still buffered."""
        self._each(lambda writer: writer.sync())

    def close(self) -> None:
        """Finish every monitor."""
        self._each(lambda writer: writer.close())

    def _each(self, act: Callable[[MetricsWriter], None]) -> None:
        for name, writer in list(self._writers.items()):
            try:
                act(writer)
            except Exception as error:  # whatever a monitor's library raises: no monitor may stop a run
                _warn(name, error)
                del self._writers[name]


def _warn(name: str, error: Exception) -> None:
    log.warning("the monitor %r failed and is dropped; the run continues: %s: %s", name, type(error).__name__, error)
