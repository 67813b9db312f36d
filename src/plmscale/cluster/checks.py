"""One line for each thing that a study needs of a cluster, with what to do where it is missing."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """What came of a check.

    Attributes
    ----------
    name : str
    outcome : {"ok", "warning", "failed", "skipped"}
    found : str
        What was found.
    remedy : str
        What to do; empty where nothing is.
    """

    name: str
    outcome: Outcome
    found: str
    remedy: str = ""

    def line(self, where: str = "") -> str:
        """The line that is printed.

        Examples
        --------
        >>> Check("MinJobAge", "failed", "60 s", "ask for 200 s or more").line("login node")
        'failed   login node: MinJobAge: 60 s. Remedy: ask for 200 s or more.'
        """
        place = f"{where}: " if where else ""
        remedy = f" Remedy: {self.remedy.rstrip('.')}." if self.remedy else ""
        return f"{self.outcome:8} {place}{self.name}: {self.found.rstrip('.')}.{remedy}"

    def as_json(self) -> dict[str, str]:
        """As a job hands it on."""
        return asdict(self)


def guarded(name: str, check: Callable[[], Check], *, remedy: str) -> Check:
    """A check, and where the system refuses something that it does, that as what was found."""
    try:
        return check()
    except OSError as error:
        return Check(name, "failed", f"{error.strerror or error}", remedy)


def worst(checks: Iterable[Check]) -> int:
    """The exit status: 1 where a check failed."""
    return int(any(check.outcome == "failed" for check in checks))


def of_json(rows: Iterable[dict[str, Any]]) -> Iterator[Check]:
    """Checks that a job handed on."""
    for row in rows:
        yield Check(**row)
