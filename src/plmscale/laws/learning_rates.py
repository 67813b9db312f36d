"""The best learning rate of each size that was swept, and how it falls with size.

At one size, length and schedule loss is a parabola in the logarithm of the rate about its optimum, as it is in log size
at equal compute. Its vertex counts only between rates that were tried. Over sizes the optima follow a power law,
lr = k N^-c (Bi et al. 2024, DeepSeek LLM, section 3.1; Porian et al. 2024, section 3.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..estimates import Estimate
from ..runs.curves import USABLE_STATUS, Curve, usable
from ..runs.selection import best_rate, by_rate, rate_groups
from .confidence.run_noise import run_noise
from .parabola import Parabola, log_parabola
from .rate_rule import RateRule, rate_rule

Array = NDArray[np.float64]

MIN_RATES = 3
# Rates on either side of the best one that the parabola goes through, as many as sizes in an IsoFLOP valley.
WINDOW = 2
MIN_FREE = 3

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
    status, reason : str
        `INSIDE`, or why there is no optimum.
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
    reason: str
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
    """Every sweep of one schedule, and the rule through their optima."""

    schedule: str
    sweeps: Sequence[Sweep]
    rule: RateRule | None
    noise: float
    reason: str


def learning_rates(curves: Sequence[Curve]) -> list[Rates]:
    """The sweeps of each schedule that has any, in order of appearance.

    Parameters
    ----------
    curves : sequence of Curve
        Those that did not finish too: the rate at which runs diverge is where the rates tried end.
    """
    found = []
    for schedule in dict.fromkeys(curve.schedule for curve in curves):
        own = [curve for curve in curves if curve.schedule == schedule]
        groups = [group for group in rate_groups(_finished(own)) if len(by_rate(group)) > 1]
        if groups:
            found.append(_of_schedule(schedule, own, groups))
    return found


def _finished(curves: Sequence[Curve]) -> list[Curve]:
    return [curve for curve in curves if curve.status == USABLE_STATUS and curve.flops.size]


def _of_schedule(schedule: str, curves: Sequence[Curve], groups: Sequence[Sequence[Curve]]) -> Rates:
    drawn = [_near(group) for group in groups]
    sd, n_free = _noise(curves, [parabola for _, parabola in drawn if parabola is not None])
    sweeps = [
        _sweep(group, parabola, failed=_failed(group, curves), sd=sd, n_free=n_free)
        for group, (_, parabola) in zip(groups, drawn, strict=True)
    ]
    sweeps.sort(key=lambda one: (one.n_params, one.n_tokens, one.subset))
    inside = [one for one in sweeps if one.status == INSIDE]
    rule, reason = rate_rule(
        [one.n_params for one in inside],
        [one.n_tokens for one in inside],
        [one.optimum.value or np.nan for one in inside],
        errors=[one.log_error for one in inside],
        n_free=n_free,
    )
    return Rates(schedule, sweeps, rule, sd, reason)


def _near(group: Sequence[Curve]) -> tuple[list[Curve], Parabola | None]:
    """Runs at the rates about the best one, and the parabola through them."""
    rates = by_rate(group)
    order = list(rates)
    at = order.index(best_rate(rates))
    runs = [curve for rate in order[max(at - WINDOW, 0) : at + WINDOW + 1] for curve in rates[rate]]
    if len(order) < MIN_RATES:
        return runs, None
    return runs, log_parabola([curve.learning_rate for curve in runs], [float(curve.loss[-1]) for curve in runs])


def _noise(curves: Sequence[Curve], parabolas: Sequence[Parabola]) -> tuple[float, int]:
    """Standard deviation of a final loss (nats) and its degrees of freedom.

    From reruns with other seeds, and from the scatter about the parabolas, which holds what a parabola misses too: the
    larger of those that are known. Without either, from the runs of the laws about a smooth surface.
    """
    squares = sum(float(np.sum(one.residual**2)) for one in parabolas)
    n_free = sum(one.residual.size - 3 for one in parabolas)
    kept, _ = usable(curves, repeated=True)
    between = run_noise(kept)
    typical = float(np.median([float(curve.loss[-1]) for curve in kept]))
    about = (float(np.sqrt(squares / n_free)), n_free) if n_free >= MIN_FREE else None
    seeds = (between.sd * typical, between.n_free)
    if about is None:
        return seeds
    return max(about, seeds) if between.source == "seeds" else about


def _failed(group: Sequence[Curve], curves: Sequence[Curve]) -> tuple[float, ...]:
    one = group[0]
    done = by_rate(group)
    rates = {
        curve.learning_rate
        for curve in curves
        if (curve.n_params, curve.subset, curve.batch_tokens) == (one.n_params, one.subset, one.batch_tokens)
        and curve.status != USABLE_STATUS
        and curve.learning_rate > 0
    }
    return tuple(sorted(rate for rate in rates if min(abs(rate / other - 1) for other in done) > 1e-3))


def _sweep(
    group: Sequence[Curve], parabola: Parabola | None, *, failed: tuple[float, ...], sd: float, n_free: int
) -> Sweep:
    one, rates = group[0], by_rate(group)
    order = list(rates)
    best = best_rate(rates)
    runs = [curve for rate in order for curve in rates[rate]]
    status, reason = _status(order, best, parabola, failed=failed)
    optimum, error = Estimate(None), float("nan")
    if status == INSIDE and parabola is not None:
        low, high = parabola.vertex_interval(sd=max(sd, 1e-12), n_free=n_free)
        ends = (
            float(np.exp(low)) if low > np.log(order[0]) else None,
            float(np.exp(high)) if high < np.log(order[-1]) else None,
        )
        optimum, error = Estimate(float(np.exp(parabola.vertex)), *ends), parabola.vertex_error(sd=max(sd, 1e-12))
    return Sweep(
        one.schedule,
        one.subset,
        one.n_params,
        min(float(curve.n_tokens[-1]) for curve in group),
        np.array([curve.learning_rate for curve in runs]),
        np.array([float(curve.loss[-1]) for curve in runs]),
        failed,
        status,
        reason,
        best,
        optimum,
        parabola,
        error,
    )


def _status(
    rates: Sequence[float], best: float, parabola: Parabola | None, *, failed: tuple[float, ...]
) -> tuple[str, str]:
    if parabola is None:
        return FEW, f"{len(rates)} rates, an optimum needs {MIN_RATES}"
    if best == rates[0]:
        return EDGE, f"the lowest rate tried, {best:.3g}, is the best"
    if best == rates[-1]:
        beyond = [rate for rate in failed if rate > best]
        also = f"; the next, {beyond[0]:.3g}, did not finish" if beyond else ""
        return EDGE, f"the highest rate tried, {best:.3g}, is the best{also}"
    if not parabola.curvature > 0:
        return FLAT, "loss has no minimum in the learning rate"
    if not np.log(rates[0]) < parabola.vertex < np.log(rates[-1]):
        return EDGE, "the vertex lies beyond the rates tried"
    return INSIDE, ""
