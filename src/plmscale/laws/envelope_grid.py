"""All runs of a study read off at the same FLOPs, and the best of them at each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..runs.curves import Curve, median_noise
from .confidence.uncertainty import NOISE_SIGMAS

Array = NDArray[np.float64]

CODES = (
    "",
    "no_run_here",
    "one_size_here",
    "smallest_size_best",
    "largest_size_best",
    "smaller_in_noise",
    "larger_in_noise",
)
"""Why a point does not count; empty: it does."""


class Grid(NamedTuple):
    """Every run read off at the same FLOPs; runs sorted by size. Losses and tokens have shape (runs, points).

    `names` are those of the runs. Where a row is a size with several runs (`plmscale.laws.final_losses`), `weights` of
    shape (rows, points, runs) say how its log loss hangs on theirs. `span` is a logarithm of sizes, which all belong to
    the valley about the best of them. `costs` are the log FLOPs per token at the end of every run.
    """

    flops: Array
    sizes: Array
    losses: Array
    tokens: Array
    noise: float
    names: tuple[str, ...] = ()
    weights: Array | None = None
    span: float = 0.0
    costs: Array | None = None

    def shifts(self, drawn: Array) -> Array:
        """Noise of the rows, shape (n, rows, points) or (n, rows, 1), by that of the runs, shape (n, runs)."""
        return drawn[..., None] if self.weights is None else np.einsum("rpj,nj->nrp", self.weights, drawn)

    @property
    def n_runs(self) -> int:
        """Runs behind the rows."""
        return len(self.sizes) if self.weights is None else self.weights.shape[2]


class Optima(NamedTuple):
    """Per point: the best run, and the index into `CODES` that says whether the point counts."""

    best: NDArray[np.intp]
    reason: NDArray[np.intp]
    n_runs: NDArray[np.intp]
    n_sizes: NDArray[np.intp]


def read_off(curves: Sequence[Curve], *, n_points: int) -> Grid:
    """Losses and tokens of every run at `n_points` log-spaced FLOPs over the range covered by any; NaN outside runs."""
    ordered = sorted(curves, key=lambda curve: (curve.n_params, curve.run))
    low = min(float(curve.flops[0]) for curve in ordered)
    high = max(float(curve.flops[-1]) for curve in ordered)
    flops = np.geomspace(low, high, n_points)
    flops[0], flops[-1] = low, high
    return Grid(
        flops=flops,
        sizes=np.array([curve.n_params for curve in ordered], dtype=float),
        losses=np.array([curve.loss_at(flops) for curve in ordered]),
        tokens=np.array([curve.tokens_at(flops) for curve in ordered]),
        noise=median_noise(ordered),
        names=tuple(curve.run for curve in ordered),
        costs=np.log([float(curve.flops[-1] / curve.n_tokens[-1]) for curve in ordered]),
    )


def find_optima(grid: Grid, runs: NDArray[np.intp]) -> Optima:
    """The best of `runs` (sorted indices into the grid's runs) at each point, and whether the point counts."""
    losses = np.where(np.isnan(grid.losses[runs]), np.inf, grid.losses[runs])
    points = np.arange(losses.shape[1])
    _, starts = np.unique(grid.sizes[runs], return_index=True)
    by_size = np.minimum.reduceat(losses, starts, axis=0)
    seen = np.isfinite(by_size)
    n_sizes = seen.sum(axis=0)
    best_size = np.argmin(by_size, axis=0)
    index = np.arange(len(starts))[:, None]
    excess = np.where(seen, by_size, -np.inf) - by_size[best_size, points]
    clear = excess > NOISE_SIGMAS * grid.noise
    conditions = (
        n_sizes == 0,
        n_sizes == 1,
        best_size == np.argmax(seen, axis=0),
        best_size == len(starts) - 1 - np.argmax(seen[::-1], axis=0),
        ~np.any(clear & (index < best_size), axis=0),
        ~np.any(clear & (index > best_size), axis=0),
    )
    reason = np.select(conditions, range(1, len(CODES)), default=0)
    return Optima(runs[np.argmin(losses, axis=0)], reason, np.isfinite(losses).sum(axis=0), n_sizes)


def by_size(grid: Grid, log_losses: Array) -> Array:
    """Lowest of the runs of each size: (..., runs, points) to (..., sizes, points)."""
    _, starts = np.unique(grid.sizes, return_index=True)
    return np.minimum.reduceat(np.where(np.isnan(log_losses), np.inf, log_losses), starts, axis=-2)


def log_costs(grid: Grid) -> Array:
    """Log of the FLOPs per token of each size, shape (sizes,), as the runs spent them.

    Where no run of a size is known at any of the grid's FLOPs, as runs of one evaluation are, that at their ends.
    """
    _, starts = np.unique(grid.sizes, return_index=True)
    costs = np.log(grid.flops) - np.log(grid.tokens)
    known = np.isfinite(costs)
    n_points = known.sum(axis=1)
    per_run = np.where(known, costs, 0.0).sum(axis=1) / np.maximum(n_points, 1)
    n_runs = np.add.reduceat((n_points > 0).astype(float), starts)
    found = np.add.reduceat(per_run, starts) / np.where(n_runs > 0, n_runs, np.nan)
    if grid.costs is None:
        return found
    at_ends = np.add.reduceat(grid.costs, starts) / np.diff([*starts, len(grid.sizes)])
    return np.where(np.isnan(found), at_ends, found)


def thinned(grid: Grid, *, n_points: int) -> Grid:
    """The grid at about `n_points` of its FLOPs, ends included."""
    kept = np.unique(np.linspace(0, grid.flops.size - 1, n_points).round().astype(int))
    return at_points(grid, kept)


def at_points(grid: Grid, kept: NDArray[np.intp]) -> Grid:
    """The grid at some of its FLOPs."""
    weights = None if grid.weights is None else grid.weights[:, kept]
    return grid._replace(
        flops=grid.flops[kept], losses=grid.losses[:, kept], tokens=grid.tokens[:, kept], weights=weights
    )
