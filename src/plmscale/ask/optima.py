"""The optimum of every law under a budget or a target loss, with the cost of serving if there is any.

Training costs f(N) D and serving f(N) T / 3: a forward pass is a third of training's FLOPs (appendix E of Serrano et
al. 2024), which at f = 6N is 6ND + 2NT, the total that Sardana et al. 2023 (arXiv 2401.00448, equation 1) minimise.
Their optimum has no closed form, and neither has any at the FLOPs per token of real encoders: sizes are searched.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .surfaces import Surface

Array = NDArray[np.float64]

FORWARD = 1 / 3
"""FLOPs of a forward pass, over those of training on a token."""

PER_DECADE, MARGIN_DECADES, FINE = 40, 4, 41
"""Sizes tried per decade, decades beyond the sizes trained, and sizes tried again around the best."""


@dataclass(frozen=True)
class Search:
    """Sizes and what they cost.

    Attributes
    ----------
    cost : callable
        Training FLOPs per token of sizes.
    sizes : tuple of float
        The smallest and the largest size trained.
    served : float
        Tokens that the model will be served.
    """

    cost: Callable[[ArrayLike], Array]
    sizes: tuple[float, float]
    served: float = 0.0

    def total(self, n_params: ArrayLike, n_tokens: ArrayLike) -> Array:
        """FLOPs of training and serving."""
        return self.cost(n_params) * (np.asarray(n_tokens, dtype=float) + FORWARD * self.served)

    def tokens(self, n_params: ArrayLike, flops: float) -> Array:
        """Tokens that FLOPs of training and serving leave to the training of a size; not positive where none."""
        return flops / self.cost(n_params) - FORWARD * self.served

    def params(self, n_tokens: float, flops: float) -> float:
        """The size whose training on so many tokens, and serving, takes these FLOPs; cost grows with size."""
        low, high = self._ends
        for _ in range(200):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.total(np.exp(middle), n_tokens) < flops else (low, middle)
        return float(np.exp(0.5 * (low + high)))

    def lowest_loss(self, surface: Surface, flops: float) -> Array:
        """The best size of each law for a budget, shape (k,); NaN where there is none."""

        def loss(log_size: Array) -> Array:
            size = np.exp(log_size)
            tokens = self.tokens(size, flops)
            found = surface.loss(size, np.where(tokens > 0, tokens, 1.0))
            return np.where(tokens > 0, found, np.inf)

        return self._lowest(loss)

    def least_total(self, surface: Surface, loss: float) -> Array:
        """The size of each law that reaches a loss for the least FLOPs, shape (k,); NaN where none does."""

        def log_total(log_size: Array) -> Array:
            size = np.exp(log_size)
            tokens = surface.tokens(size, loss)
            with np.errstate(invalid="ignore", over="ignore"):
                return np.where(np.isfinite(tokens) & (tokens > 0), np.log(self.total(size, tokens)), np.inf)

        return self._lowest(log_total)

    @property
    def _ends(self) -> tuple[float, float]:
        margin = MARGIN_DECADES * np.log(10)
        return float(np.log(self.sizes[0]) - margin), float(np.log(self.sizes[1]) + margin)

    def _lowest(self, objective: Callable[[Array], Array]) -> Array:
        """Size at the lowest value of each law: the best of a grid, of a finer one about it, and then of a parabola."""
        low, high = self._ends
        grid = np.linspace(low, high, int((high - low) / np.log(10) * PER_DECADE))
        values = objective(grid[None])
        best = np.argmin(values, axis=1)
        inner = (best > 0) & (best < grid.size - 1) & np.isfinite(np.min(values, axis=1))
        step = (grid[1] - grid[0]) / (FINE // 2)
        fine = grid[best][:, None] + step * np.arange(-(FINE // 2), FINE // 2 + 1)
        values, rows = objective(fine), np.arange(len(best))
        at = np.clip(np.argmin(values, axis=1), 1, FINE - 2)
        left, middle, right = (values[rows, at + i] for i in (-1, 0, 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = 0.5 * (left - right) / (left - 2 * middle + right)
        shift = np.where(np.isfinite(shift), np.clip(shift, -1, 1), 0.0)
        return np.where(inner, np.exp(fine[rows, at] + step * shift), np.nan)
