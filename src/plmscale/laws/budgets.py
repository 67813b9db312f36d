"""The optimal size for a budget, and the guard against giving one far from the data."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..runs.curves import Curve
from ..runs.extent import EXTRAPOLATED, INSIDE, OUTSIDE, Extent
from .confidence.uncertainty import interval
from .fit import FitSettings

__all__ = ["EXTRAPOLATED", "INSIDE", "NO_OPTIMUM", "OUTSIDE", "TokenCost", "no_sizes", "optimal_sizes"]

Array = NDArray[np.float64]
Ends = tuple[float | None, float | None]
SizeDraws = Callable[[float], tuple[float, Array | Ends]]

NO_OPTIMUM = "no optimum"


class TokenCost:
    """Training FLOPs per token as a function of size, read off the runs themselves.

    Whatever convention counted the FLOPs, it is the one in the curves: between the sizes trained log-log straight
    lines, beyond them the slope of the nearest two.
    """

    def __init__(self, curves: Sequence[Curve]) -> None:
        costs: dict[int, list[float]] = {}
        for curve in curves:
            if curve.flops.size:
                costs.setdefault(curve.n_params, []).append(float(curve.flops[-1] / curve.n_tokens[-1]))
        self.log_size = np.log(np.array(sorted(costs), dtype=float))
        self.log_cost = np.log(np.array([float(np.mean(costs[size])) for size in sorted(costs)]))

    def __call__(self, n_params: ArrayLike) -> Array:
        """FLOPs per token at `n_params`."""
        x = np.log(np.asarray(n_params, dtype=float))
        xs, ys = self.log_size, self.log_cost
        if xs.size == 1:
            return np.exp(ys[0] + (x - xs[0]))
        inside = np.interp(x, xs, ys)
        below = ys[0] + (x - xs[0]) * (ys[1] - ys[0]) / (xs[1] - xs[0])
        above = ys[-1] + (x - xs[-1]) * (ys[-1] - ys[-2]) / (xs[-1] - xs[-2])
        # Far beyond sizes whose FLOPs make no sense the lines may leave the range of floats.
        return np.exp(np.clip(np.where(x < xs[0], below, np.where(x > xs[-1], above, inside)), -300, 300))


def optimal_sizes(
    sizes_at: SizeDraws, *, curves: Sequence[Curve], settings: FitSettings, whole: bool = False
) -> list[dict[str, Any]]:
    """One row per budget: the optimal size, its tokens and tokens per parameter, or "outside the data".

    Parameters
    ----------
    sizes_at : callable
        Budget in FLOPs -> (size by the fit, sizes by its resamples or the ends of its interval).
    curves : sequence of Curve
        The runs fitted: what was seen of sizes, tokens and FLOPs, and the FLOPs per token.
    settings : FitSettings
        `budgets` and `extrapolation_factor`.
    whole : bool
        Whether the law rests on all of the curves, or on their ends alone.

    Returns
    -------
    list of dict
        Keys flops, status, n_params, n_params_low, n_params_high, n_tokens, n_tokens_low, n_tokens_high,
        tokens_per_param. Status "inside the data": size, tokens and FLOPs are all within those of the runs;
        "extrapolated": within the range of `plmscale.runs.extent.Extent`; "outside the data": beyond, and no number;
        "no optimum": the law has none at this budget.
    """
    cost, seen = TokenCost(curves), Extent.of(curves, whole=whole)
    rows = []
    for budget in settings.budgets:
        size, draws = sizes_at(budget)
        status = NO_OPTIMUM
        if np.isfinite(size) and seen is not None:
            tokens = float(budget / cost(size))
            status = seen.position(size, tokens, budget, factor=settings.extrapolation_factor)
        numbers = _numbers(size, draws, budget=budget, cost=cost, status=status)
        rows.append({"flops": budget, "status": status} | numbers)
    return rows


def no_sizes(settings: FitSettings) -> list[dict[str, Any]]:
    """The same rows for a law that is not identified."""
    return [{"flops": budget, "status": "not identified"} | dict.fromkeys(_KEYS) for budget in settings.budgets]


_KEYS = (
    "n_params",
    "n_params_low",
    "n_params_high",
    "n_tokens",
    "n_tokens_low",
    "n_tokens_high",
    "tokens_per_param",
)


def shown(size: float, flops: float, *, cost: TokenCost, seen: Extent | None, settings: FitSettings) -> bool:
    """Whether `optimal_sizes` gives a size a number."""
    if seen is None or not np.isfinite(size):
        return False
    at = seen.position(size, float(flops / cost(size)), flops, factor=settings.extrapolation_factor)
    return at in (INSIDE, EXTRAPOLATED)


def _numbers(
    size: float, draws: Array | Ends, *, budget: float, cost: TokenCost, status: str
) -> dict[str, float | None]:
    if status in (OUTSIDE, NO_OPTIMUM):
        return dict.fromkeys(_KEYS)
    low, high = draws if isinstance(draws, tuple) else interval(draws)
    tokens = float(budget / cost(size))
    # More parameters, fewer tokens: the ends of the interval change places.
    tokens_low = None if high is None else float(budget / cost(high))
    tokens_high = None if low is None else float(budget / cost(low))
    return dict(zip(_KEYS, (size, low, high, tokens, tokens_low, tokens_high, tokens / size), strict=True))
