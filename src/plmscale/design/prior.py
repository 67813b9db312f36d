"""The law that is expected to hold before any run: published, of one's own runs, or of this package's small runs."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..ask.sources import read_law
from ..errors import InputError
from ..laws.proteins.table import DEFAULT
from ..laws.solvers.chinchilla import LOG_ZERO, chinchilla_law
from ..plan.identifiability import NOISE
from ..runs.extent import Extent

Array = NDArray[np.float64]

SMALL_RUNS = Path(__file__).with_name("small_runs.tsv")
"""Final losses of 49 runs of this package: 2k to 106k parameters, 0.12M to 7.6M tokens of the example proteins.
`benchmarks/initial_weights.py` trains such runs."""


@dataclass(frozen=True)
class Prior:
    """L = E + A / N^alpha + B / D^beta, what it was fitted to, and the noise that is expected.

    Attributes
    ----------
    title : str
        In words, with its source.
    theta : array, shape (5,)
        log E, log A, log B, alpha, beta, with A and B at `centre`.
    centre : array, shape (2,)
        Of log N and log D.
    seen : Extent
        Of the runs behind it.
    noise : float
        Standard deviation of the log loss of a run.
    """

    title: str
    theta: Array
    centre: Array
    seen: Extent
    noise: float = NOISE

    @property
    def a(self) -> float:
        """Exponent of the optimal size in FLOPs."""
        return float(self.theta[4] / (self.theta[3] + self.theta[4]))

    def log_optimum(self, theta: Array, flops: float) -> Array:
        """Log of the optimal size of laws (k, 5) at C = 6ND (Hoffmann et al. 2022, equation 4), shape (k,)."""
        alpha, beta = theta[:, 3], theta[:, 4]
        factor = np.log(alpha / beta) + theta[:, 1] - theta[:, 2] + alpha * self.centre[0] - beta * self.centre[1]
        return (factor + beta * np.log(flops / 6)) / (alpha + beta)

    def loss(self, n_params: Array, n_tokens: Array) -> Array:
        """Nats."""
        floor, size, tokens = np.exp(self.theta[:3])
        x, y = np.log(n_params) - self.centre[0], np.log(n_tokens) - self.centre[1]
        return np.asarray(floor + size * np.exp(-self.theta[3] * x) + tokens * np.exp(-self.theta[4] * y))


def prior_of(constants: Array, *, title: str, seen: Extent, noise: float = NOISE) -> Prior:
    """A prior from log E, log A, log B, alpha, beta, with A and B in the units of the law."""
    centre = np.log([np.sqrt(ends[0] * ends[1]) for ends in (seen.n_params, seen.n_tokens)])
    shift = np.array([0.0, constants[3] * centre[0], constants[4] * centre[1], 0.0, 0.0])
    theta = np.maximum(constants - shift, [LOG_ZERO, LOG_ZERO, LOG_ZERO, 1e-6, 1e-6])
    return Prior(title, theta, centre, seen, noise)


@cache
def small_prior() -> Prior:
    """Chinchilla's law of the small runs, fitted here."""
    n, d, loss = np.loadtxt(SMALL_RUNS, comments="#", skiprows=3, unpack=True)
    law = chinchilla_law(n, d, loss)
    constants = np.array([*np.log(law[:3]), law.alpha, law.beta])
    flops = 6 * n * d
    seen = Extent(*((float(values.min()), float(values.max())) for values in (n, d, flops)))
    title = (
        f"49 small runs of this package on the example proteins (2k to 106k parameters), a = {law.size_exponent:.2f}"
    )
    return prior_of(constants, title=title, seen=seen)


def read_priors(name_or_path: str | None, *, flops: float) -> list[Prior]:
    """The law of this name or path; by default that whose runs are nearest to the budget, and then the other one.

    Parameters
    ----------
    name_or_path : str, optional
        As for `plmscale.ask.sources.read_law`.
    flops : float
        Of the whole study.

    Raises
    ------
    InputError
        If there is no such law, or it is none of Chinchilla's form.
    """
    if name_or_path is None:
        small, published = small_prior(), _asked(DEFAULT)
        middle = np.sqrt(small.seen.flops[1] * published.seen.flops[0])
        return [published, small] if flops > middle else [small, published]
    return [_asked(name_or_path)]


def _asked(name_or_path: str) -> Prior:
    law = read_law(name_or_path, fit=None)
    if law.fit != "chinchilla" or law.constants is None:
        raise InputError(
            f"--law: {name_or_path} answers by {law.fit}, and a design needs Chinchilla's law with its constants. "
            f"Leave it out, or name {DEFAULT}."
        )
    constants = law.constants[0]
    a = constants[4] / (constants[3] + constants[4])
    return prior_of(constants, title=f"{law.title}, a = {a:.2f}", seen=law.seen)
