"""The loss over sizes and tokens by many laws at once: the law itself first, then its resamples."""

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Surface(Protocol):
    """k laws L(N, D). Arguments have shape (k, m) or broadcast to it, and so have results; tokens and parameters that
    no run can have are infinite."""

    def loss(self, n_params: ArrayLike, n_tokens: ArrayLike) -> Array:
        """Nats."""
        ...

    def tokens(self, n_params: ArrayLike, loss: float) -> Array:
        """Tokens with which a size reaches a loss."""
        ...

    def params(self, n_tokens: ArrayLike, loss: float) -> Array:
        """Size that reaches a loss with so many tokens."""
        ...


class Chinchilla:
    """L = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, equation 2).

    Parameters
    ----------
    constants : array, shape (k, 5)
        log E, log A, log B, alpha, beta.
    """

    def __init__(self, constants: Array) -> None:
        with np.errstate(over="ignore"):
            self.floor = np.exp(constants[:, :1])
        self.terms, self.exponents = constants[:, 1:3], constants[:, 3:]

    def loss(self, n_params: ArrayLike, n_tokens: ArrayLike) -> Array:
        """See `Surface`."""
        return self.floor + self._term(0, n_params) + self._term(1, n_tokens)

    def tokens(self, n_params: ArrayLike, loss: float) -> Array:
        """See `Surface`."""
        return self._solved(1, loss - self.floor - self._term(0, n_params))

    def params(self, n_tokens: ArrayLike, loss: float) -> Array:
        """See `Surface`."""
        return self._solved(0, loss - self.floor - self._term(1, n_tokens))

    def _term(self, which: int, at: ArrayLike) -> Array:
        log = np.log(np.asarray(at, dtype=float))
        with np.errstate(over="ignore"):
            return np.exp(self.terms[:, which, None] - self.exponents[:, which, None] * log)

    def _solved(self, which: int, rest: Array) -> Array:
        """Where the term is the rest of the loss."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            log = (self.terms[:, which, None] - np.log(rest)) / self.exponents[:, which, None]
            return np.where(rest > 0, np.exp(log), np.inf)


class Kaplan:
    """L = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D (Kaplan et al. 2020, equation 1.5).

    Parameters
    ----------
    constants : array, shape (k, 4)
        Logarithms of alpha_N, alpha_D, N_c, D_c.
    """

    def __init__(self, constants: Array) -> None:
        self.alpha_d = np.exp(constants[:, 1, None])
        self.power = np.exp(constants[:, 0, None] - constants[:, 1, None])
        self.log_n, self.log_d = constants[:, 2, None], constants[:, 3, None]

    def loss(self, n_params: ArrayLike, n_tokens: ArrayLike) -> Array:
        """See `Surface`."""
        return np.exp(self.alpha_d * np.logaddexp(self._size(n_params), self.log_d - _log(n_tokens)))

    def tokens(self, n_params: ArrayLike, loss: float) -> Array:
        """See `Surface`."""
        return _exp(self.log_d - self._rest(loss, self._size(n_params)))

    def params(self, n_tokens: ArrayLike, loss: float) -> Array:
        """See `Surface`."""
        return _exp(self.log_n - self._rest(loss, self.log_d - _log(n_tokens)) / self.power)

    def _size(self, n_params: ArrayLike) -> Array:
        return self.power * (self.log_n - _log(n_params))

    def _rest(self, loss: float, term: Array) -> Array:
        """Logarithm of what one term leaves to the other; -inf where it leaves nothing."""
        total = np.log(loss) / self.alpha_d
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.where(term < total, total + np.log1p(-np.exp(np.minimum(term - total, 0.0))), -np.inf)


def _log(values: ArrayLike) -> Array:
    return np.log(np.asarray(values, dtype=float))


def _exp(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.exp(values)
