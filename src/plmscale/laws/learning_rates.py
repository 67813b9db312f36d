"""The best learning rate of each size that was swept, and how it falls with size.

At one size, length and schedule loss is a parabola in the logarithm of the rate about its optimum, as it is in log size
at equal compute. Its vertex counts only between rates that were tried. Over sizes the optima follow a power law,
lr = k N^-c (Bi et al. 2024, DeepSeek LLM, section 3.1; Porian et al. 2024, section 3.5).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..estimates import Estimate
from ..reasons import Reason
from ..runs.curves import USABLE_STATUS, Curve, usable
from ..runs.selection import best_rate, by_rate, rate_groups
from .confidence.run_noise import run_noise
from .parabola import Parabola, log_parabola
from .rates.found import EDGE, FEW, FLAT, INSIDE, Rates, Sweep
from .rates.rule import rate_rule

Array = NDArray[np.float64]

MIN_RATES = 3
# Rates on either side of the best one that the parabola goes through, as many as sizes in an IsoFLOP valley.
WINDOW = 2
MIN_FREE = 3


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
    rule, why = rate_rule(
        [one.n_params for one in inside],
        [one.n_tokens for one in inside],
        [one.optimum.value or np.nan for one in inside],
        errors=[one.log_error for one in inside],
        n_free=n_free,
    )
    return Rates(schedule, sweeps, rule, sd, why)


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
    status, why = _status(order, best, parabola, failed=failed)
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
        why,
        best,
        optimum,
        parabola,
        error,
    )


def _status(
    rates: Sequence[float], best: float, parabola: Parabola | None, *, failed: tuple[float, ...]
) -> tuple[str, Reason | None]:
    if parabola is None:
        return FEW, Reason.of("few_rates", n_rates=len(rates), needed=MIN_RATES)
    if best == rates[0]:
        return EDGE, Reason.of("lowest_rate_best", rate=best)
    if best == rates[-1]:
        beyond = [rate for rate in failed if rate > best]
        return EDGE, Reason.of("highest_rate_best", rate=best, failed=beyond[0] if beyond else None)
    if not parabola.curvature > 0:
        return FLAT, Reason.of("no_minimum_in_rate")
    if not np.log(rates[0]) < parabola.vertex < np.log(rates[-1]):
        return EDGE, Reason.of("vertex_beyond_rates")
    return INSIDE, None
