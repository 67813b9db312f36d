"""The cheapest allocation of a whole study that meets a deadline on so many devices.

Cells and trunks are jobs that may use any number of devices: more devices are faster and cost more, since each loses
speed to communication. Choosing numbers of devices and order for the least makespan is NP-hard (Du and Leung 1989).
Here every job gets the fewest devices with which it ends within a common time, the jobs are placed by list scheduling
in the order in which Snakemake starts them, a branch when its trunk has ended, and the common time is the longest for
which that schedule meets the deadline (the thresholds of Ludwig and Tiwari 1994). The end is that of a whole schedule,
not a bound; a lower bound on the cost of any allocation is given beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from .allocation import Allocation

Options = Mapping[str, Sequence[Allocation]]
"""By job, its allocations, fewest devices first; jobs in the order in which they are started."""

Waits = Mapping[str, str]
"""By a job the one that must have ended before: by a branch its trunk."""


@dataclass(frozen=True)
class CellSchedule:
    """An allocation of all cells.

    Attributes
    ----------
    allocations : dict of str to Allocation
        By cell.
    makespan : float
        Hours from the first start to the last end.
    """

    allocations: dict[str, Allocation]
    makespan: float

    @property
    def device_hours(self) -> float:
        """Device-hours of all cells."""
        return sum(each.device_hours for each in self.allocations.values())


def makespan(jobs: Sequence[tuple[float, int]], max_devices: int, *, after: Mapping[int, int] | None = None) -> float:
    """When the last of some jobs ends, if each is started as soon as its devices are free, earlier ones first.

    Parameters
    ----------
    jobs : sequence of (float, int)
        Hours and devices, in the order of their priority. A later job that fits goes before an earlier one that does
        not, or that still waits for another.
    max_devices : int
    after : mapping of int to int, optional
        By the place of a job that of the one which must have ended before.

    Examples
    --------
    Two devices: the second job waits for both, the third does not.

    >>> makespan([(3.0, 1), (2.0, 2), (1.0, 1)], 2)
    5.0

    The third is a branch of the first.

    >>> makespan([(3.0, 1), (2.0, 1), (1.0, 1)], 2, after={2: 0})
    4.0
    """
    waiting = list(range(len(jobs)))
    running: list[tuple[float, int]] = []
    blocked = dict(after or {})
    now, free = 0.0, max_devices
    while waiting or running:
        left: list[int] = []
        for place, job in enumerate(waiting):
            hours, devices = jobs[job]
            if devices <= free and job not in blocked:
                free -= devices
                heappush(running, (now + hours, job))
            else:
                left.append(job)
            if not free:
                left += waiting[place + 1 :]
                break
        waiting = left
        now = running[0][0]
        ended = set()
        while running and running[0][0] <= now:
            ended.add(heappop(running)[1])
        free += sum(jobs[job][1] for job in ended)
        blocked = {job: before for job, before in blocked.items() if before not in ended}
    return now


def scheduled(chosen: Mapping[str, Allocation], max_devices: int, *, after: Waits | None = None) -> CellSchedule:
    """The schedule of given allocations."""
    jobs = [(each.hours, each.devices) for each in chosen.values()]
    place = {path: i for i, path in enumerate(chosen)}
    waits = {place[path]: place[before] for path, before in (after or {}).items()}
    return CellSchedule(dict(chosen), makespan(jobs, max_devices, after=waits))


def cheapest(options: Options, *, deadline: float, max_devices: int, after: Waits | None = None) -> CellSchedule | None:
    """The cheapest schedule of the family that ends by `deadline` (hours); None if none does."""
    found: CellSchedule | None = None
    for limit in _limits(options, below=deadline):
        schedule = scheduled(_within(options, limit), max_devices, after=after)
        if schedule.makespan <= deadline:
            found = schedule
            break
    if found is None:
        return None
    return _narrowed(found, options, deadline=deadline, max_devices=max_devices, after=after)


def fastest(options: Options, *, max_devices: int, after: Waits | None = None) -> CellSchedule:
    """The schedule of the family that ends first."""
    limits = _limits(options, below=float("inf"))
    found = [scheduled(_within(options, limit), max_devices, after=after) for limit in limits]
    return min(found, key=lambda schedule: schedule.makespan)


def least_device_hours(options: Options, *, deadline: float) -> float:
    """Device-hours below which no allocation meets the deadline: each cell alone, as cheaply as it can by then."""
    chosen = _within(options, deadline)
    return sum(each.device_hours for each in chosen.values())


MOST_LIMITS = 60
"""Common times that are tried: among more, so many quantiles."""


def _limits(options: Options, *, below: float) -> list[float]:
    """Common times for the cells, longest first; the shortest gives every cell all its devices."""
    times = sorted({each.hours for found in options.values() for each in found if each.hours <= below}, reverse=True)
    step = max(1, len(times) // MOST_LIMITS)
    return [*times[::step], *times[-1:], 0.0] if times else [0.0]


def _within(options: Options, limit: float) -> dict[str, Allocation]:
    """For every cell the fewest devices with which it takes at most `limit` hours, else the fastest."""
    chosen = {}
    for path, found in options.items():
        fitting = (each for each in found if each.hours <= limit)
        chosen[path] = next(fitting, None) or min(found, key=lambda each: each.hours)
    return chosen


def _narrowed(
    start: CellSchedule, options: Options, *, deadline: float, max_devices: int, after: Waits | None
) -> CellSchedule:
    """Cells made narrower one by one, the greatest saving first, as long as the deadline holds."""
    best = start
    narrower = []
    for path, chosen in start.allocations.items():
        for other in options[path]:
            if other.devices < chosen.devices and other.device_hours < chosen.device_hours:
                narrower.append((chosen.device_hours - other.device_hours, path, other))
    narrower.sort(key=lambda saving: (-saving[0], saving[1]))
    for _, path, other in narrower[:MOST_LIMITS]:
        if best.allocations[path] is not start.allocations[path]:
            continue
        tried = scheduled(best.allocations | {path: other}, max_devices, after=after)
        if tried.makespan <= deadline:
            best = tried
    return best
