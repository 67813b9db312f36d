"""A run as it trains, for a terminal or a log: how far, how well, how fast, how long."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from tqdm import tqdm

from ..presentation.formats import duration

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingTask:
    """What a run has to do.

    Attributes
    ----------
    name : str
    n_tokens : int
        Tokens of the whole run.
    flops : callable
        Training FLOPs of so many tokens with such a sum of squared lengths, by the study's convention.
    peak_flops : float or None
        FLOP/s of all its devices together; None: not known.
    may_stop : bool
        Whether it ends earlier if it reaches its plateau.
    """

    name: str
    n_tokens: int
    flops: Callable[[int, int], float]
    peak_flops: float | None
    may_stop: bool


@dataclass(frozen=True)
class ProgressPoint:
    """A moment of a run: seconds of a clock, and what had been done by then."""

    seconds: float
    n_tokens: int
    squared_lengths: int


@dataclass(frozen=True)
class Throughput:
    """Speed between two moments.

    Attributes
    ----------
    tokens_per_second : float
    utilisation : float or None
        FLOP/s ÷ peak of the devices (model-FLOPs utilisation, Chowdhery et al. 2022, appendix B: the FLOPs are those of
        the model by the study's convention, recomputed activations and padding not among them); None: no peak known.
    """

    tokens_per_second: float
    utilisation: float | None


def speed(task: TrainingTask, *, since: ProgressPoint, now: ProgressPoint) -> Throughput:
    """Speed of a run between two moments.

    Examples
    --------
    >>> task = TrainingTask("t", 10_000, lambda n_tokens, squares: 1e6 * n_tokens, 1e10, may_stop=False)
    >>> speed(task, since=ProgressPoint(10.0, 4000, 0), now=ProgressPoint(12.0, 10_000, 0))
    Throughput(tokens_per_second=3000.0, utilisation=0.3)
    """
    seconds = max(now.seconds - since.seconds, 1e-9)
    n_tokens, squares = now.n_tokens - since.n_tokens, now.squared_lengths - since.squared_lengths
    share = None if task.peak_flops is None else task.flops(n_tokens, squares) / seconds / task.peak_flops
    return Throughput(n_tokens / seconds, share)


def perplexity(loss: float) -> float:
    """exp(loss), infinite where that is beyond a float."""
    return math.exp(loss) if loss < 700 else math.inf


def progress_line(task: TrainingTask, row: Mapping[str, Any], *, at: Throughput, seconds_left: float) -> str:
    """How a run stands, as a line of a log.

    Examples
    --------
    >>> task = TrainingTask("5M/all/wsd/seed0", 6_500_000, lambda n, s: 0.0, None, may_stop=False)
    >>> row = {"n_tokens": 1_300_000, "loss": 2.5, "learning_rate": 4e-4}
    >>> progress_line(task, row, at=Throughput(20_000.0, 0.41), seconds_left=260)
    '1.30M of 6.50M tokens (20 %), loss 2.5000, perplexity 12.18, lr 0.0004, 20.0k tokens/s, 41 % of peak, 4 min left'
    """
    done, total = row["n_tokens"], task.n_tokens
    parts = [f"{short(done)} of {short(total)} tokens ({100 * done / total:.0f} %)", *_state(row)]
    parts.append(f"{short(at.tokens_per_second)} tokens/s")
    if at.utilisation is not None:
        parts.append(f"{100 * at.utilisation:.2g} % of peak")
    if done < total:
        parts.append(f"{'at most ' if task.may_stop else ''}{duration(seconds_left)} left")
    return ", ".join(parts)


def _state(row: Mapping[str, Any]) -> list[str]:
    loss = row["loss"]
    return [f"loss {loss:.4f}", f"perplexity {perplexity(loss):.2f}", f"lr {row['learning_rate']:.3g}"]


def short(value: float) -> str:
    """A count to three digits: 1.30M."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.{max(0, 2 - math.floor(math.log10(max(scaled, 1.0))))}f}{letter}"
    return f"{value:.0f}"


class ProgressDisplay:
    """Shows a run: a bar on a terminal, else lines in the log, not more often than every few seconds.

    The first row and the last are always shown. Speeds are those since the line before, time left goes by the mean of
    this attempt: the time of attempts before it, and of its own start, is in neither.

    Parameters
    ----------
    task : TrainingTask
    start : ProgressPoint
        Where this attempt begins.
    every : float
        Seconds between two lines.
    stream : text file
        Where the bar goes, if it is a terminal.
    """

    def __init__(self, task: TrainingTask, *, start: ProgressPoint, every: float, stream: TextIO) -> None:
        self._task, self._start, self._every = task, start, every
        self._shown, self._printed = start, False
        self._pending: tuple[Mapping[str, Any], ProgressPoint] | None = None
        self._bar = None
        if stream.isatty():
            scale: dict[str, Any] = {"unit": "tok", "unit_scale": True, "dynamic_ncols": True}
            self._bar = tqdm(
                total=task.n_tokens, initial=start.n_tokens, desc=task.name, file=stream, mininterval=0.2, **scale
            )

    def show(self, row: Mapping[str, Any], *, now: ProgressPoint) -> None:
        """Show a row of metrics, if it is time to."""
        self._pending = row, now
        if self._bar is not None:
            since, self._shown = self._shown, now
            share = speed(self._task, since=since, now=now).utilisation
            parts = _state(row) + ([] if share is None else [f"{100 * share:.2g} % of peak"])
            self._bar.set_postfix_str(", ".join(parts), refresh=False)
            self._bar.update(now.n_tokens - since.n_tokens)
        elif not self._printed or now.seconds - self._shown.seconds >= self._every:
            self._print(row, now)

    def _print(self, row: Mapping[str, Any], now: ProgressPoint) -> None:
        mean = speed(self._task, since=self._start, now=now).tokens_per_second
        left = (self._task.n_tokens - now.n_tokens) / max(mean, 1e-9)
        here = speed(self._task, since=self._shown, now=now)
        log.info("%s", progress_line(self._task, row, at=here, seconds_left=left))
        self._shown, self._printed, self._pending = now, True, None

    def close(self) -> None:
        """Show the last row, if it was not, and leave the terminal tidy."""
        if self._bar is not None:
            self._bar.close()
        elif self._pending is not None:
            self._print(*self._pending)


def progress_point(row: Mapping[str, Any]) -> ProgressPoint:
    """This moment, at this row of metrics."""
    return ProgressPoint(time.perf_counter(), row["n_tokens"], row["squared_lengths"])
