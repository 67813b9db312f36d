"""The fit methods: one dictionary, one signature, one result type.

Laws are fitted per schedule. A curve that ends because its learning rate ended is another object than one that could
go on, so schedules are compared, never pooled.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ..errors import InputError
from ..runs.curves import Curve, smooth
from . import chinchilla as parametric
from . import envelope, isoflop, kaplan, plateau, repeated
from .confidence.held_out import held_out
from .fit import Fit, FitFunction, FitSettings, raised, resampling
from .rates.suited import with_rates
from .schedule_effect import explained_by_schedule
from .size_law import asked_more, set_apart

FITS: dict[str, FitFunction] = {
    "envelope": envelope.fit,
    "isoflop": isoflop.fit,
    "chinchilla": parametric.fit,
    "kaplan": kaplan.fit,
    "plateau": plateau.fit,
    "repeated": repeated.fit,
}


def fit_all(runs: pd.DataFrame, *, name: str, seed: int = 0, settings: FitSettings | None = None) -> dict[str, Fit]:
    """Smooth the runs and fit one law per schedule.

    Parameters
    ----------
    runs : DataFrame
        The tidy frame (`plmscale.runs.curves.smooth` names its columns).
    name : str
        A key of `FITS`.
    seed : int
        Seed of the resamples. A schedule's numbers depend on the seed and its own runs alone.
    settings : FitSettings, optional
        Defaults where absent.

    Returns
    -------
    dict of str to Fit
        By schedule, each `Fit.plain`; `plmscale.laws.fit.fits_json` is what its file holds.

    Raises
    ------
    InputError
        For an unknown fit or a frame without the columns. Poor data are a status, not an error.
    """
    return fit_curves(smooth(runs), name=name, seed=seed, settings=settings)


def fit_curves(
    curves: Sequence[Curve], *, name: str, seed: int = 0, settings: FitSettings | None = None
) -> dict[str, Fit]:
    """`fit_all` on curves smoothed already."""
    if name not in FITS:
        raise InputError(f"there is no fit {name!r}; choose one of {', '.join(FITS)}.")
    settings = settings or FitSettings()
    found = {}
    for schedule in dict.fromkeys(curve.schedule for curve in curves):
        rng = resampling(name, schedule, seed=seed)
        own = [curve for curve in curves if curve.schedule == schedule]
        try:
            fit = _fitted(name, own, rng=rng, settings=settings)
        except Exception as error:  # a fault of ours: no law takes the others with it
            fit = raised(FITS[name]((), rng=rng, settings=settings), error)
        found[schedule] = fit.plain
    return found


def _fitted(name: str, curves: Sequence[Curve], *, rng: np.random.Generator, settings: FitSettings) -> Fit:
    """One law on the runs of one schedule, with its errors beyond its data."""
    fit = FITS[name](curves, rng=rng, settings=asked_more(settings, curves))
    fit = set_apart(fit, curves, settings=settings)
    fit = replace(fit, details={**fit.details, "held_out": held_out(name, curves, settings=settings)})
    return with_rates(explained_by_schedule(fit, curves), curves)
