"""Final losses as a table of sizes and budgets: approach 2 of Hoffmann et al. 2022 as it was published.

A run is read at its end where nothing else of it may be compared: it has one evaluation, or its learning rate decays at
the end of its own length (`cosine`, `wsd`), so that an earlier loss is not that of a run which ended there. Runs of one
budget are a valley of their own; without such budgets a size with several ends is interpolated between them, never
beyond.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from ..presentation.formats import short
from ..runs.curves import Curve
from ..runs.selection import SAME_LENGTH
from ..study.names import ENDS_WITH_BUDGET
from .envelope_grid import Grid, read_off

Array = NDArray[np.float64]

BUDGET_WIDTH = 1.1
"""Runs are of one budget where their FLOPs differ by at most this factor."""
LEAST_SHARE = 1 / 3
"""Of the sizes of the fullest budget, without which a budget is a chance meeting of runs and none of the table."""
MIN_SIZES = 4
"""Sizes at a budget, and sizes with several ends, without which there is no table."""
MIN_BUDGETS = 3
SPAN = float(np.log(4.0))
"""Of a budget of its own, the valley goes through all sizes within this factor of the best: published tables hold many
sizes near the optimum, and on either side of Chinchilla's a parabola bends as the law does up to about there."""


def ends_only(curves: Sequence[Curve]) -> bool:
    """Whether the losses of most runs can be compared at their ends alone."""
    ends = [curve.flops.size < 2 or curve.schedule in ENDS_WITH_BUDGET for curve in curves]
    return 2 * sum(ends) > len(ends)


def grid_of(curves: Sequence[Curve], *, n_points: int) -> Grid:
    """Losses of every size at the same FLOPs: between final losses where runs are known by these, else along runs."""
    several = _several_ends(curves) if ends_only(curves) else {}
    return (
        between_ends(curves, several, n_points=n_points)
        if len(several) >= MIN_SIZES
        else read_off(curves, n_points=n_points)
    )


def shared_budgets(curves: Sequence[Curve]) -> Grid | None:
    """Runs by the budget at which they ended, a column each; None where fewer than MIN_BUDGETS have enough sizes."""
    flops = np.array([float(curve.flops[-1]) for curve in curves])
    groups = _budgets(flops, np.array([curve.n_params for curve in curves]))
    if len(groups) < MIN_BUDGETS:
        return None
    losses, tokens = np.full((2, len(curves), len(groups)), np.nan)
    for k, group in enumerate(groups):
        losses[group, k] = [float(curves[i].loss[-1]) for i in group]
        tokens[group, k] = [float(curves[i].n_tokens[-1]) for i in group]
    middle = np.array([float(np.exp(np.log(flops[group]).mean())) for group in groups])
    losses = _at_middle(losses, flops=flops, middle=middle)
    sizes, names = np.array([float(curve.n_params) for curve in curves]), tuple(curve.run for curve in curves)
    costs = np.log(flops) - np.log([float(curve.n_tokens[-1]) for curve in curves])
    return Grid(middle, sizes, losses, tokens, 0.0, names, span=SPAN, costs=costs)


def between_ends(curves: Sequence[Curve], several: dict[int, list[list[int]]], *, n_points: int) -> Grid:
    """Final losses of each size interpolated in log-log along its budgets: a row a size.

    A cubic spline through the ends (a parabola through three, a line through two): log loss bends with log FLOPs, and
    straight lines between ends that lie at other FLOPs for every size would bend the valley.
    """
    flops = np.array([float(curve.flops[-1]) for curve in curves])
    log_loss, log_tokens = (
        np.log([float(getattr(curve, key)[-1]) for curve in curves]) for key in ("loss", "n_tokens")
    )
    known = np.concatenate([flops[group] for groups in several.values() for group in groups])
    at = np.geomspace(known.min(), known.max(), n_points)
    at[0], at[-1] = known.min(), known.max()
    weights = np.zeros((len(several), n_points, len(curves)))
    losses, tokens = np.full((2, len(several), n_points), np.nan)
    costs = np.zeros(len(several))
    for row, groups in enumerate(several.values()):
        mean = np.zeros((len(groups), len(curves)))
        for k, group in enumerate(groups):
            mean[k, group] = 1 / len(group)
        x = mean @ np.log(flops)
        # The exponential of a mean of logarithms may miss an end by its rounding.
        inside = (np.log(at) >= x[0] - 1e-9) & (np.log(at) <= x[-1] + 1e-9)
        weights[row, inside] = CubicSpline(x, mean)(np.log(at[inside]))
        losses[row, inside] = np.exp(weights[row, inside] @ log_loss)
        tokens[row, inside] = np.exp(np.interp(np.log(at[inside]), x, mean @ log_tokens))
        costs[row] = np.mean(x - mean @ log_tokens)
    names = tuple(f"final losses of {short(size)}" for size in several)
    sizes = np.array(list(several), dtype=float)
    return Grid(at, sizes, losses, tokens, 0.0, names, weights=weights, costs=costs)


def _at_middle(losses: Array, *, flops: Array, middle: Array) -> Array:
    """Losses as they would be at the middle of their budget: along the fall of the lowest from budget to budget.

    At the best size that fall is that of the loss at one size (the envelope theorem).
    """
    fall = np.gradient(np.nanmin(np.log(losses), axis=0), np.log(middle))
    return losses * np.exp(fall * np.log(middle / flops[:, None]))


def most_sizes(curves: Sequence[Curve]) -> int:
    """The most sizes that ended at one budget."""
    flops = np.array([float(curve.flops[-1]) for curve in curves])
    sizes = np.array([curve.n_params for curve in curves])
    return max(len(np.unique(sizes[(flops >= low) & (flops <= low * BUDGET_WIDTH)])) for low in flops)


def _budgets(flops: Array, sizes: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Runs of each budget with at least MIN_SIZES sizes: again and again the one with the most sizes, then by FLOPs."""
    left, groups = np.argsort(flops, kind="stable"), []
    while left.size:
        own = [left[(flops[left] >= low) & (flops[left] <= low * BUDGET_WIDTH)] for low in flops[left]]
        best = max(own, key=lambda group: len(np.unique(sizes[group])))
        if len(np.unique(sizes[best])) < MIN_SIZES:
            break
        groups.append(best)
        left = left[~np.isin(left, best)]
    # The first has the most sizes.
    n_sizes = [len(np.unique(sizes[group])) for group in groups]
    kept = [group for group, n in zip(groups, n_sizes, strict=True) if n >= LEAST_SHARE * n_sizes[0]]
    return sorted(kept, key=lambda group: float(flops[group[0]]))


def _several_ends(curves: Sequence[Curve]) -> dict[int, list[list[int]]]:
    """Of every size with more than one, its budgets: the runs of each, the smallest first."""
    ends: dict[int, list[list[int]]] = {}
    for i in sorted(range(len(curves)), key=lambda i: (curves[i].n_params, float(curves[i].flops[-1]))):
        groups = ends.setdefault(curves[i].n_params, [])
        if groups and curves[i].flops[-1] <= SAME_LENGTH * curves[groups[-1][0]].flops[-1]:
            groups[-1].append(i)
        else:
            groups.append([i])
    return {size: groups for size, groups in ends.items() if len(groups) > 1}
