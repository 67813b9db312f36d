"""Loss under repeated data, as Muennighoff et al. 2023 state it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .chinchilla import ChinchillaLaw

Array = NDArray[np.float64]


SIZE_RANGE = (1e-250, 1e250)
"""Sizes beyond which a size is next to none, or no limit."""


class RepeatedDataLaw(NamedTuple):
    """Loss under repeated data and excess parameters (Muennighoff et al. 2023, equation 5), given a Chinchilla law."""

    law: ChinchillaLaw

    def loss(
        self, n_params: ArrayLike, n_tokens: ArrayLike, unique_tokens: ArrayLike, *, r_d: float, r_n: float
    ) -> Array:
        """Loss in nats, when repeated tokens lose their value with `r_d` repetitions, excess parameters with `r_n`."""
        n, d, u = (np.asarray(values, dtype=float) for values in (n_params, n_tokens, unique_tokens))
        useful = np.minimum(n, self.size_for(u))
        repeats, excess = np.maximum(d / u - 1, 0), np.maximum(n / useful - 1, 0)
        size = useful * (1 + r_n * -np.expm1(-excess / r_n))
        tokens = u * (1 + r_d * -np.expm1(-repeats / r_d))
        return self.law.loss(size, tokens)

    def size_for(self, n_tokens: ArrayLike) -> Array:
        """Compute-optimal size for so many tokens, under C = 6ND; without limit where a term of the law is zero."""
        law, a = self.law, self.law.size_exponent
        tokens = np.asarray(n_tokens, dtype=float)
        if law.A == 0 or law.B == 0:
            return np.full(tokens.shape, SIZE_RANGE[1])
        with np.errstate(over="ignore", under="ignore"):
            g = np.float64(law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
            return np.clip(g * (g * tokens) ** (a / (1 - a)), *SIZE_RANGE)
