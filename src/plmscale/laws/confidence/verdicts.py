"""The rules that turn intervals into a verdict: identified, weakly identified, not identified."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...estimates import Estimate, Status
from ...presentation.reasons import words
from ...reasons import Reason
from .shared_noise import ASSUMED_SHARE, SharedNoise
from .uncertainty import FAILED_SHARE_VOID

Array = NDArray[np.float64]


# A power law through fewer sizes has no residual that could speak against it.
MIN_SIZES = 3


# Exponents of a compute-optimal law lie between 0 and 1. An interval of this width leaves half of that open.
WIDE_EXPONENT = 0.5


# An interval this wide excludes next to nothing.
VOID_EXPONENT = 0.9


# Share of resamples in which the fit itself was not possible: above the first the interval describes a selection of
# resamples, above the second there are too few left to speak of an interval.
FAILED_SHARE_WEAK = 0.1


# The largest budget is everything above this share of the largest FLOPs: the last doubling of compute.
LARGEST_SHARE = 0.5


@dataclass(frozen=True)
class Verdict:
    """A status with the reason that explains it."""

    status: Status
    why: Reason

    @property
    def reason(self) -> str:
        """`why` as one sentence."""
        return words(self.why)

    @property
    def has_numbers(self) -> bool:
        """Whether estimates may be shown."""
        return self.status in ("identified", "weakly_identified")


def exponent_verdict(name: str, estimates: Mapping[str, Estimate], *, failed: float) -> Verdict:
    """Verdict on a compute-optimal law from the interval of its exponent and the share of failed resamples."""
    exponent = estimates[name]
    if exponent.value is None or failed > FAILED_SHARE_VOID:
        return Verdict("not_identified", Reason.of("no_resample", failed=failed))
    span = {"name": name, "low": exponent.low, "high": exponent.high}
    if exponent.low is None or exponent.high is None or exponent.high - exponent.low > VOID_EXPONENT:
        return Verdict("not_identified", Reason("interval_void", span))
    if failed > FAILED_SHARE_WEAK:
        return Verdict("weakly_identified", Reason.of("few_resamples", failed=failed))
    if exponent.high - exponent.low > WIDE_EXPONENT:
        return Verdict("weakly_identified", Reason("interval_wide", span))
    if exponent.low <= 0:
        return Verdict("weakly_identified", Reason("interval_has_zero", span))
    return Verdict("identified", Reason("interval", span))


def unless_assumed(verdict: Verdict, shared: SharedNoise | None) -> Verdict:
    """The verdict, at most weakly identified where the intervals rest on an assumed share of common noise."""
    if verdict.status != "identified" or shared is None or shared.known:
        return verdict
    return Verdict("weakly_identified", Reason.of("share_assumed", share=ASSUMED_SHARE, then=verdict.why))
