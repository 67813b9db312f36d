"""Approach 1 of Hoffmann et al. 2022: the lower envelope of the training curves.

At each of many FLOPs the run with the lowest smoothed loss gives the optimal size and its tokens. An optimum at the
smallest or the largest size seen there is censored: a size beyond it was not tried, or its run had ended or not begun.
The headline fit goes through the FLOPs at which one size takes over from the next; the fit over all points, as
published, stands beside it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..estimates import Estimate
from ..presentation.reasons import told
from ..reasons import Reason
from ..runs.curves import Curve, usable
from .budgets import no_sizes, optimal_sizes
from .confidence.run_noise import RunNoise, run_noise
from .confidence.uncertainty import (
    INTERVAL,
    NOISE_SIGMAS,
    about,
    curve_warnings,
    estimate,
    failed_share,
    lack_of_fit,
    noise_warnings,
)
from .confidence.verdicts import MIN_SIZES, Verdict, exponent_verdict, unless_assumed
from .envelope_grid import (
    CODES,
    Array,
    Grid,
    Optima,
    by_size,
    find_optima,
    log_costs,
    thinned,
)
from .final_losses import ends_only, grid_of
from .fit import Fit, FitSettings, withheld
from .power_law import constrained_exponent
from .size_transitions import CODES as CODES_OF_HAND_OVERS
from .size_transitions import SizeTransitions, find, line
from .solvers.distributions import f_quantile

KEYS = ("a", "b", "n_prefactor", "d_prefactor", "a_plus_b", "a_constrained", "b_constrained")
ALL_POINTS_KEYS = ("a_all_points", "b_all_points", "a_plus_b_all_points")

# Replicates read the curves off at fewer points, and are made so many at a time, to stay in the cache.
REPLICATE_POINTS = 150
REPLICATE_BLOCK = 20


def fit(curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """Fit N_opt and D_opt as power laws of C to the envelope. Signature of `plmscale.laws.fit.FitFunction`.

    Estimates: a and b (exponents of size and tokens), their prefactors at one FLOP, a_plus_b, the pair under a + b = 1,
    and the published procedure, least squares over all points (`*_all_points`). The headline goes through the
    hand-overs (`plmscale.laws.size_transitions`), `details["hand_overs"]`, each used or with its reason. Intervals:
    every run drawn again with the noise between runs (`plmscale.laws.confidence.run_noise`), the whole procedure
    repeated.
    """
    kept, excluded = usable(curves)
    if not kept:
        return _empty(excluded, settings=settings)
    grid = grid_of(kept, n_points=settings.n_envelope)
    optima = find_optima(grid, np.arange(len(grid.sizes)))
    noise = run_noise(kept)
    found = hand_overs(grid, noise=noise)
    used = found.reason == 0
    values = _laws(grid, found.log_flops, used=used)
    table, lines = _replicates(grid, used=used, noise=noise, rng=rng, n=settings.n_bootstrap)
    # Replicates tell by how much the numbers move, not where they are: their runs lost their own noise before.
    table = about(table, np.array(values), positive=(2, 3))
    stretch = _stretch(grid, found, lines, noise=noise)
    estimates = {
        key: estimate(values[i], table[:, i], n_free=noise.drawn_free, stretch=stretch)
        for i, key in enumerate((*KEYS, *ALL_POINTS_KEYS))
    }
    verdict = unless_assumed(_verdict(found, estimates, failed=failed_share(table[:, 0])), noise.shared)
    points, left_out = _points(grid, optima)
    details = {
        "warnings": [*curve_warnings(kept), *noise_warnings(noise)],
        "noise": grid.noise,
        "run_noise": noise.to_json(),
        "lack_of_fit": stretch,
        "n_points": len(points),
        "n_points_all": int(np.sum(optima.reason != 1)),
        "hand_overs": _hand_over_rows(grid, found),
        "failed_resamples": failed_share(table[:, 0]),
        "optimal_sizes": _sizes(values, table, curves=kept, settings=settings) if verdict.has_numbers else [],
    }
    if not verdict.has_numbers:
        details["optimal_sizes"] = no_sizes(settings)
    result = Fit("envelope", verdict.status, verdict.why, estimates, points, [*excluded, *left_out], details)
    if ends_only(kept):
        result = without_staircase(result)
    return result if verdict.has_numbers else withheld(result, keep=ALL_POINTS_KEYS)


def without_staircase(fit: Fit) -> Fit:
    """The fit of a table of final losses without the published procedure, which goes through training curves.

    Through a table it would give the slope of the sizes and budgets that somebody chose.
    """
    return replace(fit, estimates={**fit.estimates, **dict.fromkeys(ALL_POINTS_KEYS, Estimate(None))})


def hand_overs(grid: Grid, *, noise: RunNoise) -> SizeTransitions:
    """Hand-overs between the neighbouring sizes of a grid."""
    typical = float(np.nanmedian(grid.losses))
    limit = NOISE_SIGMAS * max(noise.sd, grid.noise / typical)
    return find(by_size(grid, np.log(grid.losses)), np.log(grid.flops), noise=limit)


def _laws(grid: Grid, found: Array, *, used: NDArray[np.bool_]) -> list[float]:
    """Values of KEYS and ALL_POINTS_KEYS; NaN where too few sizes carry the fit."""
    headline = _headline(grid, found, used=used)
    everywhere = staircase(grid, by_size(grid, np.log(grid.losses)))
    return [float(value) for value in (*headline, *everywhere)]


def _headline(grid: Grid, found: Array, *, used: NDArray[np.bool_]) -> list[Array]:
    kept = np.where(used, found, np.nan)
    enough = np.isfinite(kept).sum(axis=-1) >= MIN_SIZES
    law = line(
        np.where(enough[..., None], kept, np.nan), log_sizes=np.log(np.unique(grid.sizes)), log_costs=log_costs(grid)
    )
    a, b = law.exponents
    prefactors = [np.exp(np.clip(log, -745.0, 700.0)) for log in law.log_prefactors]
    constrained = constrained_exponent(a, b)
    return [a, b, *prefactors, a + b, constrained, 1 - constrained]


def staircase(grid: Grid, log_losses: Array, *, counted: NDArray[np.bool_] | None = None) -> tuple[Array, Array, Array]:
    """a, b and a + b by least squares through the envelope itself, log_losses of shape (..., sizes, points)."""
    log_flops, sizes = np.log(grid.flops), np.log(np.unique(grid.sizes))
    best = np.argmin(log_losses, axis=-2)
    kept = np.isfinite(log_losses).any(axis=-2) if counted is None else counted
    several = len(sizes) > 1
    n = np.maximum(kept.sum(axis=-1, keepdims=True), 1)
    x = np.where(kept, log_flops - np.sum(kept * log_flops, axis=-1, keepdims=True) / n, 0.0)
    spread = np.where(several & (np.sum(x**2, axis=-1) > 0), np.sum(x**2, axis=-1), np.nan)
    a = np.sum(x * sizes[best], axis=-1) / spread
    b = np.sum(x * (log_flops - log_costs(grid)[best]), axis=-1) / spread
    return a, b, a + b


def _replicates(
    grid: Grid, *, used: NDArray[np.bool_], noise: RunNoise, rng: np.random.Generator, n: int
) -> tuple[Array, Array]:
    """Values of `_laws` (n, keys) and log FLOPs of the hand-overs (n, sizes - 1) with every run drawn again."""
    coarse = thinned(grid, n_points=REPLICATE_POINTS)
    log_losses, log_flops = np.log(coarse.losses), np.log(coarse.flops)
    log_losses = log_losses - own_offsets(coarse, noise=noise)[:, None]
    rows, lines = [], []
    for start in range(0, n, REPLICATE_BLOCK):
        shift = coarse.shifts(noise.draw(rng, n=min(REPLICATE_BLOCK, n - start), n_runs=coarse.n_runs))
        lowest = by_size(coarse, log_losses + shift)
        found = find(lowest, log_flops, noise=-np.inf).log_flops
        rows.append(np.stack([*_headline(coarse, found, used=used), *staircase(coarse, lowest)], axis=1))
        lines.append(found)
    return np.concatenate(rows), np.concatenate(lines)


def _stretch(grid: Grid, found: SizeTransitions, drawn: Array, *, noise: RunNoise) -> float:
    """Lack of fit of the hand-overs that are used."""
    used = found.reason == 0

    def about_line(log_flops: Array) -> Array:
        log_sizes = np.log(np.unique(grid.sizes))
        law = line(log_flops, log_sizes=log_sizes, log_costs=log_costs(grid))
        return log_flops - law.start[..., None] - law.slope[..., None] * (log_sizes[1:] + log_sizes[:-1]) / 2

    residual = about_line(np.where(used, found.log_flops, np.nan))
    moved = about_line(np.where(used, drawn, np.nan)) - residual
    return lack_of_fit(residual[used], moved[:, used], n_fitted=2, n_free=noise.n_free)


def own_offsets(grid: Grid, *, noise: RunNoise) -> Array:
    """Offset of each run's log loss from the mean of the runs of its size, shape (runs,); zeros where it is no noise.

    The lowest of several noisy runs is lower than their mean. A replicate that adds new noise to theirs would scatter
    by both; it has to take its place. Where runs of one size differ by more than noise (a schedule stretched to each
    run's length, say), nothing is taken away.
    """
    log_losses = np.log(grid.losses)
    offsets, n_free = np.zeros(len(grid.sizes)), 0
    for size in np.unique(grid.sizes):
        own = np.flatnonzero(grid.sizes == size)
        several = np.isfinite(log_losses[own]).sum(axis=0) > 1
        if not several.any():
            continue
        mean = np.nanmean(log_losses[own][:, several], axis=0)
        excess = log_losses[own][:, several] - mean
        shared = np.isfinite(excess).any(axis=1)
        offsets[own[shared]] = np.nanmean(excess[shared], axis=1)
        n_free += int(shared.sum()) - 1
    if n_free < 1:
        return offsets
    ratio = float(np.sum(offsets**2)) / n_free / max(noise.sd, 1e-12) ** 2
    return offsets if ratio <= f_quantile(INTERVAL, n_free, noise.n_free) else np.zeros_like(offsets)


def _hand_over_rows(grid: Grid, found: SizeTransitions) -> list[dict[str, Any]]:
    sizes, costs = np.unique(grid.sizes), log_costs(grid)
    rows = []
    for i, (log_flops, reason) in enumerate(zip(found.log_flops, found.reason, strict=True)):
        flops = float(np.exp(log_flops))
        row = {"smaller": sizes[i], "larger": sizes[i + 1], "n_params": float(np.sqrt(sizes[i] * sizes[i + 1]))}
        row |= {"flops": flops, "n_tokens": flops / float(np.exp((costs[i] + costs[i + 1]) / 2))}
        rows.append(row | told(Reason(CODES_OF_HAND_OVERS[reason]) if reason else None))
    return rows


def _verdict(found: SizeTransitions, estimates: dict[str, Estimate], *, failed: float) -> Verdict:
    n_used = int(np.sum(found.reason == 0))
    if n_used < MIN_SIZES:
        left_out = [Reason(CODES_OF_HAND_OVERS[reason]) for reason in found.reason if reason]
        counts = {"n_used": n_used, "n_pairs": len(found.reason), "needed": MIN_SIZES}
        most = max(left_out, key=left_out.count) if left_out else None
        return Verdict("not_identified", Reason("few_hand_overs", counts | {"most": most}))
    return exponent_verdict("a", estimates, failed=failed)


def _points(grid: Grid, optima: Optima) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Points used and points left out, as rows."""
    used, left_out = [], []
    said = [told(Reason(code)) if code else {} for code in CODES]
    for i, (flops, run, reason) in enumerate(zip(grid.flops, optima.best, optima.reason, strict=True)):
        if reason == 1:
            continue
        row: dict[str, Any] = {
            "flops": float(flops),
            "n_params": int(grid.sizes[run]),
            "n_tokens": float(grid.tokens[run, i]),
            "loss": float(grid.losses[run, i]),
            "run": grid.names[run],
            "n_runs": int(optima.n_runs[i]),
            "n_sizes": int(optima.n_sizes[i]),
        }
        (left_out if reason else used).append(row | said[reason])
    return used, left_out


def _sizes(
    values: Sequence[float], table: Array, *, curves: Sequence[Curve], settings: FitSettings
) -> list[dict[str, Any]]:
    def at(flops: float) -> tuple[float, Array]:
        return values[2] * flops ** values[0], table[:, 2] * flops ** table[:, 0]

    return optimal_sizes(at, curves=curves, settings=settings, whole=True)


def _empty(excluded: list[dict[str, Any]], *, settings: FitSettings) -> Fit:
    details = {"warnings": [], "optimal_sizes": no_sizes(settings)}
    estimates = {key: Estimate(None) for key in (*KEYS, *ALL_POINTS_KEYS)}
    return Fit("envelope", "failed", Reason.of("no_usable_run"), estimates, (), excluded, details)
