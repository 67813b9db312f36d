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
from .confidence.run_noise import MIN_FREE, RunNoise, run_noise
from .confidence.uncertainty import NOISE_SIGMAS, curve_warnings, estimate, failed_share, noise_warnings
from .confidence.verdicts import Verdict, exponent_verdict, unless_assumed
from .envelope_grid import Grid, at_points, read_off
from .final_losses import BUDGET_WIDTH, ends_only, grid_of, most_sizes, shared_budgets
from .fit import Fit, FitSettings, withheld
from .isoflop_laws import MIN_BUDGETS, WINDOW, laws_of, replicates
from .parabola import log_parabola

Array = NDArray[np.float64]

KEYS = ("a", "b", "n_prefactor", "d_prefactor", "a_plus_b", "a_constrained", "b_constrained")
# Three points are on a parabola whatever they are; a fourth can contradict it.
MIN_SIZES_PER_BUDGET = 4


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
    budgets = at_budgets(kept, settings=settings)
    if isinstance(budgets, Reason):
        return _not_possible("not_identified", budgets, excluded, settings=settings)
    profiles = profiles_of(budgets)
    noise = noise_of(budgets, kept)
    counted = np.array([not profile["reason"] for profile in profiles])
    values = laws_of(profiles)
    table = replicates(budgets, counted=counted, noise=noise, rng=rng, n=settings.n_bootstrap)
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
        "source": "along the curves" if budgets.weights is None and not budgets.span else "final losses",
        "span": budgets.span,
        "failed_resamples": failed_share(table[:, 0]),
        "profiles": [profile | {"runs": _runs(budgets, i)} for i, profile in enumerate(profiles)],
        "optimal_sizes": sizes,
    }
    points = [profile for profile in profiles if not profile["reason"]]
    left_out = [profile for profile in profiles if profile["reason"]]
    result = Fit("isoflop", verdict.status, verdict.why, estimates, points, [*excluded, *left_out], details)
    return result if verdict.has_numbers else withheld(result)


def at_budgets(curves: Sequence[Curve], *, settings: FitSettings) -> Grid | Reason:
    """Every run read off at budgets at which enough sizes are known, or why there are too few of these.

    Final losses by the budgets that runs share, else interpolated along the budgets of each size
    (`plmscale.laws.final_losses`); where these are not to be had, `settings.n_isoflop` budgets along the curves.
    """
    ends = ends_only(curves)
    if ends and (shared := shared_budgets(curves)) is not None:
        return _as_published(_with_rims(shared, noise_of(shared, curves)))
    grid = grid_of(curves, n_points=settings.n_envelope)
    if grid.weights is not None and len(_common(grid)) < MIN_BUDGETS:
        grid = read_off(curves, n_points=settings.n_envelope)
    common = _common(grid)
    if common.size < MIN_BUDGETS:
        counts = {"needed": MIN_SIZES_PER_BUDGET, "needed_budgets": MIN_BUDGETS}
        if ends:
            return Reason("few_budgets", counts | {"most": most_sizes(curves), "width": BUDGET_WIDTH - 1})
        most = int(_n_sizes(grid).max())
        if common.size == 0:
            return Reason.of("few_common_sizes", needed=MIN_SIZES_PER_BUDGET, most=most)
        return Reason("few_common_budgets", counts | {"most": most, "n_budgets": common.size})
    chosen = common[np.unique(np.linspace(0, common.size - 1, settings.n_isoflop).round().astype(int))]
    budgets = at_points(grid, chosen)
    return budgets if grid.weights is None else _with_rims(budgets, run_noise(curves))


def _n_sizes(grid: Grid) -> NDArray[np.intp]:
    """Sizes known at each of the FLOPs."""
    return np.array([len(np.unique(grid.sizes[seen])) for seen in np.isfinite(grid.losses).T])


def _common(grid: Grid) -> NDArray[np.intp]:
    return np.flatnonzero(_n_sizes(grid) >= MIN_SIZES_PER_BUDGET)


def _with_rims(grid: Grid, noise: RunNoise) -> Grid:
    """Final losses have no evaluations about them that tell their noise: that between runs is a rim's yardstick."""
    return grid._replace(noise=noise.sd * float(np.nanmedian(grid.losses)))


def _as_published(grid: Grid) -> Grid:
    """Budgets of which all interior optima count, as published, if most have rims above the noise.

    To leave out the shallow valleys of a table that is one is to leave out its largest budgets, where valleys are
    shallow: of the 240 points of Besiroglu et al. 2024 two of ten, and a goes from 0.50 to 0.53.
    """
    codes = [profile.get("code", "") for profile in profiles_of(grid)]
    return grid._replace(noise=0.0) if codes.count("rim_in_noise") <= codes.count("") else grid


def noise_of(grid: Grid, curves: Sequence[Curve]) -> RunNoise:
    """Noise between the runs behind a grid.

    Of runs that share budgets, and no seed or trunk that tells, what they scatter about the parabola of their budget:
    a surface over all sizes and tokens misses more of a wide table than its runs are noisy.
    """
    noise = run_noise(curves)
    if not grid.span or noise.source == "seeds" or noise.shared is not None:
        return noise
    squares, n_free = 0.0, 0
    for losses in grid.losses.T:
        seen = np.flatnonzero(np.isfinite(losses))
        near = seen[window(grid.sizes[seen], losses[seen], span=grid.span)]
        if len(np.unique(grid.sizes[near])) >= MIN_SIZES_PER_BUDGET:
            squares += float(np.sum((log_parabola(grid.sizes[near], np.log(losses[near])).residual) ** 2))
            n_free += near.size - 3
    if n_free < MIN_FREE:
        return noise
    about = RunNoise(float(np.sqrt(squares / n_free)), n_free, "valleys")
    return min(noise, about, key=lambda one: one.sd)


def profiles_of(grid: Grid) -> list[dict[str, Any]]:
    """Per budget the vertex through the runs seen there, with the tokens that the budget buys at that size."""
    rows = []
    for i, flops in enumerate(grid.flops):
        seen = np.flatnonzero(np.isfinite(grid.losses[:, i]))
        near = window(grid.sizes[seen], grid.losses[seen, i], span=grid.span)
        valley = parabola_vertex(grid.sizes[seen][near], grid.losses[seen, i][near], noise=grid.noise)
        if valley.why is not None and valley.why.code == "few_sizes_at_budget":
            valley = valley._replace(why=_at_edge(grid.sizes[seen], grid.losses[seen, i], near) or valley.why)
        tokens = None
        if valley.why is None:
            order = seen[np.argsort(grid.sizes[seen])]
            sizes, first = np.unique(grid.sizes[order], return_index=True)
            log_tokens = np.log(grid.tokens[order[first], i])
            tokens = float(np.exp(np.interp(np.log(valley.n_params), np.log(sizes), log_tokens)))
        rows.append({"flops": float(flops), "n_params": valley.n_params, "n_tokens": tokens, "loss": valley.loss})
        rows[-1] |= {"curvature": valley.curvature, "n_runs": int(seen.size)} | told(valley.why)
    return rows


def _at_edge(sizes: Array, losses: Array, near: NDArray[np.bool_]) -> Reason | None:
    """Why the window of a budget with enough sizes has too few: its best size is the smallest or the largest."""
    if len(np.unique(sizes)) < MIN_SIZES_PER_BUDGET:
        return None
    middle = sizes[near][np.argmin(losses[near])]
    return Reason.of("vertex_below" if middle < np.median(sizes) else "vertex_above")


def window(sizes: Array, losses: Array, *, span: float) -> NDArray[np.bool_]:
    """Runs whose size is among the WINDOW sizes on either side of the one with the lowest mean loss, or within span."""
    distinct, index = np.unique(sizes, return_inverse=True)
    if distinct.size == 0:
        return np.zeros(0, dtype=bool)
    best = int(np.argmin(np.bincount(index, losses) / np.bincount(index)))
    return (np.abs(index - best) <= WINDOW) | (np.abs(np.log(sizes / distinct[best])) <= span)


def _verdict(profiles: Sequence[dict[str, Any]], estimates: dict[str, Estimate], *, failed: float) -> Verdict:
    left_out = [Reason(profile["code"], profile.get("values", {})) for profile in profiles if profile["reason"]]
    n_good = len(profiles) - len(left_out)
    if n_good < MIN_BUDGETS:
        counts = {"n_good": n_good, "n_budgets": len(profiles), "needed": MIN_BUDGETS}
        return Verdict("not_identified", Reason("few_valleys", counts | {"most": max(left_out, key=left_out.count)}))
    return exponent_verdict("a", estimates, failed=failed)


def _runs(grid: Grid, budget: int) -> list[dict[str, Any]]:
    seen = np.flatnonzero(np.isfinite(grid.losses[:, budget]))
    return [
        {
            "run": grid.names[i],
            "n_params": int(grid.sizes[i]),
            "n_tokens": float(grid.tokens[i, budget]),
            "loss": float(grid.losses[i, budget]),
        }
        for i in map(int, seen)
    ]


def _not_possible(status: Any, why: Reason, excluded: list[dict[str, Any]], *, settings: FitSettings) -> Fit:
    details = {"warnings": [], "profiles": [], "optimal_sizes": no_sizes(settings)}
    return Fit("isoflop", status, why, {key: Estimate(None) for key in KEYS}, (), excluded, details)
