"""What leaving out a cell saves: of a branch its decay, and the part of its trunk that no other branch needs."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..study.grid import Cell, grid
from ..study.jobs import trunk_tokens
from ..study.study import Study
from ..study.trunks import decay_start, trunk_of_each, trunks
from .allocation import allocate

NOTHING = 1e-9
"""Device-hours that stand for none or fewer: two branches may cost less than one run of them from its start, on the
more devices that it needs to be done in time."""


class Costs:
    """What leaving out one more cell frees, while cells are left out.

    Runs that could share a trunk are a group. A group of two or more costs its branches and the trunk up to where the
    last of them leaves it, one that is left alone its run from its start (`plmscale.study.trunks.trunks`).

    Parameters
    ----------
    study : Study
    tokens : mapping of str to int
        See `plmscale.study.jobs.planned_tokens`.

    Attributes
    ----------
    freed : ndarray of float64, shape (n,)
        Device-hours that each cell frees, in the order of the grid: at assumed speeds, on the fewest devices that are
        done within `hardware.target_hours`. Of those that are left out, what they last were.
    """

    def __init__(self, study: Study, tokens: Mapping[str, int]) -> None:
        cells, found = grid(study), trunk_of_each(trunks(study))

        def hours(cell: Cell, n_tokens: int) -> float:
            config = study.config
            return allocate(cell, n_tokens, hardware=config.hardware, execution=config.execution).device_hours

        self._scratch = [hours(cell, tokens[cell.subset]) for cell in cells]
        self._branch, self._trunk = list(self._scratch), [0.0] * len(cells)
        self._groups: list[list[int]] = []
        self._group_of: list[int] = []
        place: dict[str, int] = {}
        for i, cell in enumerate(cells):
            trunk = found.get(cell.path)
            if trunk:
                before = trunk_tokens(cell, tokens)
                self._branch[i] = hours(cell, tokens[cell.subset] - before)
                self._trunk[i] = hours(trunk.cell, before)
            group = place.setdefault(trunk.path if trunk else cell.path, len(place))
            self._group_of.append(group)
            self._groups += [[]] if group == len(self._groups) else []
            self._groups[group].append(i)
        for members in self._groups:
            members.sort(key=lambda i: decay_start(cells[i]))
        self.freed: NDArray[np.float64] = np.zeros(len(cells))
        for members in self._groups:
            self._free(members)

    def leave_out(self, cell: int) -> None:
        """Leave out a cell by its place in the grid; what others of its group free is another then."""
        members = self._groups[self._group_of[cell]]
        members.remove(cell)
        self._free(members)

    def _free(self, members: Sequence[int]) -> None:
        whole = self._cost(members)
        for i in members:
            self.freed[i] = max(NOTHING, whole - self._cost([other for other in members if other != i]))

    def _cost(self, members: Sequence[int]) -> float:
        """Device-hours of some runs that could share a trunk, the shortest first."""
        if len(members) < 2:
            return sum(self._scratch[i] for i in members)
        return sum(self._branch[i] for i in members) + self._trunk[members[-1]]
