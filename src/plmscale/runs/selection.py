"""Which runs a law may use: single passes, and one learning rate per size.

A token that is seen again is worth less than a new one, and a rate beside the optimum costs loss that size and tokens
could have had: a law of loss in size and tokens alone would take both for properties of size and tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..reasons import Reason

Array = NDArray[np.float64]

ONE_PASS = 1.01
"""Tokens seen over unique tokens up to which a run is a single pass: the last batch of a pass may go beyond it."""
SAME_LENGTH = 1.02
"""Ratio of tokens up to which runs are of one length."""
SAME_RATE = 1e-3
"""Relative difference up to which learning rates are one."""


class Ended(Protocol):
    """What is asked of a run; `plmscale.runs.curves.Curve` has it."""

    @property
    def run(self) -> str:
        """Name."""
        ...

    @property
    def schedule(self) -> str:
        """Learning-rate schedule or group."""
        ...

    @property
    def subset(self) -> str:
        """Training set."""
        ...

    @property
    def n_params(self) -> int:
        """Parameters."""
        ...

    @property
    def batch_tokens(self) -> int:
        """Tokens of a batch."""
        ...

    @property
    def learning_rate(self) -> float:
        """Largest learning rate; NaN where it is not known."""
        ...

    @property
    def unique_tokens(self) -> int:
        """Tokens of the training set; 0 where they are not known."""
        ...

    @property
    def n_tokens(self) -> Array:
        """Tokens seen at each evaluation, rising."""
        ...

    @property
    def loss(self) -> Array:
        """Smoothed loss at each evaluation, nats."""
        ...


C = TypeVar("C", bound=Ended)


def epochs(curve: Ended) -> float:
    """Passes over the training set at the end of a run; 1 where its unique tokens are not known."""
    if curve.unique_tokens <= 0 or curve.n_tokens.size == 0:
        return 1.0
    return max(float(curve.n_tokens[-1]) / curve.unique_tokens, 1.0)


def repeats(curve: Ended) -> bool:
    """Whether a run has seen tokens again."""
    return epochs(curve) > ONE_PASS


def repeated_reasons(curves: Sequence[Ended]) -> Mapping[str, Reason]:
    """Runs that saw tokens again, and why they are in no law of size and tokens."""
    return {curve.run: Reason.of("seen_again", epochs=epochs(curve)) for curve in curves if repeats(curve)}


def rate_groups(curves: Sequence[C]) -> list[list[C]]:
    """Runs that differ in learning rate and seed alone, in groups; those of one rate are a group too.

    The rest is schedule, size, training set, batch, and tokens seen. Runs without a known rate are in no group.
    """
    cells: dict[tuple[Any, ...], list[list[C]]] = {}
    known = [curve for curve in curves if curve.n_tokens.size and curve.learning_rate > 0]
    for curve in sorted(known, key=lambda one: (float(one.n_tokens[-1]), one.run)):
        key = (curve.schedule, curve.n_params, curve.subset, curve.unique_tokens, curve.batch_tokens)
        groups = cells.setdefault(key, [])
        if groups and curve.n_tokens[-1] <= SAME_LENGTH * groups[-1][0].n_tokens[-1]:
            groups[-1].append(curve)
        else:
            groups.append([curve])
    return [group for groups in cells.values() for group in groups]


def by_rate(group: Sequence[C]) -> dict[float, list[C]]:
    """Runs of a group by their learning rate, the lowest first."""
    rates: dict[float, list[C]] = {}
    for curve in sorted(group, key=lambda one: one.learning_rate):
        last = next(reversed(rates), None)
        same = last is not None and curve.learning_rate <= last * (1 + SAME_RATE)
        rates.setdefault(last if same and last is not None else curve.learning_rate, []).append(curve)
    return rates


def best_rate(rates: Mapping[float, Sequence[Ended]]) -> float:
    """The rate whose runs end lowest, by the mean over seeds."""
    return min(rates, key=lambda rate: float(np.mean([float(curve.loss[-1]) for curve in rates[rate]])))


def rate_reasons(curves: Sequence[Ended]) -> Mapping[str, Reason]:
    """Runs of a sweep beside its best rate, and why they are in no law of size and tokens."""
    reasons = {}
    for group in rate_groups(curves):
        rates = by_rate(group)
        best = best_rate(rates)
        for rate, runs in rates.items():
            if rate != best:
                reason = Reason.of("beside_best_rate", best=best, rate=rate)
                reasons |= {curve.run: reason for curve in runs}
    return reasons
