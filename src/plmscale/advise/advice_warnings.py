"""What a ranking of cells leaves out of account: optima at the edge of the grid, confounding, unmeasured noise."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..laws.budgets import TokenCost
from ..laws.chinchilla import cheapest_size
from ..laws.fit import Fit, FitSettings
from ..laws.isoflop import at_budgets
from ..laws.solvers.chinchilla import ChinchillaLaw
from ..presentation.formats import number, short
from ..reasons import Reason
from ..runs.curves import Curve, usable
from .advice import Advice

Array = NDArray[np.float64]

CONFOUNDED = 0.9
"""Rank correlation with size or compute from which a setting cannot be told from it."""
SETTINGS = {"batch_tokens": "batch", "learning_rate": "learning rate"}
SEEDS = 2
"""Reruns of each of two cells: four degrees of freedom, a standard deviation known to about 35 %."""
FAR = 10.0
"""A target this many times beyond the largest run's FLOPs is an extrapolation that no interval of a law covers."""


def edge_warnings(curves: Sequence[Curve], *, settings: FitSettings, law: Fit | None = None) -> list[str]:
    """Budgets whose best size is the smallest or the largest trained, and which cells would show the optimum.

    Parameters
    ----------
    curves : sequence of Curve
    settings : FitSettings
        Budgets are those of the IsoFLOP profiles.
    law : Fit, optional
        Chinchilla's law of the runs: what it says of the shortest and the longest run's FLOPs stands in where the runs
        were not evaluated at equal FLOPs, as in a table of final losses.
    """
    kept, _ = usable(curves)
    if not kept:
        return []
    cost, sizes, warnings = TokenCost(kept), sorted({curve.n_params for curve in kept}), []
    best = _best_sizes(kept, settings)
    by = "" if best or law is None else ", by the law,"
    if by and law is not None:
        best = _predicted(law, kept, cost)
    for side, size, factor, word in (("smallest", sizes[0], 0.5, "smaller"), ("largest", sizes[-1], 2.0, "larger")):
        budgets = [flops for flops, one in best.items() if (one <= size if factor < 1 else one >= size)]
        if budgets:
            most = max(budgets)
            span = f"{number(most)} FLOPs" if len(budgets) == 1 else f"{number(min(budgets))} to {number(most)} FLOPs"
            new = [size * factor**k for k in (1, 2)]
            cells = " and ".join(f"{short(n)} on {short(most / float(cost(n)))} tokens" for n in new)
            warnings.append(
                f"At {span} the best size is{by} the {side} trained, {short(size)}, or beyond: the optimum is "
                f"censored. Add two {word} sizes at {number(most)} FLOPs: {cells} ({number(2 * most)} FLOPs together)."
            )
    return warnings


def _best_sizes(curves: Sequence[Curve], settings: FitSettings) -> dict[float, float]:
    """Size of the lowest loss at each budget at which four sizes were evaluated; none where they were interpolated.

    Between final losses four sizes are known at middle budgets alone, which say nothing of the edges of the grid.
    """
    grid = at_budgets(curves, settings=settings)
    if isinstance(grid, Reason) or grid.weights is not None:
        return {}
    losses = np.where(np.isfinite(grid.losses), grid.losses, np.inf)
    return dict(zip(grid.flops.tolist(), grid.sizes[losses.argmin(axis=0)].tolist(), strict=True))


def _predicted(law: Fit, curves: Sequence[Curve], cost: TokenCost) -> dict[float, float]:
    """Best size by the law at the FLOPs of the shortest and the longest run; empty without a law or an optimum."""
    values = [law.estimates[key].value for key in ("E", "A", "B", "alpha", "beta")]
    e, a, b, alpha, beta = (float("nan") if value is None else value for value in values)
    ends = [float(curve.flops[-1]) for curve in curves]
    found = {
        flops: cheapest_size(ChinchillaLaw(e, a, b, alpha, beta, 0.0), flops, cost=cost)
        for flops in (min(ends), max(ends))
        if None not in values
    }
    return {flops: size for flops, size in found.items() if np.isfinite(size)}


def confounding_warnings(curves: Sequence[Curve]) -> list[str]:
    """Settings that change with size or compute, so that no fit can tell one from the other."""
    size = np.array([float(curve.n_params) for curve in curves])
    flops = np.array([float(curve.flops.max(initial=0.0)) for curve in curves])
    warnings = []
    for name in SETTINGS:
        # A rate is a quotient: its last digits are no difference.
        values = np.array([float(f"{getattr(curve, name):.9g}") for curve in curves])
        known = values > 0
        if np.unique(values[known]).size < 2:
            continue
        for axis, what in ((size, "size"), (flops, "compute")):
            found = _rank_correlation(axis[known], values[known])
            if abs(found) >= CONFOUNDED:
                warnings.append(_confounded(size[known], values[known], SETTINGS[name], what, found))
                break
    return warnings


def _rank_correlation(x: Array, y: Array) -> float:
    """Spearman's, 0 where there are fewer than three different values of x."""
    if np.unique(x).size < 3:
        return 0.0
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _confounded(size: Array, values: Array, words: str, what: str, correlation: float) -> str:
    small, large = int(np.argmin(size)), int(np.argmax(size))
    return (
        f"The {words} changes with {what} (rank correlation {correlation:.2f}): exponents mix both. Train "
        f"{short(size[small])} with the {words} of {short(size[large])}, {number(values[large])}, and "
        f"{short(size[large])} with {number(values[small])}."
    )


def seed_warnings(advice: Advice, curves: Sequence[Curve]) -> list[str]:
    """Which cells need other seeds before the noise between runs is known."""
    kept, _ = usable(curves)
    if advice.noise is None or advice.noise.source == "seeds" or not kept:
        return []
    by_cost = sorted(kept, key=lambda curve: float(curve.flops[-1]))
    cells = list(dict.fromkeys([len(by_cost) // 4, len(by_cost) // 2]))
    named = [by_cost[i] for i in cells]
    flops = SEEDS * sum(float(curve.flops[-1]) for curve in named)
    each = " and ".join(f"{short(curve.n_params)} on {short(float(curve.n_tokens[-1]))} tokens" for curve in named)
    return [
        f"The noise between seeds is not measured; scatter about the law stands for it. Repeat {each} with {SEEDS} "
        f"more seeds each ({number(flops)} FLOPs)."
    ]


def law_warnings(advice: Advice, curves: Sequence[Curve]) -> list[str]:
    """Whether the law that ranks is wrong, and whether the target is far outside the runs."""
    warnings, fit = [], advice.fit
    if fit is not None and {"misfit", "misfit_besides"} & set(fit.why.codes):
        warnings.append(
            "Chinchilla's law does not fit these runs: its lack of fit is counted as noise, but the ranking holds for "
            "this law only. Ask again after every few cells."
        )
    kept, _ = usable(curves)
    at, most = advice.question.target.at_flops, max((float(curve.flops[-1]) for curve in kept), default=np.inf)
    if at is not None and at > FAR * most:
        warnings.append(
            f"{number(at)} FLOPs are {number(at / most)} times those of the largest run: beyond the runs the interval "
            "holds only if the law does."
        )
    return warnings
