"""Whether runs stopped learning because their learning rate had gone.

A learning rate that decays with the tokens seen, whatever the run's length, brings every curve to a halt by itself:
the runs of one size on different sets are one curve cut at different places, and their common end looks like a plateau
that data and size could not lower. No law of loss in size and tokens can be read off such runs.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..reasons import Reason
from ..runs.curves import Curve, usable
from .fit import Fit, withheld
from .plateau_levels import is_flat

# Below this share of the learning rate a curve is flat because the schedule ended, whatever the model could learn.
LOW_LEARNING_RATE = 0.2
# So many of the runs have to be stopped by their schedule before the laws say nothing of size and tokens.
STOPPED_SHARE = 0.5


def stopped_by_schedule(curves: Sequence[Curve]) -> list[Curve]:
    """Runs that ended flat with less than LOW_LEARNING_RATE of their learning rate left."""
    if not curves:
        return []
    initial = float(np.median([curve.initial_loss for curve in curves]))
    return [c for c in curves if c.lr_fraction_end < LOW_LEARNING_RATE and is_flat(c, initial=initial)]


def schedule_reason(curves: Sequence[Curve]) -> Reason | None:
    """The reason that the schedule stopped the runs; None where it did not."""
    kept, _ = usable(curves)
    stopped = stopped_by_schedule(kept)
    if not kept or len(stopped) < STOPPED_SHARE * len(kept):
        return None
    ends = [float(curve.loss[-1]) for curve in stopped]
    rates = [curve.lr_fraction_end for curve in stopped]
    values = {"n_stopped": len(stopped), "n_runs": len(kept), "lowest": min(ends), "highest": max(ends)}
    return Reason("stopped_by_schedule", values | {"least_rate": min(rates), "most_rate": max(rates)})


def explained_by_schedule(fit: Fit, curves: Sequence[Curve]) -> Fit:
    """`fit`, or where the schedule stopped the runs, the same without numbers and with that reason.

    What the fit alone would have said stays in `details["without_schedule"]`.
    """
    why = schedule_reason(curves)
    if why is None or fit.status == "failed":
        return fit
    before = {"status": fit.status, "reason": fit.reason, "why": fit.why.to_json()}
    sizes = [
        {"flops": row["flops"], "status": "not identified"} | dict.fromkeys(key for key in row if key not in _KEPT)
        for row in fit.details.get("optimal_sizes", ())
    ]
    details = {**fit.details, "without_schedule": before}
    if "optimal_sizes" in details:
        details["optimal_sizes"] = sizes
    return withheld(replace(fit, status="not_identified", why=why, details=details), keep=KEEP)


_KEPT = ("flops", "status")
KEEP = ("a_all_points", "b_all_points", "a_plus_b_all_points", "plateau_loss", "initial_loss")
"""Estimates that describe the runs and claim no law."""
