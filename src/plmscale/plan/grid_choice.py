"""The part of a grid that a budget pays for: which cells to leave out, and what that costs the fits.

Cells are left out one by one until the plan of the rest is within the budget. Each time it is the cell whose loss is
least for the device-hours that it frees. The loss is what the schedule's law loses: the logarithms of the variances of
a, alpha and beta (`plmscale.plan.identifiability`), and the decades over which the best size lies inside the grid.
What a cell frees is the difference of what the rest costs with it and without: of a branch its own decay and, of the
last one of a trunk, what the trunk need not be longer than the one before. Every schedule keeps as many sizes, lengths
and runs as its law needs. The order does not depend on the budget, so that a larger budget keeps what a smaller one
keeps, and it depends on the configuration alone: neither counted tokens nor measured speeds move it.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..study.flops import count_params
from ..study.grid import Cell, grid
from ..study.jobs import planned_tokens
from ..study.study import Study
from .grid_costs import Costs
from .identifiability import (
    NOISE,
    Knowledge,
    directions,
    gradients,
    interior_of,
    knowledge,
)
from .information import covariance, variances, variances_without
from .plan import chosen

Array = NDArray[np.float64]

LEAST_SIZES, LEAST_LENGTHS, LEAST_RUNS = 3, 3, 6
"""Without these no law of five parameters is fitted (`plmscale.laws.points.too_few`)."""


def within_budget(study: Study) -> Study:
    """The study without the cells that its budget does not pay for.

    Raises
    ------
    InputError
        If even the least grid that the fits can use costs more; the message says how much.
    """
    budget = study.config.budget_gpu_hours
    if budget is None:
        return study
    choice = GridChoice(study)
    order = choice.order()

    def rest(n_left_out: int) -> Study:
        paths = {choice.cells[i].path for i in order[:n_left_out]}
        return replace(study, left_out=tuple(cell.path for cell in choice.cells if cell.path in paths))

    least = bisect_left(range(len(order) + 1), True, key=lambda n: planned_hours(rest(n)) <= budget)
    if least > len(order):
        raise InputError(
            f"budget_gpu_hours is {budget:g}, but the least grid that the fits can use, "
            f"{len(choice.cells) - len(order)} cells, costs {planned_hours(rest(len(order))):.4g} device-hours by the "
            "plan. Raise the budget, or name smaller sizes or sets."
        )
    return rest(least)


def planned_hours(study: Study) -> float:
    """Device-hours of a study by the plan, trunks among them, at estimated tokens and assumed speeds."""
    return chosen(study, planned_tokens(study), {}).device_hours


class GridChoice:
    """The cells of a study with their costs and what they contribute to the fits.

    Parameters
    ----------
    study : Study

    Attributes
    ----------
    cells : list of Cell
        All of them, in the order of the grid.
    """

    def __init__(self, study: Study) -> None:
        whole = replace(study, left_out=())
        tokens = planned_tokens(whole)
        self.cells: Sequence[Cell] = grid(whole)
        self._costs = partial(Costs, whole, tokens)
        self._n = np.array([float(count_params(cell.model)) for cell in self.cells])
        self._d = np.array([float(tokens[cell.subset]) for cell in self.cells])
        names = list(dict.fromkeys(cell.schedule for cell in self.cells))
        self.schedules = names
        self._group = np.array([names.index(cell.schedule) for cell in self.cells])

    def order(self) -> list[int]:
        """Cells in the order in which they are left out, as far as that may go."""
        costs = self._costs()
        kept = np.ones(len(self.cells), dtype=bool)
        loss = np.full(len(self.cells), np.inf)
        for group in range(len(self.schedules)):
            self._lose(loss, kept, group)
        found: list[int] = []
        while np.isfinite(loss).any():
            worst = int(np.argmin(loss / costs.freed))
            kept[worst] = False
            found.append(worst)
            costs.leave_out(worst)
            self._lose(loss, kept, int(self._group[worst]))
        return found

    def _lose(self, loss: Array, kept: NDArray[np.bool_], group: int) -> None:
        """Set `loss` of the cells of a schedule: what it loses with each; infinite where it must not be left out."""
        members = np.flatnonzero(kept & (self._group == group))
        loss[self._group == group] = np.inf
        n, d = self._n[members], self._d[members]
        candidates = _spare(n) & _spare(d) if members.size > LEAST_RUNS else np.zeros(members.size, dtype=bool)
        if candidates.any():
            loss[members[candidates]] = _losses(n, d)[candidates]

    def known(self, schedule: str, *, without: Sequence[str] = ()) -> Knowledge:
        """How well the cells of a schedule that are kept determine the law."""
        here = self._group == self.schedules.index(schedule)
        here &= np.array([cell.path not in set(without) for cell in self.cells])
        return knowledge(self._n[here], self._d[here])


def _spare(values: Array) -> NDArray[np.bool_]:
    """Where a run can be spared: its value is not one of the last three, or it is not the only one that has it."""
    found, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts[inverse] > 1) | (found.size > min(LEAST_SIZES, LEAST_LENGTHS))


def _losses(n: Array, d: Array) -> Array:
    """What each run of a schedule is worth: rise of the log variances, and decades lost, if it is left out."""
    rows = gradients(n, d) / NOISE
    known, aims = covariance(rows), directions()
    before, after = variances(known, aims), variances_without(known, rows, aims).T
    return np.log(after / before).sum(axis=1) + _decades_lost(n, d)


def _decades_lost(n: Array, d: Array) -> Array:
    """Interior decades that go with each run; only the longest run of a size carries any."""
    sizes, index = np.unique(n, return_inverse=True)
    lost = np.zeros(n.size)
    ordered = [np.sort(d[index == i])[::-1] for i in range(sizes.size)]
    longest = np.array([of_size[0] for of_size in ordered])
    whole = interior_of(sizes, longest)
    for i, of_size in enumerate(ordered):
        if of_size.size == 1:
            without = interior_of(np.delete(sizes, i), np.delete(longest, i))
        elif of_size[1] < of_size[0]:
            without = interior_of(sizes, np.where(np.arange(sizes.size) == i, of_size[1], longest))
        else:
            continue
        lost[(index == i) & (d == of_size[0])] = max(0.0, whole - without)
    return lost


def choice_rows(study: Study) -> list[dict[str, Any]]:
    """What the budget does to each schedule: a row before and a row after, for the plan's text."""
    choice, rows = GridChoice(study), []
    for schedule in choice.schedules:
        for when, without in (("all cells", ()), ("within the budget", study.left_out)):
            found = choice.known(schedule, without=without)
            rows.append(
                {"schedule": schedule, "grid": when, "runs": found.runs, "sizes": found.sizes, "lengths": found.lengths}
                | {"N max ÷ min": found.span_params, "D max ÷ min": found.span_tokens}
                | {f"relative SE of {name}": error for name, error in found.relative_error.items()}
                | {"condition number": found.condition, "interior decades": found.interior_decades}
            )
    return rows
