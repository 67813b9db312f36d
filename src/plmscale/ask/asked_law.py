"""A law that answers questions: its losses over sizes and tokens, their basis, and their range."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..estimates import Estimate
from ..laws.confidence.uncertainty import interval
from ..laws.size_law import SizeLaw
from ..runs.extent import Extent
from .optima import Search
from .surfaces import Chinchilla, Kaplan, Surface

if TYPE_CHECKING:
    from .answer import Answer

Array = NDArray[np.float64]

SURFACES: Mapping[str, Callable[[Array], Surface]] = {"chinchilla": Chinchilla, "kaplan": Kaplan}
"""Laws of a loss, by the name of their fit."""

N_BUDGETS = 80
"""Budgets at which it is looked whether a law has an answer."""


@dataclass(frozen=True, repr=False, eq=False)
class AskedLaw:
    """A law, its resamples, and the words that go with its answers.

    Attributes
    ----------
    name, title : str
        For programs, and for a sentence.
    status, reason : str
        The verdict in words, and the sentence with it.
    interval : str
        What intervals are.
    convention : str
        How FLOPs and parameters are counted.
    seen : Extent
        Sizes, tokens and FLOPs of the runs.
    cost : callable
        Training FLOPs per token of sizes.
    constants : array, shape (k, p), optional
        Of a law of the loss `fit`, and its resamples: see `plmscale.laws.loss_law.LossLaw.constants`.
    fit : str
        A key of `SURFACES`; or the law of `sizes`.
    sizes : SizeLaw, optional
        Where no law of the loss stands: one of the optimal size alone.
    others : mapping
        Other estimators' N_opt = factor · C^exponent, which widen the interval.
    rivals : tuple of SizeLaw
        Other laws of the optimal size of the same runs.
    factor : float
        Sizes within this factor of those trained are known.
    notes : tuple of str
    """

    name: str
    title: str
    status: str
    reason: str
    interval: str
    convention: str
    seen: Extent
    cost: Callable[[ArrayLike], Array]
    fit: str
    constants: Array | None = None
    sizes: SizeLaw | None = None
    others: Mapping[str, tuple[float, float]] | None = None
    rivals: tuple[SizeLaw, ...] = ()
    factor: float = 3.0
    notes: tuple[str, ...] = ()

    @cached_property
    def surface(self) -> Surface | None:
        """The law of the loss with its resamples."""
        return None if self.constants is None else SURFACES[self.fit](self.constants)

    def ask(self, **given: Any) -> "Answer":
        """`plmscale.ask.ask.ask` of this law."""
        from .ask import ask

        return ask(self, **given)

    def __repr__(self) -> str:
        return f"{self.title}\n{self.status}. {self.reason}"

    def search(self, served: float = 0.0) -> Search:
        """Sizes, for the optimum."""
        return Search(self.cost, self.seen.n_params, served)

    def budgets(self, served: float = 0.0) -> tuple[float, float] | None:
        """Least and most FLOPs whose optimum is within the law's range; None if none is."""
        if self.sizes is not None:
            return self.sizes.range
        assert self.constants is not None
        search, alone = self.search(served), SURFACES[self.fit](self.constants[:1])
        low, high = self.seen.known(factor=self.factor)[2]
        found = []
        for flops in np.geomspace(low, high, N_BUDGETS):
            size = search.lowest_loss(alone, float(flops))[0]
            if np.isfinite(size):
                tokens = float(search.tokens(size, float(flops)))
                trained = float(self.cost(size)) * tokens
                if not self.seen.outside(float(size), tokens, trained, factor=self.factor):
                    found.append(float(flops))
        return (found[0], found[-1]) if found else None

    def estimate(self, values: Array, *, more: Array | None = None) -> Estimate:
        """The first of `values` with the interval of the others; with answers of other estimators, an interval that
        holds them as well."""
        low, high = interval(values[1:])
        value = float(values[0])
        if self.others is not None and low is not None and high is not None:
            held = np.array([value, low, high, *([] if more is None else more)])
            low, high = float(held.min()), float(held.max())
        return Estimate(value, low, high)
