"""Approach 1 of Hoffmann et al. 2022: the lower envelope of the training curves.

At each of many FLOPs the run with the lowest smoothed loss gives the optimal size and its tokens. An optimum at the
smallest or the largest size seen there is censored: a size beyond it was not tried, or its run had ended or not begun.
Such points are left out of the headline fit; the fit over all points, as published, stands beside it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .budgets import no_sizes, optimal_sizes
from .curves import Curve, median_noise, usable
from .fits import Estimate, Fit, FitSettings, withheld
from .laws import PowerLaw, constrained_exponent, power_law
from .uncertainty import (
    MIN_SIZES,
    NOISE_SIGMAS,
    Verdict,
    curve_warnings,
    estimate,
    exponent_verdict,
    failed_share,
    resamples,
)

Array = NDArray[np.float64]

KEYS = ("a", "b", "n_prefactor", "d_prefactor", "a_plus_b", "a_constrained", "b_constrained")
ALL_POINTS_KEYS = ("a_all_points", "b_all_points", "a_plus_b_all_points")

REASONS = (
    "used",
    "no run was evaluated at these FLOPs",
    "only one size was evaluated at these FLOPs",
    "optimum at the smallest size evaluated at these FLOPs",
    "optimum at the largest size evaluated at these FLOPs",
    "no smaller size is worse by more than the noise",
    "no larger size is worse by more than the noise",
)


class Grid(NamedTuple):
    """Every run read off at the same FLOPs; runs sorted by size. Losses and tokens have shape (runs, points)."""

    flops: Array
    sizes: Array
    losses: Array
    tokens: Array
    noise: float


class Optima(NamedTuple):
    """Per point: the best run, and the index into `REASONS` that says whether the point counts."""

    best: NDArray[np.intp]
    reason: NDArray[np.intp]
    n_runs: NDArray[np.intp]
    n_sizes: NDArray[np.intp]


def fit(curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """Fit N_opt and D_opt as power laws of C to the envelope. Signature of `plmscale.fits.FitFunction`.

    Estimates: a and b (exponents of size and tokens), their prefactors at one FLOP, a_plus_b, the pair under a + b = 1,
    and the published procedure over all points (`*_all_points`). Intervals: bootstrap over runs.
    """
    kept, excluded = usable(curves)
    if not kept:
        return _empty(excluded, settings=settings)
    grid = read_off(kept, n_points=settings.n_envelope)
    everyone = np.arange(len(kept))
    optima = find_optima(grid, everyone)
    values = _laws(grid, optima, everyone)
    draws = [np.unique(draw) for draw in resamples(len(kept), n=settings.n_bootstrap, rng=rng)]
    table = np.array([_laws(grid, find_optima(grid, draw), draw) for draw in draws])
    estimates = {key: estimate(values[i], table[:, i]) for i, key in enumerate((*KEYS, *ALL_POINTS_KEYS))}
    verdict = _verdict(grid, optima, estimates, failed=failed_share(table[:, 0]))
    points, left_out = _points(grid, optima, kept)
    details = {
        "warnings": curve_warnings(kept),
        "noise": grid.noise,
        "n_points": len(points),
        "n_points_all": int(np.sum(optima.reason != 1)),
        "n_interior_sizes": _n_sizes(grid, optima),
        "failed_resamples": failed_share(table[:, 0]),
        "optimal_sizes": _sizes(values, table, curves=kept, settings=settings) if verdict.has_numbers else [],
    }
    if not verdict.has_numbers:
        details["optimal_sizes"] = no_sizes(settings)
    result = Fit("envelope", verdict.status, verdict.reason, estimates, points, [*excluded, *left_out], details)
    return result if verdict.has_numbers else withheld(result, keep=ALL_POINTS_KEYS)


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
    reason = np.select(conditions, range(1, len(REASONS)), default=0)
    return Optima(runs[np.argmin(losses, axis=0)], reason, np.isfinite(losses).sum(axis=0), n_sizes)


def _laws(grid: Grid, optima: Optima, runs: NDArray[np.intp]) -> list[float]:
    """Values of KEYS and ALL_POINTS_KEYS; NaN where too few sizes carry the fit."""
    size, tokens = _size_and_token_laws(grid, optima, counted=optima.reason == 0)
    enough = _n_sizes(grid, optima) >= MIN_SIZES
    a, b = (size.exponent, tokens.exponent) if enough else (np.nan, np.nan)
    constrained = constrained_exponent(a, b)
    prefactors = (size.prefactor, tokens.prefactor) if enough else (np.nan, np.nan)
    all_size, all_tokens = _size_and_token_laws(grid, optima, counted=optima.reason != 1)
    several = len(np.unique(grid.sizes[runs])) > 1
    all_a, all_b = (all_size.exponent, all_tokens.exponent) if several else (np.nan, np.nan)
    return [a, b, *prefactors, a + b, constrained, 1 - constrained, all_a, all_b, all_a + all_b]


def _size_and_token_laws(grid: Grid, optima: Optima, *, counted: NDArray[np.bool_]) -> tuple[PowerLaw, PowerLaw]:
    if not counted.any():
        nothing = PowerLaw(float("nan"), float("nan"))
        return nothing, nothing
    best, flops = optima.best[counted], grid.flops[counted]
    return power_law(flops, grid.sizes[best]), power_law(flops, grid.tokens[best, np.flatnonzero(counted)])


def _n_sizes(grid: Grid, optima: Optima) -> int:
    return len(np.unique(grid.sizes[optima.best[optima.reason == 0]]))


def _verdict(grid: Grid, optima: Optima, estimates: dict[str, Estimate], *, failed: float) -> Verdict:
    n_sizes = _n_sizes(grid, optima)
    if n_sizes < MIN_SIZES:
        counts = [(int(np.sum(optima.reason == i)), text) for i, text in enumerate(REASONS) if i > 0]
        most = max(counts)
        return Verdict(
            "not_identified",
            f"{n_sizes} of the {len(np.unique(grid.sizes))} sizes are an interior optimum, the law needs {MIN_SIZES}; "
            f"of {len(grid.flops)} points {most[0]} are left out because: {most[1]}.",
        )
    return exponent_verdict("a", estimates, failed=failed)


def _points(grid: Grid, optima: Optima, curves: Sequence[Curve]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Points used and points left out, as rows."""
    used, left_out = [], []
    for i, (flops, run, reason) in enumerate(zip(grid.flops, optima.best, optima.reason, strict=True)):
        if reason == 1:
            continue
        row: dict[str, Any] = {
            "flops": float(flops),
            "n_params": int(grid.sizes[run]),
            "n_tokens": float(grid.tokens[run, i]),
            "loss": float(grid.losses[run, i]),
            "run": curves[run].run,
            "n_runs": int(optima.n_runs[i]),
            "n_sizes": int(optima.n_sizes[i]),
        }
        (left_out if reason else used).append(row | ({"reason": REASONS[reason]} if reason else {}))
    return used, left_out


def _sizes(
    values: Sequence[float], table: Array, *, curves: Sequence[Curve], settings: FitSettings
) -> list[dict[str, Any]]:
    def at(flops: float) -> tuple[float, Array]:
        return values[2] * flops ** values[0], table[:, 2] * flops ** table[:, 0]

    return optimal_sizes(at, curves=curves, settings=settings)


def _empty(excluded: list[dict[str, str]], *, settings: FitSettings) -> Fit:
    details = {"warnings": [], "optimal_sizes": no_sizes(settings)}
    estimates = {key: Estimate(None) for key in (*KEYS, *ALL_POINTS_KEYS)}
    return Fit("envelope", "failed", "there is no usable run.", estimates, (), excluded, details)
