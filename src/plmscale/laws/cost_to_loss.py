"""What it costs each size to come to one given loss."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..presentation.formats import number, short
from ..runs.curves import Curve, usable
from .power_law import power_law

PAPER_PLATEAU = 2.455
"""Plateau of Serrano et al. 2024, nats: the loss at which their curves go flat."""

# Of fewer sizes than this a trend says nothing.
MIN_SIZES = 3
# Evaluations averaged about each: one alone falls to a level some evaluations before the curve does, by its noise.
WINDOW = 5


class Reached(NamedTuple):
    """One group of runs and one loss.

    Attributes
    ----------
    rows : DataFrame
        One row per size that reaches the loss, by the run that does at the fewest FLOPs: `n_params`, `run`, `flops`,
        `n_tokens` (at the first evaluation about which the mean of five is at or below the loss), `smoothed_flops`
        (where its smoothed curve crosses).
    exponent : float
        Exponent of `flops` in size by least squares of the logarithms; NaN with fewer than three sizes.
    sentence : str
        What that says.
    """

    rows: pd.DataFrame
    exponent: float
    sentence: str


def flops_to_reach(runs: pd.DataFrame, curves: Sequence[Curve], *, loss: float) -> Reached:
    """FLOPs that each size needed to come to `loss` for the first time.

    Parameters
    ----------
    runs : DataFrame
        Evaluations of one group (see `plmscale.runs.curves.smooth`).
    curves : sequence of Curve
        The same runs, smoothed.
    loss : float
        Nats per token.

    Returns
    -------
    Reached
        A run that is at or below `loss` from its first evaluation came there at a moment that was not seen: it is not
        counted.
    """
    kept, _ = usable(curves, repeated=True)
    smooth = {curve.run: curve.flops_to_reach(loss) for curve in kept}
    by_run = {str(run): rows for run, rows in runs.loc[runs["flops"] > 0].groupby("run", sort=False)}
    found = []
    for curve in kept:
        rows = by_run[curve.run].sort_values("flops", kind="stable")
        mean = rows["loss"].rolling(WINDOW, center=True, min_periods=1).mean()
        below = np.flatnonzero(mean.to_numpy() <= loss)
        if below.size == 0 or below[0] == 0:
            continue
        first = rows.iloc[int(below[0])]
        row = {"n_params": curve.n_params, "run": curve.run, "flops": float(first["flops"])}
        found.append(row | {"n_tokens": float(first["n_tokens"]), "smoothed_flops": smooth[curve.run]})
    columns = ["n_params", "run", "flops", "n_tokens", "smoothed_flops"]
    table = pd.DataFrame(found, columns=pd.Index(columns)).sort_values(["n_params", "flops"], kind="stable")
    table = table.drop_duplicates("n_params").reset_index(drop=True)
    n, c = table["n_params"].to_numpy(dtype=float), table["flops"].to_numpy(dtype=float)
    exponent = power_law(n, c).exponent if len(table) >= MIN_SIZES else float("nan")
    if not any(curve.flops.size > 1 for curve in kept):
        sentence = f"Runs have one evaluation each: nothing says when they came to {loss:.4g} nats."
        return Reached(table, exponent, sentence)
    return Reached(table, exponent, _sentence(table, exponent, loss, n_sizes=len({c.n_params for c in kept})))


def _sentence(table: pd.DataFrame, exponent: float, loss: float, *, n_sizes: int) -> str:
    target = f"{loss:.4g} nats"
    if table.empty:
        return f"No run comes to {target} after its first evaluation."
    first, last = table.iloc[0], table.iloc[-1]
    ends = f"{number(first['flops'])} at {short(first['n_params'])}"
    if len(table) == 1:
        return f"One of {n_sizes} sizes comes to {target}: FLOPs {ends}."
    ends += f" to {number(last['flops'])} at {short(last['n_params'])}"
    if not np.isfinite(exponent):
        return f"FLOPs to reach {target}: {ends}."
    falls = int(np.sum(np.diff(table["flops"].to_numpy()) < 0))
    steady = "at every step" if falls == 0 else f"in {len(table) - 1 - falls} of {len(table) - 1} steps"
    direction = "rise" if exponent > 0 else "fall"
    if direction == "fall":
        steady = "overall"
    return f"FLOPs to reach {target} {direction} with N, {steady}: from {ends}, about N^{number(exponent)}."
