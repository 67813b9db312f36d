"""Advice on the runs of every schedule."""

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from ..laws.fit import FitSettings
from ..runs.curves import smooth
from .advice import Advice, Candidates, Question, advise
from .advice_warnings import confounding_warnings, edge_warnings, law_warnings, seed_warnings


def advice_by_schedule(
    runs: pd.DataFrame,
    question: Question,
    *,
    candidates: Callable[[str], Candidates],
    seed: int = 0,
    settings: FitSettings | None = None,
) -> dict[str, Advice]:
    """Advice on the runs of each schedule, with warnings.

    Parameters
    ----------
    runs : DataFrame
        The tidy frame (`plmscale.runs.curves.smooth` names its columns).
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
    curves = smooth(runs)
    found = {}
    for schedule in dict.fromkeys(curve.schedule for curve in curves):
        own = [curve for curve in curves if curve.schedule == schedule]
        rng = np.random.default_rng([seed, zlib.crc32(b"advise"), zlib.crc32(schedule.encode())])
        advice = advise(own, question, candidates=candidates(schedule), rng=rng, settings=settings)
        warnings = [
            *law_warnings(advice, own),
            *edge_warnings(own, settings=settings, law=advice.fit),
            *confounding_warnings(runs.loc[runs["schedule"] == schedule]),
            *seed_warnings(advice, own),
        ]
        found[schedule] = replace(advice, warnings=tuple(warnings))
    return found
