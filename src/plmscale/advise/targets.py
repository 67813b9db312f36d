"""What may be asked of a scaling law: the exponent a, the optimal size at a budget, the lowest loss at a budget."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..laws.budgets import TokenCost
from ..plan.information import Quantity
from ..study.catalog import ADVICE_TARGETS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Target:
    """What is asked of the law.

    Attributes
    ----------
    name : str
        A key of `ADVICE_TARGETS`.
    at_flops : float, optional
        Budget of "n_opt" and "loss".

    Raises
    ------
    InputError
        For an unknown name, a budget that is missing or not positive, and a budget for "a", which has none.
    """

    name: str = "a"
    at_flops: float | None = None

    def __post_init__(self) -> None:
        if self.name not in ADVICE_TARGETS:
            raise InputError(f"for: there is no target {self.name!r}; choose one of {', '.join(ADVICE_TARGETS)}.")
        if self.name == "a" and self.at_flops is not None:
            raise InputError(f"at_flops is {self.at_flops:g}, but the exponent a has no budget. Leave it out.")
        if self.name != "a" and not (self.at_flops is not None and 0 < self.at_flops < float("inf")):
            raise InputError(f"at_flops is {self.at_flops}; {self.name!r} is asked at a budget: give positive FLOPs.")

    @property
    def logarithmic(self) -> bool:
        """Whether `quantity` is a natural logarithm."""
        return self.name != "a"

    def quantity(self, *, centre: Array, cost: "PowerCost") -> Quantity:
        """The target as a function of the parameters of `plmscale.plan.information`; its logarithm for sizes, losses.

        With C = kappa N^s D the derivative of E + A N^-alpha + B (kappa N^s / C)^beta vanishes at
        N^(alpha + s beta) = alpha A / (s beta B) (C / kappa)^beta; for s = 1 and kappa = 6 it is equation 4 of
        Hoffmann et al. 2022.
        """
        if self.name == "a":
            return lambda theta: theta[:, 4] / (theta[:, 3] + theta[:, 4])
        log_budget = np.log(float(self.at_flops or 1.0)) - cost.log_factor

        def log_size(theta: Array) -> Array:
            alpha, beta = theta[:, 3], theta[:, 4]
            log_a, log_b = theta[:, 1] + alpha * centre[0], theta[:, 2] + beta * centre[1]
            ratio = np.log(alpha) + log_a - np.log(cost.power * beta) - log_b
            return (ratio + beta * log_budget) / (alpha + cost.power * beta)

        def log_loss(theta: Array) -> Array:
            size = log_size(theta)
            x, y = size - centre[0], log_budget - cost.power * size - centre[1]
            terms = [theta[:, 0], theta[:, 1] - theta[:, 3] * x, theta[:, 2] - theta[:, 4] * y]
            return np.logaddexp.reduce(terms, axis=0)

        return log_size if self.name == "n_opt" else log_loss


@dataclass(frozen=True)
class PowerCost:
    """FLOPs of one token, exp(log_factor) N ** power: 6ND has log 6 and 1.

    Attributes
    ----------
    log_factor, power : float
    """

    log_factor: float
    power: float

    @classmethod
    def of(cls, cost: TokenCost) -> "PowerCost":
        """The straight line through the sizes trained, in logarithms; slope 1 where there is one size."""
        if cost.log_size.size < 2:
            return cls(float(cost.log_cost[0] - cost.log_size[0]), 1.0)
        power, log_factor = np.polyfit(cost.log_size, cost.log_cost, 1)
        return cls(float(log_factor), float(power))
