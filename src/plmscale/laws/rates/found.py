"""Sweeps of the learning rate, the rule through their optima, and what they say of the runs that laws use."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...estimates import Estimate
from ...reasons import Reason
from ..fit import jsonable
from ..parabola import Parabola
from .rule import RateRule

Array = NDArray[np.float64]

NO_SWEEP = "no sweep of its own"
INSIDE, EDGE, FEW, FLAT = "inside the rates tried", "at the edge", "too few rates", "no optimum"


@dataclass(frozen=True)
class Sweep:
    """The runs of one size, set, length and schedule at several learning rates.

    Attributes
    ----------
    schedule, subset : str
    n_params : int
    n_tokens : float
        Tokens seen, of the shortest run.
    rates, losses : arrays, shape (k,)
        A point a run, seeds apart, the lowest rate first; loss at the end, smoothed, nats.
    failed : tuple of float
        Rates at which every run ended in another status than done.
    status : str
        `INSIDE`, or how there is no optimum.
    why : Reason, optional
        Why there is none.
    best : float
        The rate of the lowest mean loss.
    optimum : Estimate
        Vertex of the parabola with its 95 % interval; an end beyond the rates tried is None.
    parabola : Parabola or None
    log_error : float
        Standard error of the logarithm of the optimum.
    """

    schedule: str
    subset: str
    n_params: int
    n_tokens: float
    rates: Array
    losses: Array
    failed: tuple[float, ...]
    status: str
    why: Reason | None
    best: float
    optimum: Estimate
    parabola: Parabola | None = None
    log_error: float = float("nan")

    def penalty(self, rate: float) -> float | None:
        """What a rate costs against the optimum, nats; None without an optimum."""
        if self.parabola is None or self.optimum.value is None:
            return None
        return float(self.parabola.curvature * (np.log(rate) - self.parabola.vertex) ** 2)


@dataclass(frozen=True)
class Rates:
    """Every sweep of one schedule, and the rule through their optima, or `why` there is none."""

    schedule: str
    sweeps: Sequence[Sweep]
    rule: RateRule | None
    noise: float
    why: Reason | None = None


class OffOptimum(NamedTuple):
    """A size of a schedule whose fitted runs were trained beside their best learning rate, or may have been."""

    schedule: str
    n_params: int
    why: Reason


@dataclass(frozen=True)
class RateFindings:
    """What sweeps say of one schedule.

    Attributes
    ----------
    rates : Rates
    rows : sequence of dict
        Every size, set and length that a law uses or that was swept; see `plmscale.laws.rates.fitted`.
    off : sequence of OffOptimum
    """

    rates: Rates
    rows: Sequence[Mapping[str, Any]]
    off: Sequence[OffOptimum]

    def to_json(self) -> dict[str, Any]:
        """Plain lists, dicts and numbers; NaN becomes None."""
        found = asdict(self)
        return jsonable(found | {"off": [one._asdict() | {"why": one.why.to_json()} for one in self.off]})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "RateFindings":
        """The findings that `to_json` wrote."""
        rows = [{**row, "why": _reason(row["why"])} for row in value["rows"]]
        off = [OffOptimum(**{**one, "why": Reason.from_json(one["why"])}) for one in value["off"]]
        rates = value["rates"]
        sweeps = [_sweep(one) for one in rates["sweeps"]]
        held = {"sweeps": sweeps, "rule": _rule(rates["rule"]), "why": _reason(rates["why"])}
        return cls(Rates(**{**rates, **held}), rows, off)


def _reason(value: Mapping[str, Any] | None) -> Reason | None:
    return None if value is None else Reason.from_json(value)


def _sweep(value: Mapping[str, Any]) -> Sweep:
    held = {key: _array(value[key]) for key in ("rates", "losses")} | {"failed": tuple(value["failed"])}
    held |= {"why": _reason(value["why"]), "optimum": Estimate(**value["optimum"])}
    held |= {"parabola": _parabola(value["parabola"]), "log_error": _number(value["log_error"])}
    return Sweep(**{**value, **held})


def _parabola(value: Sequence[Any] | None) -> Parabola | None:
    if value is None:
        return None
    curvature, slope, level, centre = map(_number, value[:4])
    return Parabola(curvature, slope, level, centre, _array(value[4]), _array(value[5]))


def _rule(value: Mapping[str, Any] | None) -> RateRule | None:
    if value is None:
        return None
    held = {key: Estimate(**value[key]) for key in ("c", "d")}
    held |= {key: tuple(value[key]) for key in ("sizes", "tokens")}
    return RateRule(**{**value, **held, **{key: _array(value[key]) for key in ("covariance", "centre")}})


def _array(values: Sequence[Any]) -> Array:
    return np.array(values, dtype=float)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
