"""What is left to train: as planned, corrected by what jobs have taken so far, their starts apart from their steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

LEAST_SIZES = 3
"""Sizes that must be known before they say what steps of another one cost."""

LEAST_SHARE = 0.05
"""Share of a job from which its device-hours show its speed: before, they are mostly start-up."""


@dataclass(frozen=True)
class Work:
    """A training job, and how far it is.

    Attributes
    ----------
    size : str
    planned : float
        What it costs by the plan, in device-hours; FLOPs do where there is no plan.
    share : float
        Share of its tokens that it has trained.
    taken : float or None
        Device-hours that this took; None or 0 where that is not known.
    done : bool
        Whether it ends there, be it before its last token.
    running : bool
    start : float
        The part of `planned` that does not grow with its tokens.
    stepped : float or None
        The part of `taken` that went into steps; None where that is not known, as of a job that runs.
    tokens : float
        Those that it trains; 0 where that is not known.
    """

    size: str
    planned: float
    share: float = 0.0
    taken: float | None = None
    done: bool = False
    running: bool = False
    start: float = 0.0
    stepped: float | None = None
    tokens: float = 0.0

    @property
    def gone(self) -> float:
        """Share of it that needs no more training."""
        return 1.0 if self.done else self.share

    @property
    def measures(self) -> bool:
        """Whether its device-hours show the speed of its size."""
        return bool(self.taken) and self.share >= LEAST_SHARE


def costs(every: Sequence[Work]) -> list[float]:
    """What each job costs as a whole.

    A job that has trained long enough costs what it takes at its own speed. Of the others the plan is corrected: its
    start by the starts of all jobs that have finished, for a short job is mostly start, and long ones say nothing of
    that; its steps by the jobs of the same size that have trained long enough. Where there are none, steps cost what
    those of the other sizes say of a token and of a FLOP: small sizes take longer than their FLOPs.

    Examples
    --------
    >>> done = Work("5M", 1.0, share=1.0, taken=3.0, done=True)
    >>> costs([done, Work("5M", 2.0), Work("9M", 4.0, share=0.5, taken=2.0)])
    [3.0, 6.0, 4.0]
    >>> costs([Work("5M", 1.0), Work("9M", 4.0)])
    [1.0, 4.0]
    >>> quick_start = Work("5M", 11.0, share=1.0, taken=21.0, done=True, start=1.0, stepped=20.5)
    >>> costs([quick_start, Work("5M", 3.0, start=1.0)])
    [21.0, 4.6]
    """
    measured = [one for one in every if one.measures]
    factor = _start_factor(measured)
    other = _other_sizes(measured, factor)
    of_size: dict[str, Steps] = {}
    for size in {one.size for one in measured}:
        of_size[size] = 0.0, _ratio([one for one in measured if one.size == size], factor)
    return [_cost(one, factor, of_size.get(one.size, other)) for one in every]


Steps = tuple[float, float]
"""What steps cost: for each token, and for each device-hour of the plan."""


def _cost(one: Work, factor: float | None, steps: Steps) -> float:
    """Of a job: its own where it measures, else the plan's, its start × `factor` and its steps as `steps` says."""
    if one.measures:
        return (one.taken or 0.0) / (1.0 if one.done else one.share)
    start = one.start if factor is not None else 0.0
    return start * (factor or 0.0) + steps[0] * one.tokens + steps[1] * (one.planned - start)


def _other_sizes(measured: Sequence[Work], factor: float | None) -> Steps:
    """What steps cost in a size of which nothing is known: the least squares of relative errors, none negative."""
    if not measured:
        return 0.0, 1.0
    sizes = {one.size for one in measured}
    if factor is None or len(sizes) < LEAST_SIZES or not all(one.tokens for one in measured):
        return 0.0, _ratio(measured, factor)
    known = [(_steps(one, factor), one) for one in measured]
    terms = [
        (one.share * one.tokens / took, one.share * (one.planned - one.start) / took) for took, one in known if took
    ]
    if not terms:
        return 0.0, 1.0
    each, whole = scipy.optimize.nnls(np.array(terms), np.ones(len(terms)))[0].tolist()
    return each, whole


def _start_factor(measured: Sequence[Work]) -> float | None:
    """Taken ÷ planned of what no step took, of finished jobs; None where no job says it."""
    known = [one for one in measured if one.stepped is not None and one.start]
    if not known:
        return None
    taken = sum((one.taken or 0.0) - (one.stepped or 0.0) for one in known)
    return taken / sum(one.start for one in known)


def _ratio(measured: Sequence[Work], factor: float | None) -> float:
    """Taken ÷ planned of steps; of all that they took where starts are not known."""
    if factor is None:
        pairs = [(one.taken or 0.0, one.planned * one.share) for one in measured]
    else:
        pairs = [(_steps(one, factor), (one.planned - one.start) * one.share) for one in measured]
    planned = sum(each for _, each in pairs)
    return sum(taken for taken, _ in pairs) / planned if planned else 1.0


def _steps(one: Work, factor: float) -> float:
    """Device-hours that went into steps; of a job that does not say it, all but what a start takes."""
    taken = one.taken or 0.0
    return max(0.0, taken - one.start * factor) if one.stepped is None else one.stepped


def left(every: Sequence[Work]) -> list[float]:
    """What each job has still to train, in the unit of `costs`."""
    return [cost * (1 - one.gone) for one, cost in zip(every, costs(every), strict=True)]


def stepped(taken: float, record: Mapping[str, Any]) -> float | None:
    """The part of what a job took that went into steps, by its record; None if it does not say it.

    Examples
    --------
    >>> stepped(8.0, {"seconds": 30.0, "wall_seconds": 40.0})
    6.0
    """
    seconds, wall = record.get("seconds"), record.get("wall_seconds")
    return taken * min(1.0, seconds / wall) if seconds and wall else None


def left_of_rows(rows: Iterable[Mapping[str, Any]], *, starts: Iterable[float]) -> list[float]:
    """What each row of `plmscale.status.cell_states` has left, in device-hours.

    A finished one has in `trained` the share of its tokens that it has trained, and in `stepped` what `stepped` says.

    Parameters
    ----------
    rows : iterable of mapping
    starts : iterable of float
        Of each by the plan, see `Work.start`.
    """
    every = []
    for row, start in zip(rows, starts, strict=True):
        done, running = row["state"] in ("done", "diverged"), row["state"] == "running"
        taken = row["device_hours"] if row["state"] == "done" or running else None
        share, hours = row.get("trained", row["percent"] / 100), row["planned_device_hours"]
        known = {"stepped": row.get("stepped"), "tokens": row.get("tokens_trained", 0.0)}
        every.append(Work(row["model"], hours, share, taken, done, running, start, **known))
    return left(every)
