"""The plateau of the loss: which runs have come to one, where it is, and the losses on the way to it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..runs.curves import Curve, median_noise
from .confidence.run_noise import run_noise
from .confidence.uncertainty import NOISE_SIGMAS
from .fit import FitSettings

# A run is flat if the last doubling of its FLOPs brought less than this share of its whole drop.
FLAT_SHARE = 0.02
# And less than this share of what the doubling before brought, unless within the noise: a power law with an exponent
# below 1 brings more than half of it for ever, however flat it looks.
SLOWING = 0.5
# Fewer flat runs than this do not show how much the plateau scatters from run to run.
MIN_FLAT_RUNS = 3


class Level(NamedTuple):
    """A share of the way to the plateau and the loss that it means."""

    share: float
    loss: float

    @property
    def name(self) -> str:
        """Per cent, as in the keys of the estimates: "90"."""
        return f"{100 * self.share:g}"


class Plateau(NamedTuple):
    """Losses at the start and at the plateau (None if no run is flat), nats, and the flat runs.

    `noise` is that of single evaluations, `scatter` the standard deviation of the plateau from run to run.
    """

    initial: float
    loss: float | None
    flat: list[Curve]
    noise: float
    scatter: float


def find_plateau(curves: Sequence[Curve], *, settings: FitSettings) -> Plateau:
    """Initial loss (median over runs), and plateau (median of the ends of flat runs), unless the settings give them."""
    noise = median_noise(curves)
    initial = settings.initial_loss
    if initial is None:
        initial = float(np.median([curve.initial_loss for curve in curves]))
    flat = [curve for curve in curves if is_flat(curve, initial=initial)]
    loss = settings.plateau_loss
    scatter = run_noise(curves).sd * float(np.median([curve.loss[-1] for curve in curves]))
    if loss is None and flat:
        ends = [float(curve.loss[-1]) for curve in flat]
        loss = float(np.median(ends))
        # Smoothed ends are known better than a single evaluation; two of them say little of how they scatter.
        scatter = min(noise, float(np.std(ends, ddof=1))) if len(ends) >= MIN_FLAT_RUNS else scatter
    return Plateau(initial, loss, flat, noise, scatter)


def is_flat(curve: Curve, *, initial: float) -> bool:
    """Whether a run has come to a plateau: its last doubling of FLOPs brought next to nothing, and it was slowing down.

    Next to nothing is less than FLAT_SHARE of the whole drop. Slowing down is less than SLOWING of what the doubling
    before brought, or less than the noise of one evaluation.
    """
    if not last_doubling_share(curve, initial=initial) < FLAT_SHARE:
        return False
    end, half, quarter = (float(curve.loss_at(curve.flops[-1] / part)) for part in (1, 2, 4))
    if half - end < NOISE_SIGMAS * (curve.noise if np.isfinite(curve.noise) else 0.0):
        return True
    return np.isfinite(quarter) and half - end < SLOWING * (quarter - half)


def last_doubling_share(curve: Curve, *, initial: float) -> float:
    """Share of a run's whole drop in loss that its last doubling of FLOPs brought; infinite if shorter than that."""
    before = float(curve.loss_at(curve.flops[-1] / 2))
    drop = initial - float(curve.loss[-1])
    return (before - float(curve.loss[-1])) / drop if np.isfinite(before) and drop > 0 else float("inf")


def levels_of(plateau: Plateau, *, settings: FitSettings) -> list[Level]:
    """The loss of each level, lowest share first; a higher share is never easier to reach than a lower one."""
    if plateau.loss is None:
        return []
    levels: list[Level] = []
    for share in sorted(settings.levels):
        if share == 1:
            # With scatter above the last per cents of the drop, "within it" would come before them.
            loss = min([plateau.loss + NOISE_SIGMAS * plateau.scatter, *(level.loss for level in levels)])
        elif settings.level_definition == "drop":
            loss = plateau.initial - share * (plateau.initial - plateau.loss)
        else:
            loss = plateau.loss / share
        levels.append(Level(share, loss))
    return levels
