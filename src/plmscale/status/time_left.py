"""What is left to train: as planned, corrected by what jobs of the same size have taken so far."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    """

    size: str
    planned: float
    share: float = 0.0
    taken: float | None = None
    done: bool = False
    running: bool = False

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

    A job that has trained long enough costs what it takes at its own speed. Of the others the plan is corrected by the
    jobs of the same size that have, where there are none by those of all sizes.

    Examples
    --------
    >>> done = Work("5M", 1.0, share=1.0, taken=3.0, done=True)
    >>> costs([done, Work("5M", 2.0), Work("9M", 4.0, share=0.5, taken=2.0)])
    [3.0, 6.0, 4.0]
    >>> costs([Work("5M", 1.0), Work("9M", 4.0)])
    [1.0, 4.0]
    """
    measured = [one for one in every if one.measures]
    overall = _ratio(measured) if measured else 1.0
    of_size = {size: _ratio(one for one in measured if one.size == size) for size in {one.size for one in measured}}
    return [
        (one.taken or 0.0) / (1.0 if one.done else one.share)
        if one.measures
        else one.planned * of_size.get(one.size, overall)
        for one in every
    ]


def left(every: Sequence[Work]) -> list[float]:
    """What each job has still to train, in the unit of `costs`."""
    return [cost * (1 - one.gone) for one, cost in zip(every, costs(every), strict=True)]


def left_of_rows(rows: Iterable[Mapping[str, Any]]) -> list[float]:
    """What each row of `plmscale.status.cell_states` has left, in device-hours.

    A finished one has in `trained` the share of its tokens that it has trained.
    """
    every = []
    for row in rows:
        done, running = row["state"] in ("done", "diverged"), row["state"] == "running"
        taken = row["device_hours"] if row["state"] == "done" or running else None
        share = row.get("trained", row["percent"] / 100)
        every.append(Work(row["model"], row["planned_device_hours"], share, taken, done, running))
    return left(every)


def _ratio(measured: Iterable[Work]) -> float:
    """Taken ÷ planned."""
    pairs = [(one.taken or 0.0, one.planned * one.share) for one in measured]
    return sum(taken for taken, _ in pairs) / sum(planned for _, planned in pairs)
