"""The design with the narrowest expected intervals for a budget: sizes, token budgets and seeds.

Every candidate is a ladder of sizes with a constant ratio, all of them trained on the same token budgets with a
constant ratio, each size and seed one trunk whose branches are the budgets. Its tokens are what the budget pays for.
Candidates are compared by the logarithms of the variances of a and of the optimal size at the target.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import inf, log, log10

import numpy as np
from numpy.typing import NDArray

from ..study.config import Training
from ..study.flops import train_flops_per_token
from .expectation import Expected, Grid, expected
from .ladder import ladder, ladder_params, spaced
from .prior import Prior
from .recipe import batch_tokens

Array = NDArray[np.float64]

SIZE_RATIOS, SIZES = (1.6, 2.0, 2.5, 3.2, 4.0), (5, 6, 7, 8, 10, 12)
TOKEN_RATIOS, LENGTHS = (2.0, 4.0), (4, 5, 6)
SEEDS = (1, 2, 3, 4, 5, 6, 8, 12)
"""Many: only other trunks show the noise that all runs of a trunk share."""

STARTS_PER_DECADE = 4

BELOW = 3.0
"""A law is taken to hold for sizes and tokens down to those of its runs over this, as for `plmscale ask`."""

LEAST_STEPS = 60
"""Optimizer steps of the shortest run, as in the shortest of the small runs (`plmscale.design.prior.SMALL_RUNS`), which
the law describes."""

MOST_CELLS = 400

LEAST_INTERIOR = 0.5
"""Decades that a design has where any has them: envelope and IsoFLOP see an optimum, whatever the law."""


@dataclass(frozen=True)
class Means:
    """What there is to spend.

    Attributes
    ----------
    flops : float
        Training FLOPs by appendix E, start-up left out.
    flops_per_start : float
        Those that the start of a job takes the time of.
    max_length : int
    most_tokens : float
        Of the longest run: as many passes over the proteins as are allowed.
    most_jobs : float
        Trunks and branches.
    """

    flops: float
    flops_per_start: float
    max_length: int
    most_tokens: float
    most_jobs: float = inf


@dataclass(frozen=True)
class Design:
    """Sizes by their places in the ladder, token budgets and seeds, and the intervals that they are expected to give.

    Attributes
    ----------
    places : tuple of int
    tokens : tuple of float
        Budgets, the shortest first.
    seeds : int
    expected : Expected
    interior : float
        See `interior_decades`.
    loss : float
        By which designs are compared; less is better.
    """

    places: tuple[int, ...]
    tokens: tuple[float, ...]
    seeds: int
    expected: Expected
    interior: float
    loss: float

    @property
    def n_cells(self) -> int:
        """Cells."""
        return len(self.places) * len(self.tokens) * self.seeds

    @property
    def grid(self) -> Grid:
        """Its runs."""
        return grid_of(self.places, self.tokens, self.seeds)


def grid_of(places: Sequence[int], tokens: Sequence[float], seeds: int) -> Grid:
    """Sizes by their places in the ladder, each at every number of tokens."""
    sizes = np.array([ladder_params()[i] for i in places], dtype=float)
    return Grid.of(sizes, np.array(tokens), seeds=seeds)


def best_designs(prior: Prior, means: Means, *, target_flops: float) -> list[Design]:
    """Designs that the means pay for, the best first; empty where none is.

    Those with `LEAST_INTERIOR` decades around the expected optimum, or where there are none, all.
    """
    found = []
    for places, ratio, n, seeds in _candidates(prior):
        if len(places) * seeds * n > MOST_CELLS or len(places) * seeds * (n + 1) > means.most_jobs:
            continue
        tokens = _tokens(places, ratio, n, seeds, means)
        if tokens is not None and _allowed(places, tokens, prior, means):
            found.append(judged(prior, places, tokens, seeds, target_flops=target_flops))
    inside = [one for one in found if one.interior >= LEAST_INTERIOR]
    return sorted(inside or found, key=lambda one: one.loss)


def judged(prior: Prior, places: Sequence[int], tokens: Sequence[float], seeds: int, *, target_flops: float) -> Design:
    """A design with the intervals that it is expected to give."""
    grid = grid_of(places, tokens, seeds)
    told = expected(prior, grid, target_flops=target_flops)
    errors = told.quantile * np.array([told.error_logit, told.error_size])
    interior = interior_decades(prior, np.unique(grid.n_params), tokens[-1])
    return Design(tuple(places), tuple(tokens), seeds, told, interior, 2 * float(np.log(errors).sum()))


def _candidates(prior: Prior) -> Iterator[tuple[Sequence[int], float, int, int]]:
    least = max(prior.seen.n_params[0] / BELOW, ladder_params()[0])
    most = ladder_params()[-1] / 50
    starts = np.geomspace(least, most, int(log10(most / least) * STARTS_PER_DECADE))
    seen = set()
    for start, ratio, n in product(starts.tolist(), SIZE_RATIOS, SIZES):
        places = spaced(start, ratio=ratio, n=n)
        if places is None or tuple(places) in seen:
            continue
        seen.add(tuple(places))
        for token_ratio, length, seeds in product(TOKEN_RATIOS, LENGTHS, SEEDS):
            yield places, token_ratio, length, seeds


def _tokens(places: Sequence[int], ratio: float, n: int, seeds: int, means: Means) -> tuple[float, ...] | None:
    """The budgets of tokens that the means pay for: trunks to where the longest branch leaves, and all branches."""
    growth = ratio ** np.arange(n)
    share = Training().wsd.decay_share
    passes = (1 - share) * growth[-1] + share * growth.sum()
    per_token = sum(_ladder_flops(means.max_length)[i] for i in places)
    left = means.flops - seeds * len(places) * (n + 1) * means.flops_per_start
    shortest = left / (seeds * per_token * passes)
    return tuple((shortest * growth).tolist()) if shortest > 0 else None


@cache
def _ladder_flops(max_length: int) -> tuple[float, ...]:
    """FLOPs per token of every size."""
    return tuple(train_flops_per_token(size, max_length) for size in ladder())


def _allowed(places: Sequence[int], tokens: Sequence[float], prior: Prior, means: Means) -> bool:
    sizes = [ladder_params()[i] for i in (places[0], places[-1])]
    batch = batch_tokens(6 * (sizes[0] * sizes[1] * tokens[0] * tokens[-1]) ** 0.5)
    least = max(prior.seen.n_tokens[0] / BELOW, LEAST_STEPS * batch)
    return least <= tokens[0] and tokens[-1] <= means.most_tokens


PER_DECADE = 10


def interior_decades(prior: Prior, sizes: Array, longest: float) -> float:
    """Decades of FLOPs (6ND) over which the best size is neither the smallest nor the largest that has a run there.

    As `plmscale.plan.identifiability.interior_of`, by the law of the prior: a size is compared at the FLOPs that its
    longest run reaches, from a hundredth of them on.
    """
    most = 6 * sizes * longest
    flops = np.exp(np.arange(log(most.min() / 100), log(most.max()), log(10) / PER_DECADE))[:, None]
    loss = np.where((flops <= most) & (flops >= most / 100), prior.loss(sizes, flops / (6 * sizes)), np.inf)
    there, best = np.isfinite(loss), loss.argmin(axis=1)
    first, last = there.argmax(axis=1), sizes.size - 1 - there[:, ::-1].argmax(axis=1)
    return float(((best > first) & (best < last)).sum() / PER_DECADE)
