"""Cells that could be trained next: sizes and lengths around and between those that were."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..laws.budgets import TokenCost
from ..presentation.formats import short
from ..runs.curves import Curve

Array = NDArray[np.float64]

GAP = 4.0
"""Neighbouring sizes or lengths further apart than this factor leave room for one between them."""
LONGEST = 4.0
"""Lengths go up to this many times the longest run."""
BEYOND = 2.0
"""Tokens per parameter of a candidate are at most this far outside those trained, where nobody has seen the law."""
SAME = 1.2
"""A candidate within this factor of a trained run of its size is another seed of it."""
SMALLER, LARGER, BETWEEN = "smaller size", "larger size", "size between"
NEW_SIZES = (SMALLER, LARGER, BETWEEN)
"""What a candidate is whose size was never trained."""


class Candidate(NamedTuple):
    """A cell that could be trained.

    Attributes
    ----------
    model, subset : str
        Size and set; the set is empty where runs are known by their tokens alone.
    n_params, n_tokens, flops, device_hours : float
        N, D, training FLOPs and cost.
    kind : str
        "another seed", "longer", "shorter", "length between", or one of `NEW_SIZES`.
    row : str
        Shape of a size that models.tsv does not have yet.
    """

    model: str
    subset: str
    n_params: float
    n_tokens: float
    flops: float
    device_hours: float
    kind: str
    row: str = ""


class DeviceSpeed(NamedTuple):
    """What a device trains: FLOPs in an hour, and hours of a job beside its training."""

    flops_per_hour: float
    startup_hours: float

    def hours(self, flops: float) -> float:
        """Device-hours of a cell with these training FLOPs."""
        return flops / self.flops_per_hour + self.startup_hours


def of_runs(curves: Sequence[Curve], *, speed: DeviceSpeed) -> list[Candidate]:
    """Every combination of sizes and lengths around runs that came as a table.

    Parameters
    ----------
    curves : sequence of Curve
        The runs trained.
    speed : DeviceSpeed
        Of the device that the next are trained on; their FLOPs per token are those of the runs (`TokenCost`).

    Returns
    -------
    list of Candidate
        Sizes: those trained, one in each wide gap, half the smallest, twice the largest. Lengths: halvings of four
        times the longest run, down to the shortest, and the lengths of a size's own runs, as another seed.
    """
    cost, trained = TokenCost(curves), trained_lengths(curves)
    names = {curve.n_params: curve.model for curve in curves}
    lengths = [length for own in trained.values() for length in own]
    ratios = [length / size for size, own in trained.items() for length in own]
    n_halvings = int(np.log2(LONGEST * max(lengths) / min(lengths)) + 1e-9)
    ladder = [LONGEST * max(lengths) / 2**i for i in range(n_halvings + 1)]
    found = []
    for size in [*trained, *around([float(size) for size in trained])]:
        own = trained.get(int(size), [])
        for length in sorted({*(one for one in ladder if not near(one, own)), *apart(own)}):
            if not min(ratios) / BEYOND <= length / size <= max(ratios) * BEYOND:
                continue
            flops = float(cost(size)) * length
            name = names.get(int(size), f"new, {short(size)}")
            what = kind(float(size), length, trained)
            found.append(Candidate(name, "", float(size), length, flops, speed.hours(flops), what))
    return found


def trained_lengths(curves: Sequence[Curve]) -> dict[int, list[float]]:
    """Tokens of the runs of each size, sizes ascending."""
    found: dict[int, list[float]] = {}
    for curve in sorted(curves, key=lambda curve: curve.n_params):
        found.setdefault(curve.n_params, []).append(float(curve.n_tokens[-1]))
    return found


def around(sizes: Sequence[float]) -> list[float]:
    """Half the smallest, the middle of each gap wider than `GAP`, twice the largest; `sizes` ascend."""
    pairs = zip(sizes, sizes[1:], strict=False)
    return [sizes[0] / 2, *(float(np.sqrt(low * high)) for low, high in pairs if high > GAP * low), 2 * sizes[-1]]


def apart(values: Sequence[float]) -> list[float]:
    """One of each group of lengths that are the same to within `SAME`, the longest first."""
    found: list[float] = []
    for value in sorted(values, reverse=True):
        if not near(value, found):
            found.append(value)
    return found


def near(value: float, others: Sequence[float]) -> bool:
    """Whether a length is one of the others to within `SAME`."""
    return any(1 / SAME <= value / other <= SAME for other in others)


def kind(size: float, length: float, trained: Mapping[int, Sequence[float]]) -> str:
    """What a cell would be beside the runs trained, whose lengths are given by size, sizes ascending."""
    sizes, own = list(trained), trained.get(int(size), ())
    if not own:
        if size < sizes[0]:
            return SMALLER
        return LARGER if size > sizes[-1] else BETWEEN
    if near(length, own):
        return "another seed"
    if length > max(own):
        return "longer"
    return "shorter" if length < min(own) else "length between"
