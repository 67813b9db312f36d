"""What every job is planned to hold devices for, and how much of that it does not spend on steps."""

from collections.abc import Mapping
from typing import NamedTuple

from ..study.study import Study
from .allocation import Allocation
from .plan import Records, Shared, chosen, planned_tokens


class JobHours(NamedTuple):
    """Planned device-hours of a job.

    Attributes
    ----------
    whole : float
    start : float
        Those of them that do not grow with its tokens: its start and its evaluation on the holdout.
    """

    whole: float
    start: float = 0.0


def job_hours(
    study: Study, counted: Mapping[str, int], records: Records, *, shared: Shared = None
) -> dict[str, JobHours]:
    """Device-hours of every cell and trunk by its path, see `plmscale.study.jobs.jobs`."""
    return hours_of(chosen(study, planned_tokens(study, counted), records, shared=shared).allocations)


def hours_of(allocations: Mapping[str, Allocation]) -> dict[str, JobHours]:
    """Device-hours of jobs by their allocations."""
    return {path: JobHours(one.device_hours, _start(one)) for path, one in allocations.items()}


def _start(one: Allocation) -> float:
    return one.devices * (one.pace.startup_seconds + one.pace.evaluation_seconds) / 3600
