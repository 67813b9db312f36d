"""A number with its interval, and how far data determine one: what fits return and every room may show."""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Status = Literal["identified", "weakly_identified", "not_identified", "failed"]
STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval. None where the data do not give it.

    `low` and `high` are None where an interval could not be had, or has no bound on that side.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


class Judged(Protocol):
    """Anything with a verdict; `plmscale.laws.fit.Fit` is."""

    @property
    def status(self) -> Status:
        """One of `STATUSES`."""
        ...

    @property
    def reason(self) -> str:
        """One sentence."""
        ...

    @property
    def caveat(self) -> str:
        """What is said beside its numbers; empty where there is nothing to say."""
        ...
