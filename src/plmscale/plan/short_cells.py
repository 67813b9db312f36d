"""Short cells share a job, so that a study of a thousand short cells does not submit a thousand jobs."""

from collections.abc import Mapping
from math import ceil

from ..study.config import Hardware
from .allocation import JOB_START_SECONDS, Allocation

SHORT_MINUTES = 15
"""Walltime up to which a cell of one node is short."""

LEAST_JOBS = 50
"""Jobs among which short cells are shared out at least: fewer cells than twice this have a job each."""

LONGEST_MINUTES = 60
"""Walltime of a job of several cells, at most."""


def sharing(allocations: Mapping[str, Allocation], *, hardware: Hardware) -> dict[str, dict[str, int]]:
    """How many cells share a job, and what each adds to its walltime.

    Parameters
    ----------
    allocations : mapping of str to Allocation
        Those of all cells, trunks left out.
    hardware : Hardware

    Returns
    -------
    dict of str to dict
        By cell `cells_per_job`, 1 where it has a job of its own, and `shared_minutes`, its planned time × margin and
        its start.
    """
    short = {path for path, each in allocations.items() if each.nodes == 1 and each.runtime_min <= SHORT_MINUTES}
    found = {}
    for path, each in allocations.items():
        minutes = ceil((3600 * each.hours * hardware.walltime_margin + JOB_START_SECONDS) / 60)
        wanted = min(len(short) // LEAST_JOBS, LONGEST_MINUTES // minutes) if path in short else 1
        found[path] = {"cells_per_job": max(1, wanted), "shared_minutes": minutes}
    return found
