"""Advice on the runs of every schedule."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..laws.fit import FitSettings
from ..runs.curves import Curve
from .advice import Advice, Candidates, Question, advise
from .advice_warnings import confounding_warnings, edge_warnings, law_warnings, seed_warnings


def advice_by_schedule(
    curves: Sequence[Curve],
    question: Question,
    *,
    candidates: Callable[[str], Candidates],
    seed: int = 0,
    settings: FitSettings | None = None,
) -> dict[str, Advice]:
    """Advice on the runs of each schedule, with warnings.

    Parameters
    ----------
    curves : sequence of Curve
        The smoothed runs.
    question : Question
        The budget is that of each schedule.
    candidates : callable
        Schedule to what `plmscale.advise.advice.advise` takes.
    seed : int
        Of the resamples.
    settings : FitSettings, optional

    Returns
    -------
    dict of str to Advice
        By schedule.
    """
    settings = settings or FitSettings()
    found = {}
    for schedule in dict.fromkeys(curve.schedule for curve in curves):
        own = [curve for curve in curves if curve.schedule == schedule]
        rng = np.random.default_rng([seed, zlib.crc32(b"advise"), zlib.crc32(schedule.encode())])
        advice = advise(own, question, candidates=candidates(schedule), rng=rng, settings=settings)
        warnings = [
            *law_warnings(advice, own),
            *edge_warnings(own, settings=settings, law=advice.fit),
            *confounding_warnings(own),
            *seed_warnings(advice, own),
        ]
        found[schedule] = replace(advice, warnings=tuple(warnings))
    return found
