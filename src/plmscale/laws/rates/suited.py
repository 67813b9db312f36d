"""Whether anything shows that the learning rate suited each size and length: else a law may be one of the rates."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...reasons import Reason
from ...runs.curves import Curve, usable
from ...runs.selection import SAME_RATE
from ..fit import Fit
from ..learning_rates import learning_rates
from .found import INSIDE


def with_rates(fit: Fit, curves: Sequence[Curve]) -> Fit:
    """A fit with numbers beside which it is said that nothing shows its learning rates to be suited, where so."""
    if fit.status not in ("identified", "weakly_identified"):
        return fit
    why = rates_untested(curves)
    return fit if why is None else replace(fit, caveats=(*fit.caveats, why))


def rates_untested(curves: Sequence[Curve]) -> Reason | None:
    """Why runs of one schedule do not show that their learning rates were suited; None where something does.

    A rule through sweeps does, a sweep of every size with its optimum between the rates tried, and rates that were
    chosen by size. A large model that was trained badly looks to every law like a size that pays little.
    """
    kept, _ = usable(curves, repeated=True)
    sizes = {curve.n_params for curve in kept}
    if len(sizes) < 2:
        return None
    found = learning_rates(curves)
    swept = {sweep.n_params for one in found for sweep in one.sweeps if sweep.status == INSIDE} & sizes
    if swept == sizes or any(one.rule is not None for one in found):
        return None
    known = [curve for curve in kept if curve.learning_rate > 0]
    counts = {"n_sizes": len(sizes), "n_known": len({curve.n_params for curve in known})}
    if counts["n_known"] < len(sizes):
        return Reason("rates_unknown", counts)
    rates = np.array([curve.learning_rate for curve in known])
    if rates.max() > rates.min() * (1 + SAME_RATE):
        return None
    return Reason("rate_for_all", counts | {"rate": float(np.median(rates)), "n_swept": len(swept)})
