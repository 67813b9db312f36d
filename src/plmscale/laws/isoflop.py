"""Approach 2 of Hoffmann et al. 2022: at equal compute, loss against size is a valley; its floor is the optimal size.

A parabola in log size is read off at several budgets. Its vertex counts only inside the sizes seen, with both rims of
the valley above the floor by more than the noise. The parabola is an approximation: on wide or lop-sided ranges of
sizes its vertex is biased even without noise, while the exponent is not affected by a constant bias.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..estimates import Estimate
from ..presentation.reasons import told, words
from ..reasons import Reason
from ..runs.curves import Curve, usable
from .budgets import no_sizes, optimal_sizes
from .confidence.run_noise import RunNoise, run_noise
from .confidence.uncertainty import NOISE_SIGMAS, curve_warnings, estimate, failed_share, noise_warnings
from .confidence.verdicts import Verdict, exponent_verdict, unless_assumed
from .envelope_grid import Grid, read_off
from .fit import Fit, FitSettings, withheld
from .parabola import log_parabola
from .power_law import constrained_exponent

Array = NDArray[np.float64]

KEYS = ("a", "b", "n_prefactor", "d_prefactor", "a_plus_b", "a_constrained", "b_constrained")
# Three points are on a parabola whatever they are; a fourth can contradict it.
MIN_SIZES_PER_BUDGET = 4
# A line through two vertices has no residual.
MIN_BUDGETS = 3
# Sizes on either side of the best one that the parabola of a fit goes through. Valleys are lop-sided: with all of a
# 64-fold range of sizes the exponent of a known law (0.538) came out as 0.497, its interval excluding the truth.
WINDOW = 2
REPLICATE_BLOCK = 50


class IsoflopMinimum(NamedTuple):
    """Vertex of the parabola of loss in log size; `why` it does not count, None if it does."""

    n_params: float
    loss: float
    curvature: float
    why: Reason | None

    @property
    def reason(self) -> str:
        """`why` in words; empty if the vertex counts."""
        return "" if self.why is None else words(self.why)


def parabola_vertex(n_params: ArrayLike, loss: ArrayLike, *, noise: float = 0.0) -> IsoflopMinimum:
    """Floor of the valley of loss over log size.

    Parameters
    ----------
    n_params, loss : array_like, shape (n,)
        Sizes and losses (nats) at equal compute; a size may have several runs.
    noise : float
        Standard deviation of a loss, nats.

    Returns
    -------
    IsoflopMinimum
        With the reason if there is no optimum: too few sizes, no minimum, one beyond the sizes, or within the noise.

    Examples
    --------
    >>> round(parabola_vertex([1e6, 2e6, 4e6, 8e6], [2.4, 2.1, 2.0, 2.1]).n_params / 1e6, 2)
    4.13
    """
    sizes, y = np.asarray(n_params, dtype=float), np.asarray(loss, dtype=float)
    x = np.log(sizes)
    if (n_sizes := len(np.unique(x))) < MIN_SIZES_PER_BUDGET:
        few = Reason.of("few_sizes_at_budget", n_sizes=n_sizes, needed=MIN_SIZES_PER_BUDGET)
        return IsoflopMinimum(np.nan, np.nan, np.nan, few)
    found = log_parabola(sizes, y)
    if found.curvature <= 0:
        return IsoflopMinimum(np.nan, np.nan, found.curvature, Reason.of("no_minimum_in_size"))
    floor = found.floor
    rims = [found.curvature * (end - found.vertex) ** 2 for end in (x.min(), x.max())]
    if found.vertex <= x.min():
        return IsoflopMinimum(np.nan, np.nan, found.curvature, Reason.of("vertex_below"))
    if found.vertex >= x.max():
        return IsoflopMinimum(np.nan, np.nan, found.curvature, Reason.of("vertex_above"))
    vertex = float(np.exp(np.clip(found.vertex, -700, 700)))
    in_noise = min(rims) <= NOISE_SIGMAS * noise
    return IsoflopMinimum(vertex, floor, found.curvature, Reason.of("rim_in_noise") if in_noise else None)


def fit(curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """Fit N_opt and D_opt as power laws of C to the IsoFLOP valleys. Signature of `plmscale.laws.fit.FitFunction`.

    Estimates as in the envelope, without the fit over all points. `details["profiles"]` holds every budget with the
    runs read off there and its vertex. Intervals: every run drawn again with the noise between runs
    (`plmscale.laws.confidence.run_noise`), the whole procedure repeated.
    """
    kept, excluded = usable(curves)
    if not kept:
        return _not_possible("failed", Reason.of("no_usable_run"), excluded, settings=settings)
    budgets, most = at_budgets(kept, settings=settings)
    if budgets is None:
        reason = Reason.of("few_common_sizes", needed=MIN_SIZES_PER_BUDGET, most=most)
        return _not_possible("not_identified", reason, excluded, settings=settings)
    profiles = profiles_of(budgets, np.arange(len(kept)))
    noise = run_noise(kept)
    counted = np.array([not profile["reason"] for profile in profiles])
    values = _laws(profiles)
    table = _replicates(budgets, counted=counted, noise=noise, rng=rng, n=settings.n_bootstrap)
    estimates = {key: estimate(values[i], table[:, i], n_free=noise.drawn_free) for i, key in enumerate(KEYS)}
    verdict = unless_assumed(_verdict(profiles, estimates, failed=failed_share(table[:, 0])), noise.shared)

    def sizes_at(flops: float) -> tuple[float, Array]:
        return values[2] * flops ** values[0], table[:, 2] * flops ** table[:, 0]

    sizes = no_sizes(settings)
    if verdict.has_numbers:
        sizes = optimal_sizes(sizes_at, curves=kept, settings=settings, whole=True)
    details = {
        "warnings": [*curve_warnings(kept), *noise_warnings(noise)],
        "noise": budgets.noise,
        "run_noise": noise.to_json(),
        "failed_resamples": failed_share(table[:, 0]),
        "profiles": [profile | {"runs": _runs(budgets, i, kept)} for i, profile in enumerate(profiles)],
        "optimal_sizes": sizes,
    }
    points = [profile for profile in profiles if not profile["reason"]]
    left_out = [profile for profile in profiles if profile["reason"]]
    result = Fit("isoflop", verdict.status, verdict.why, estimates, points, [*excluded, *left_out], details)
    return result if verdict.has_numbers else withheld(result)


def at_budgets(curves: Sequence[Curve], *, settings: FitSettings) -> tuple[Grid | None, int]:
    """Every run read off at `settings.n_isoflop` budgets at which enough sizes were evaluated, None without such.

    Beside it the most sizes seen at any FLOPs.
    """
    grid = read_off(curves, n_points=settings.n_envelope)
    n_seen = np.array([len(np.unique(grid.sizes[seen])) for seen in np.isfinite(grid.losses).T])
    common = np.flatnonzero(n_seen >= MIN_SIZES_PER_BUDGET)
    if common.size < settings.n_isoflop:
        return None, int(n_seen.max())
    chosen = common[np.unique(np.linspace(0, common.size - 1, settings.n_isoflop).round().astype(int))]
    budgets = Grid(grid.flops[chosen], grid.sizes, grid.losses[:, chosen], grid.tokens[:, chosen], grid.noise)
    return budgets, int(n_seen.max())


def profiles_of(grid: Grid, runs: NDArray[np.intp]) -> list[dict[str, Any]]:
    """Per budget the vertex through the given runs, with the tokens that the budget buys at that size."""
    rows = []
    for i, flops in enumerate(grid.flops):
        seen = runs[np.isfinite(grid.losses[runs, i])]
        near = _window(grid.sizes[seen], grid.losses[seen, i])
        valley = parabola_vertex(grid.sizes[seen][near], grid.losses[seen, i][near], noise=grid.noise)
        tokens = None
        if valley.why is None:
            order = seen[np.argsort(grid.sizes[seen])]
            sizes, first = np.unique(grid.sizes[order], return_index=True)
            log_tokens = np.log(grid.tokens[order[first], i])
            tokens = float(np.exp(np.interp(np.log(valley.n_params), np.log(sizes), log_tokens)))
        rows.append({"flops": float(flops), "n_params": valley.n_params, "n_tokens": tokens, "loss": valley.loss})
        rows[-1] |= {"curvature": valley.curvature, "n_runs": int(seen.size)} | told(valley.why)
    return rows


def _window(sizes: Array, losses: Array) -> NDArray[np.bool_]:
    """Runs whose size is among the WINDOW sizes on either side of the one with the lowest mean loss."""
    distinct, index = np.unique(sizes, return_inverse=True)
    if distinct.size == 0:
        return np.zeros(0, dtype=bool)
    best = int(np.argmin(np.bincount(index, losses) / np.bincount(index)))
    return np.abs(index - best) <= WINDOW


def _laws(profiles: Sequence[dict[str, Any]]) -> list[float]:
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


def _replicates(grid: Grid, *, counted: NDArray[np.bool_], noise: RunNoise, rng: np.random.Generator, n: int) -> Array:
    """Values of KEYS (n, keys) with every run drawn again: the parabolas of all replicates and budgets at once."""
    seen = np.isfinite(grid.losses).T
    x = np.log(grid.sizes) - np.log(grid.sizes).mean()
    sizes, member = np.unique(grid.sizes, return_inverse=True)
    of_size = (member[:, None] == np.arange(len(sizes))).astype(float)
    per_size = seen @ of_size
    cost = np.log(grid.flops) - np.log(grid.tokens)
    at_size = np.array([np.nanmean(cost[member == i]) for i in range(len(sizes))])
    powers = np.stack([x**k for k in range(5)])
    rows = []
    for start in range(0, n, REPLICATE_BLOCK):
        shift = np.exp(noise.draw(rng, n=min(REPLICATE_BLOCK, n - start), n_runs=len(x)))[:, None]
        loss = np.where(seen, grid.losses.T, 0.0) * shift
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(per_size > 0, loss @ of_size / per_size, np.inf)
        rank = np.cumsum(per_size > 0, axis=-1) - 1
        best = np.take_along_axis(np.broadcast_to(rank, means.shape), means.argmin(axis=-1)[..., None], axis=-1)
        near = seen & (np.abs(rank[:, member] - best) <= WINDOW)
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


def _verdict(profiles: Sequence[dict[str, Any]], estimates: dict[str, Estimate], *, failed: float) -> Verdict:
    left_out = [Reason(profile["code"], profile.get("values", {})) for profile in profiles if profile["reason"]]
    n_good = len(profiles) - len(left_out)
    if n_good < MIN_BUDGETS:
        counts = {"n_good": n_good, "n_budgets": len(profiles), "needed": MIN_BUDGETS}
        return Verdict("not_identified", Reason("few_valleys", counts | {"most": max(left_out, key=left_out.count)}))
    return exponent_verdict("a", estimates, failed=failed)


def _runs(grid: Grid, budget: int, curves: Sequence[Curve]) -> list[dict[str, Any]]:
    seen = np.flatnonzero(np.isfinite(grid.losses[:, budget]))
    return [
        {
            "run": curves[i].run,
            "n_params": curves[i].n_params,
            "n_tokens": float(grid.tokens[i, budget]),
            "loss": float(grid.losses[i, budget]),
        }
        for i in map(int, seen)
    ]


def _not_possible(status: Any, why: Reason, excluded: list[dict[str, Any]], *, settings: FitSettings) -> Fit:
    details = {"warnings": [], "profiles": [], "optimal_sizes": no_sizes(settings)}
    return Fit("isoflop", status, why, {key: Estimate(None) for key in KEYS}, (), excluded, details)
