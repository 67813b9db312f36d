"""A forecast beside what came: the loss of every cell, and the optimal size."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..laws.size_law import VERDICTS, SizeAt, SizeLaw, best_law
from ..results.analysed import Fits
from ..study.catalog import SIZE_LAWS

CELLS = (
    *("run", "model", "subset", "schedule", "seed", "n_params", "n_tokens", "flops", "law", "status"),
    *("beyond_size", "beyond_tokens", "beyond_flops", "loss", "low", "high", "law_low", "law_high"),
)
"""Columns of a cell that a forecast has."""


def score_cells(forecast: Mapping[str, Any] | None, outcomes: pd.DataFrame) -> pd.DataFrame:
    """One row per cell of a forecast.

    Parameters
    ----------
    forecast : mapping or None
        `plmscale.forecast.frozen.read_forecast`; None gives no row.
    outcomes : DataFrame
        `run`, `status` and `final_loss` of the study's cells (`plmscale.results.outcomes.outcomes`).

    Returns
    -------
    DataFrame
        `CELLS`, `trained` (status of the run), `observed` (its smoothed loss at the last evaluation, nats), `error`
        (predicted ÷ observed − 1) and `inside` (whether the observed loss lies in the interval); None where there is
        no such number.
    """
    came = {row["run"]: row for row in outcomes.to_dict("records")}
    rows = [_cell(row, came.get(row["run"], {})) for row in (forecast or {}).get("cells", [])]
    return pd.DataFrame(rows, columns=[*CELLS, "trained", "observed", "error", "inside"], dtype=object)


def _cell(row: Mapping[str, Any], came: Mapping[str, Any]) -> dict[str, Any]:
    observed = came.get("final_loss") if came.get("status") == "done" else None
    found = {key: row[key] for key in CELLS} | {"trained": came.get("status", "missing"), "observed": observed}
    return found | _judged(row["loss"], row["low"], row["high"], observed)


def score_sizes(forecast: Mapping[str, Any] | None, fits: Fits) -> pd.DataFrame:
    """One row per schedule: the optimal size that was forecast, and that of the laws of all runs at the same FLOPs.

    Returns
    -------
    DataFrame
        `schedule`, `flops`, `law`, `status`, `n_params`, `low`, `high` of the forecast; `observed`, `observed_low`,
        `observed_high` by the law of all runs with the best verdict, `observed_law`; `error` and `inside` as of cells.
    """
    rows = []
    for row in (forecast or {}).get("sizes", []):
        found = None if row["flops"] is None else size_at(fits, row["flops"], schedule=row["schedule"])
        observed: dict[str, Any] = dict.fromkeys(("observed", "observed_low", "observed_high", "observed_law"))
        if found is not None:
            law, at = found
            observed = {"observed": at.n_params, "observed_low": at.low, "observed_high": at.high}
            observed |= {"observed_law": law.fit}
        rows.append({**row, **observed, **_judged(row["n_params"], row["low"], row["high"], observed["observed"])})
    columns = ["schedule", "flops", "law", "status", "n_params", "low", "high"]
    columns += ["observed", "observed_low", "observed_high", "observed_law", "error", "inside"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def size_at(fits: Fits, flops: float, *, schedule: str) -> tuple[SizeLaw, SizeAt] | None:
    """The optimal size at a compute, by the law with the best verdict of those whose range reaches so far."""
    laws = [law for name in SIZE_LAWS if (law := best_law(fits, name=name, schedule=schedule)) is not None]
    found = [(law, at) for law in laws if (at := law.at(flops)) is not None]
    return min(found, key=lambda one: VERDICTS.index(one[0].status), default=None)


def _judged(value: float | None, low: float | None, high: float | None, observed: float | None) -> dict[str, Any]:
    """Error and whether the observed value lies inside.

    Examples
    --------
    >>> _judged(2.02, 1.9, 2.1, 2.0)
    {'error': 0.010000000000000009, 'inside': True}
    """
    if value is None or observed is None:
        return {"error": None, "inside": None}
    inside = None if low is None or high is None else bool(low <= observed <= high)
    return {"error": value / observed - 1, "inside": inside}
