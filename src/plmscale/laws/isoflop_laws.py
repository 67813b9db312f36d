"""The IsoFLOP laws through vertices, and the whole procedure again with the noise of every run drawn anew."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .confidence.run_noise import RunNoise
from .envelope_grid import Grid, log_costs
from .power_law import constrained_exponent

Array = NDArray[np.float64]

# A line through two vertices has no residual.
MIN_BUDGETS = 3
# Sizes on either side of the best one that the parabola of a fit goes through. Valleys are lop-sided: with all of a
# 64-fold range of sizes the exponent of a known law (0.538) came out as 0.497, its interval excluding the truth.
WINDOW = 2
REPLICATE_BLOCK = 50


def laws_of(profiles: Sequence[dict[str, Any]]) -> list[float]:
    """Values of KEYS; NaN where too few budgets have a vertex."""
    flops, sizes, tokens = (
        np.array([np.nan if row["reason"] else row[key] for row in profiles], dtype=float)
        for key in ("flops", "n_params", "n_tokens")
    )
    return [float(value) for value in _power_laws(np.log(flops), np.log(sizes), np.log(tokens))]


def _power_laws(log_flops: Array, log_sizes: Array, log_tokens: Array) -> list[Array]:
    """Values of KEYS through vertices of shape (..., budgets), NaN where left out; NaN with fewer than MIN_BUDGETS."""
    counted = np.isfinite(log_flops) & np.isfinite(log_sizes)
    n = counted.sum(axis=-1)
    n = np.where(n >= MIN_BUDGETS, n, np.nan)
    x = np.where(counted, log_flops, 0.0)
    mean_x = x.sum(axis=-1) / n
    dx = np.where(counted, x - mean_x[..., None], 0.0)
    exponents, logs = [], []
    for values in (log_sizes, log_tokens):
        y = np.where(counted, values, 0.0)
        with np.errstate(invalid="ignore"):
            exponents.append(np.sum(dx * y, axis=-1) / np.sum(dx**2, axis=-1))
        logs.append(y.sum(axis=-1) / n - exponents[-1] * mean_x)
    a, b = exponents
    constrained = constrained_exponent(a, b)
    return [a, b, *(np.exp(np.clip(log, -745.0, 700.0)) for log in logs), a + b, constrained, 1 - constrained]


def replicates(grid: Grid, *, counted: NDArray[np.bool_], noise: RunNoise, rng: np.random.Generator, n: int) -> Array:
    """Values of KEYS (n, keys) with every run drawn again: the parabolas of all replicates and budgets at once."""
    seen = np.isfinite(grid.losses).T
    x = np.log(grid.sizes) - np.log(grid.sizes).mean()
    sizes, member = np.unique(grid.sizes, return_inverse=True)
    of_size = (member[:, None] == np.arange(len(sizes))).astype(float)
    per_size = seen @ of_size
    cost, at_size = np.log(grid.flops) - np.log(grid.tokens), log_costs(grid)
    for i in range(len(sizes)):
        if np.isfinite(cost[member == i]).any():
            at_size[i] = np.nanmean(cost[member == i])
    powers = np.stack([x**k for k in range(5)])
    rows = []
    for start in range(0, n, REPLICATE_BLOCK):
        drawn = noise.draw(rng, n=min(REPLICATE_BLOCK, n - start), n_runs=grid.n_runs)
        shift = np.exp(grid.shifts(drawn)).swapaxes(1, 2)
        loss = np.where(seen, grid.losses.T, 0.0) * shift
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(per_size > 0, loss @ of_size / per_size, np.inf)
        rank = np.cumsum(per_size > 0, axis=-1) - 1
        best = np.take_along_axis(np.broadcast_to(rank, means.shape), means.argmin(axis=-1)[..., None], axis=-1)
        at = (np.log(sizes) - np.log(grid.sizes).mean())[means.argmin(axis=-1)]
        near = seen & ((np.abs(rank[:, member] - best) <= WINDOW) | (np.abs(x - at[..., None]) <= grid.span))
        vertex = _vertices(near.astype(float), loss, powers)
        inside = np.where(near, x, np.inf).min(axis=-1), np.where(near, x, -np.inf).max(axis=-1)
        vertex = np.where((vertex > inside[0]) & (vertex < inside[1]) & counted, vertex, np.nan)
        log_size = vertex + np.log(grid.sizes).mean()
        log_cost = np.interp(log_size, np.log(sizes), at_size)
        log_flops = np.log(grid.flops)
        rows.append(
            np.stack(_power_laws(np.broadcast_to(log_flops, vertex.shape), log_size, log_flops - log_cost), axis=1)
        )
    return np.concatenate(rows)


def _vertices(weights: Array, loss: Array, powers: Array) -> Array:
    """Abscissa of the vertex of weighted parabolas, (k, budgets, runs) to (k, budgets); NaN without a minimum."""
    moments = weights @ powers.T
    normal = np.stack([moments[..., i : i + 3] for i in range(3)], axis=-2)
    right = (weights * loss) @ powers[:3].T
    solved = np.linalg.solve(normal + 1e-12 * np.eye(3), right[..., None])[..., 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(solved[..., 2] > 0, -solved[..., 1] / (2 * solved[..., 2]), np.nan)
