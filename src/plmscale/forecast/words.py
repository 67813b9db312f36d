"""A forecast and its score in words."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..estimates import Estimate
from ..presentation.formats import FIT_TITLES, STATUS_WORDS, counted, is_missing, number, short, with_interval
from ..presentation.schedule_words import schedule_title


def inside(row: Mapping[Any, Any]) -> str:
    """What came of a predicted loss, for a table."""
    if is_missing(row["loss"]):
        return "nothing was predicted: the law was not identified"
    if is_missing(row["observed"]):
        return "not trained" if row["trained"] == "missing" else str(row["trained"])
    return "no interval" if is_missing(row["inside"]) else "yes" if row["inside"] else "no"


def sentences(cells: pd.DataFrame, sizes: pd.DataFrame) -> list[str]:
    """The score in a sentence per schedule for the losses, and one for the optimal size; none without a forecast.

    Parameters
    ----------
    cells, sizes : DataFrame
        `plmscale.forecast.score.score_cells` and `score_sizes`.
    """
    return [
        *(_losses(schedule, own) for schedule, own in cells.groupby("schedule", sort=False)),
        *(_size(row) for row in sizes.to_dict("records")),
    ]


def _losses(schedule: Any, own: pd.DataFrame) -> str:
    title, predicted = schedule_title(schedule), own.loc[own["loss"].notna()]
    if predicted.empty:
        return f"{title}: nothing was predicted, since no law of the other runs was identified."
    law = predicted.iloc[0]
    by = f"{FIT_TITLES[law['law']]}'s law ({STATUS_WORDS[law['status']]})"
    scored = predicted.loc[predicted["observed"].notna()]
    most = f"up to {number(float(predicted['beyond_flops'].astype(float).max()))} times the largest compute fitted"
    if scored.empty:
        losses = counted(len(predicted), "loss", "losses")
        return f"{title}: {losses} predicted by {by}, {most}; none of the runs is finished."
    inside = int(sum(bool(one) for one in scored["inside"]))
    error = 100 * float((scored["error"].astype(float) ** 2).mean() ** 0.5)
    losses, whose = counted(len(scored), "loss", "losses"), "its" if len(scored) == 1 else "their"
    return (
        f"{title}: of {losses} predicted by {by}, {most}, {inside} came inside {whose} 95 % interval; the "
        f"error is {number(error, digits=2)} % (root mean square)."
    )


def _size(row: dict[Any, Any]) -> str:
    where = f"{schedule_title(row['schedule'])}, optimal size"
    if is_missing(row["n_params"]):
        return f"{where}: nothing was predicted."
    predicted = _sizes(row, "n_params", "low", "high")
    at = f"{where} at {number(float(row['flops']))} FLOPs: {predicted} parameters predicted"
    if is_missing(row["observed"]):
        return f"{at}; the laws of all runs give none."
    observed = _sizes(row, "observed", "observed_low", "observed_high")
    return f"{at}, {observed} by {FIT_TITLES[row['observed_law']]}'s law of all runs."


def _sizes(row: dict[Any, Any], key: str, low: str, high: str) -> str:
    ends = "" if is_missing(row[low]) or is_missing(row[high]) else f" ({short(row[low])}–{short(row[high])})"
    return f"{short(row[key])}{ends}"


def forecast_text(forecast: Mapping[str, Any], cells: pd.DataFrame, sizes: pd.DataFrame) -> str:
    """A forecast with its score as lines for a terminal: a line a cell, then `sentences`."""
    versions = forecast["versions"]
    made = f"Forecast of {forecast['made']}, plmscale {versions['plmscale']}, {len(forecast['data'])} runs fitted."
    lines = [made, f"SHA-256 {forecast['checksum']}", ""]
    width = max((len(str(row["run"])) for row in forecast["cells"]), default=0)
    for row in cells.to_dict("records"):
        interval = with_interval(Estimate(row["loss"], row["low"], row["high"]))
        came = "" if is_missing(row["observed"]) else f", {number(float(row['observed']), digits=4)} came"
        lines.append(f"  {row['run']:{width}}  {interval} nats{came}; inside: {inside(row)}")
    return "\n".join([*lines, "", *sentences(cells, sizes)]) + "\n"
