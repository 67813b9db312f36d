"""Losses of cells that are not trained yet, by the laws of those that are."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from ..laws.fit import NO_FIT, Fit, FitSettings, jsonable
from ..laws.loss_law import METHODS, LossAt, LossLaw, has_loss
from ..laws.methods import fit_curves
from ..laws.size_law import VERDICTS
from ..provenance import versions
from ..runs.curves import Curve, smooth, usable
from ..study.catalog import SIZE_LAWS
from .score import size_at

Fits = dict[str, dict[str, Fit]]

NORMAL_95 = NormalDist().inv_cdf(0.975)

CONSTANTS = ("a", "E", "A", "B", "alpha", "beta")
"""Estimates of a law that a forecast keeps."""


@dataclass(frozen=True)
class Asked:
    """A cell whose loss is predicted.

    Attributes
    ----------
    run, model, subset, schedule : str
    seed : int
    n_params, n_tokens : int
        Parameters, and tokens that the run will see.
    """

    run: str
    model: str
    subset: str
    schedule: str
    seed: int
    n_params: int
    n_tokens: int


def freeze(
    runs: pd.DataFrame, cells: Sequence[Asked], *, data: Mapping[str, str], seed: int, settings: FitSettings
) -> dict[str, Any]:
    """A forecast: what the laws of `runs` say of `cells`.

    Parameters
    ----------
    runs : DataFrame
        The tidy frame of the runs that are trained (`plmscale.runs.collect.collect`).
    cells : sequence of Asked
        Not among them.
    data : mapping
        SHA-256 of the metrics of every run, by run.
    seed : int
        Of the resamples.
    settings : FitSettings

    Returns
    -------
    dict
        The content of `forecast.json`: `made` (date and time, UTC), `versions`, `code` (SHA-256 of the package),
        `data`, `laws` (verdict, reason and constants of every law), `cells` (`loss` with the ends `low` and `high` of
        the 95 % interval of a run, `law_low` and `law_high` of the law alone; factors `beyond` the largest size,
        tokens and FLOPs fitted), and `sizes` (the optimal size at the FLOPs in the middle of the cells').
    """
    curves = smooth(runs)
    fits = _fits(curves, seed=seed, settings=settings)
    laws = {schedule: _loss_law(fits, schedule, curves, seed, settings) for schedule in {one.schedule for one in cells}}
    rows = [_row(one, laws[one.schedule], curves) for one in cells]
    return jsonable(
        {
            "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "versions": versions(),
            "code": code(),
            "data": dict(data),
            "laws": [_law(name, schedule, fit) for name, found in fits.items() for schedule, fit in found.items()],
            "cells": rows,
            "sizes": [_size(fits, schedule, rows) for schedule in dict.fromkeys(one.schedule for one in cells)],
        }
    )


def code() -> str:
    """SHA-256 of the source of the package."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _fits(curves: Sequence[Curve], *, seed: int, settings: FitSettings) -> Fits:
    names = dict.fromkeys((*SIZE_LAWS, *METHODS))
    return {name: fit_curves(curves, name=name, seed=seed, settings=settings) for name in names}


def _loss_law(fits: Fits, schedule: str, curves: Sequence[Curve], seed: int, settings: FitSettings) -> LossLaw | None:
    """The law with the best verdict that gives a loss."""
    known = [fit for name in METHODS if has_loss(fit := fits[name].get(schedule, NO_FIT))]
    if not known:
        return None
    own = [curve for curve in curves if curve.schedule == schedule]
    best = min(known, key=lambda fit: VERDICTS.index(fit.status))
    return LossLaw(best, schedule, curves=usable(own)[0], seed=seed, settings=settings)


def _row(cell: Asked, law: LossLaw | None, curves: Sequence[Curve]) -> dict[str, Any]:
    own = [curve for curve in curves if curve.schedule == cell.schedule and curve.flops.size]
    row: dict[str, Any] = dict(vars(cell)) | {"law": None, "status": "not_identified", "flops": None}
    row |= dict.fromkeys(("loss", "low", "high", "law_low", "law_high"))
    row |= {
        "beyond_size": cell.n_params / max((curve.n_params for curve in own), default=float("nan")),
        "beyond_tokens": cell.n_tokens / max((float(curve.n_tokens[-1]) for curve in own), default=float("nan")),
        "beyond_flops": None,
    }
    if law is None:
        return row
    at = law.at(cell.n_params, cell.n_tokens)
    low, high = run_interval(at, scatter=law.scatter)
    most = max(float(curve.flops[-1]) for curve in own)
    found = {"loss": at.loss, "low": low, "high": high, "law_low": at.low, "law_high": at.high}
    return row | found | {
        "law": law.fit.name,
        "status": law.fit.status,
        "flops": at.flops,
        "beyond_flops": at.flops / most,
    }  # fmt: skip


def run_interval(at: LossAt, *, scatter: float) -> tuple[float | None, float | None]:
    """The 95 % interval of the loss of one run: that of the law, and the scatter of runs about it, in logarithms.

    Parameters
    ----------
    at : LossAt
        The law's loss with its interval.
    scatter : float
        Standard deviation of the log loss of a run about the law.

    Examples
    --------
    >>> at = LossAt("extrapolated", 2.0, 1.98, 2.02, 1e12, 4.0)
    >>> low, high = run_interval(at, scatter=0.01)
    >>> f"{low:.3f} to {high:.3f}"
    '1.956 to 2.045'
    """
    if at.low is None or at.high is None:
        return None, None
    run = (NORMAL_95 * scatter) ** 2
    below = float(np.sqrt(np.log(at.loss / at.low) ** 2 + run))
    above = float(np.sqrt(np.log(at.high / at.loss) ** 2 + run))
    return at.loss * float(np.exp(-below)), at.loss * float(np.exp(above))


def _size(fits: Fits, schedule: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The optimal size at the FLOPs in the middle of the cells of a schedule, by the law with the best verdict."""
    flops = [float(row["flops"]) for row in rows if row["schedule"] == schedule and row["flops"] is not None]
    found: dict[str, Any] = {"schedule": schedule, "law": None, "status": "not_identified"}
    found |= dict.fromkeys(("flops", "n_params", "low", "high"))
    if not flops:
        return found
    middle = float(np.exp(np.mean(np.log([min(flops), max(flops)]))))
    known = size_at(fits, middle, schedule=schedule)
    if known is None:
        return found | {"flops": middle}
    law, at = known
    found |= {"law": law.fit, "status": law.status, "flops": middle}
    return found | {"n_params": at.n_params, "low": at.low, "high": at.high}


def _law(name: str, schedule: str, fit: Fit) -> dict[str, Any]:
    constants = {key: vars(one) for key, one in fit.estimates.items() if key in CONSTANTS}
    return {"law": name, "schedule": schedule, "status": fit.status, "reason": fit.reason, "constants": constants}
