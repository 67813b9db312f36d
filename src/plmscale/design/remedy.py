"""What would make a law identified: a larger budget for a design of its own, or less noise between runs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp, log, sqrt

from ..laws.confidence.verdicts import WIDE_EXPONENT
from .expectation import IDENTIFIED, Expected
from .prior import Prior
from .search import Means, best_designs

FACTORS = (2, 4, 8, 16, 32, 64, 128)
"""Budgets, times that which is given, between which the least that is enough is looked for."""

HALVINGS = 3
"""Of the doubling in which it lies: it is known within a tenth."""

STEPS = 40


@dataclass(frozen=True)
class Remedy:
    """What would make a law identified.

    Attributes
    ----------
    budget : float or None
        Factor of the budget; None where no factor that was tried is enough.
    noise : float
        Factor of the noise between runs.
    """

    budget: float | None
    noise: float


def remedy(prior: Prior, means: Means, told: Expected, *, width: float, target_flops: float) -> Remedy:
    """The least budget, and the largest noise, at which the interval of a is narrow enough.

    Parameters
    ----------
    prior : Prior
    means : Means
    told : Expected
        Of the design by linear theory.
    width : float
        Of the interval of a that fits to simulated runs of the design have: what linear theory says of other designs is
        stretched as it has to be for this one.
    target_flops : float
    """
    wide = max(width, 1.02 * WIDE_EXPONENT)
    # An interval that excludes nothing gives no factor.
    stretch = _factor(told, width=wide) if wide < 1 else 1.0

    def enough(factor: float) -> bool:
        tokens = max(means.most_tokens, 1e18)
        more = replace(means, flops=means.flops * factor, most_jobs=means.most_jobs * factor, most_tokens=tokens)
        found = best_designs(prior, more, target_flops=target_flops)
        return bool(found) and _stretched(found[0].expected, stretch).status == IDENTIFIED

    return Remedy(_least(enough), min(_factor(told, width=WIDE_EXPONENT) / stretch, 1.0))


def _least(enough: Callable[[float], bool]) -> float | None:
    """The least factor that is enough, within a tenth."""
    high = next((float(factor) for factor in FACTORS if enough(factor)), None)
    if high is None:
        return None
    low = high / 2
    for _ in range(HALVINGS):
        middle = sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _factor(told: Expected, *, width: float) -> float:
    """Factor of the errors at which the interval of a has this width."""
    low, high = log(1e-4), log(1e4)
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _width(_stretched(told, exp(middle))) < width else (low, middle)
    return exp(low)


def _stretched(told: Expected, factor: float) -> Expected:
    return replace(told, error_logit=told.error_logit * factor)


def _width(told: Expected) -> float:
    return (told.interval.high or 1.0) - (told.interval.low or 0.0)
