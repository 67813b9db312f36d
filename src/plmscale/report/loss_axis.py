"""The axis of losses: where the runs differ, and where what guessing by frequency gives lies."""

from collections.abc import Sequence

import numpy as np

from ..runs.curves import Curve

HEADROOM = 0.4
"""What the axis shows above the highest end of a run, as a share of the way from there down to the lowest loss."""

LEAST_DROP = 0.02
"""Nats that the axis shows at least between its ends and the lowest loss."""


def loss_range(curves: Sequence[Curve]) -> tuple[float, float]:
    """From below the lowest loss of the runs to above the highest of their ends; they start higher."""
    lowest = min(float(np.nanmin(curve.loss)) for curve in curves)
    drop = max(max(float(curve.loss[-1]) for curve in curves) - lowest, LEAST_DROP)
    return lowest - 0.06 * drop, lowest + (1 + HEADROOM) * drop


def outside(value: float, ends: tuple[float, float]) -> str:
    """On which side of an axis a value lies that it does not show; empty where it does.

    Examples
    --------
    >>> outside(2.9, (2.6, 2.8)), outside(2.7, (2.6, 2.8))
    ('above', '')
    """
    return "above" if value > ends[1] else "below" if value < ends[0] else ""
