"""Laws of runs, for a notebook."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from ..analysis.external import answer
from ..errors import InputError
from ..laws.fit import FitSettings
from ..results.external import Request
from ..study.catalog import FITS
from .laws import Laws
from .names import known
from .runs import Runs, read_runs


def fit(
    runs: Runs | str | Path | pd.DataFrame,
    *,
    laws: Sequence[str] = FITS,
    seed: int = 0,
    bootstrap: int = 200,
    points: Literal["final", "all"] = "final",
) -> Laws:
    """Fit scaling laws to runs, each group of runs apart, as `plmscale fit` does.

    Parameters
    ----------
    runs : Runs, path or DataFrame
        What `read_runs` gives, or takes.
    laws : sequence of str
        Of "envelope", "isoflop", "chinchilla", "kaplan", "plateau" and "repeated"; all of them if absent.
    seed : int
        Seed of the resamples.
    bootstrap : int
        Resamples of the runs behind each interval.
    points : "final" or "all"
        Points of a run in the parametric laws: its last smoothed loss, or points along its curve.

    Returns
    -------
    Laws
        Poor data are a verdict, not an error.
    """
    names = [laws] if isinstance(laws, str) else list(laws)
    for name in names:
        known(name, FITS, what="law")
    if not names:
        raise InputError(f"fit: no law was asked for; choose among {', '.join(FITS)}.")
    read = runs if isinstance(runs, Runs) else read_runs(runs)
    settings = FitSettings(n_bootstrap=bootstrap, points=points)
    found = answer(read, Request(fits=tuple(names), seed=seed, settings=settings))
    return Laws(found.results, source=read.source, notes=read.notes, seed=seed, settings=settings)
