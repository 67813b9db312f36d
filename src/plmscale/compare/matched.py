"""Losses of runs that are alike in everything but what is compared, and their mean difference."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ..estimates import Estimate
from ..laws.confidence.uncertainty import INTERVAL
from ..runs.curves import Curve
from ..study.catalog import ComparedBy
from .arms import Arm, Comparison, apart
from .contrasts import estimate_values, pair_labels, told

EXTENDABLE = ("token_decay", "constant")
"""Schedules that do not know where they end: such a run at some tokens is what a run that ends there would be."""

EQUAL_TOKENS = 1.02
"""Ratio of tokens up to which runs of other schedules are matched."""
HOLDOUT_TOKENS = 1.10
"""The same for holdout losses, which are known at the ends of runs alone: sets of equally many sequences differ by some
per cent in tokens. At beta = 0.3 and 0.2 nats left to learn from more tokens, a tenth is 0.006 nats."""

MIN_MODELS = 3
"""Sizes that a paired difference needs for an interval."""


def matched(comparison: Comparison) -> pd.DataFrame:
    """Losses of runs that are alike in everything but what is compared.

    Runs match if size, seed and, as far as both arms have the sets, set are the same. Training losses are the smoothed
    ones at the tokens of the shorter run, where both schedules are of `EXTENDABLE`; else, and for the loss on the
    holdout, at the ends of runs whose tokens differ by at most `EQUAL_TOKENS` and `HOLDOUT_TOKENS`.

    Returns
    -------
    DataFrame
        One row per kind of loss and pair of runs: `kind` ("training" or "holdout"), `model`, `n_params`, `subset`,
        `seed`, `tokens_first`, `tokens_second` at which the losses are, `loss_first`, `loss_second` and their
        `difference` (nats).
    """
    rows = []
    for first, second in comparison.pairs:
        keys = _keys(first, second, by=comparison.by)
        both = [arm.runs.loc[arm.runs["status"] == "done"] for arm in (first, second)]
        own = [{curve.run: curve for curve in arm.curves} for arm in (first, second)]
        for one, other in _joined(*both, keys=keys):
            identity = pair_labels(comparison.by, first, second) | {
                "model": one["model"],
                "n_params": int(one["n_params"]),
            }
            identity |= {"subset": _set_of(one, other), "seed": one["seed"]}
            for kind, found in _losses(one, other, own, schedules=(first.schedule, second.schedule)):
                if not apart(first.setup, second.setup, "holdout" if kind == "holdout" else "loss"):
                    rows.append(identity | {"kind": kind} | found)
    return pd.DataFrame(rows, columns=pd.Index(_MATCHED), dtype=object)


_MATCHED = ("by", "first", "second", "kind", "model", "n_params", "subset", "seed", "tokens_first", "tokens_second")
_MATCHED += ("loss_first", "loss_second", "difference")


def _keys(first: Arm, second: Arm, *, by: ComparedBy) -> list[str]:
    common = set(first.runs["subset"]) & set(second.runs["subset"])
    return ["n_params", "seed", *(["subset"] if by != "set" and common else [])]


def _joined(one: pd.DataFrame, other: pd.DataFrame, *, keys: list[str]) -> list[tuple[dict[Any, Any], dict[Any, Any]]]:
    """Pairs of runs with equal keys; none where a key is that of several runs, of which none is the right one."""
    tables = [{}, {}]
    for table, runs in zip(tables, (one, other), strict=True):
        for row in runs.to_dict("records"):
            table.setdefault(tuple(row[key] for key in keys), []).append(row)
    shared = [key for key in tables[0] if len(tables[0][key]) == len(tables[1].get(key, ())) == 1]
    return [(tables[0][key][0], tables[1][key][0]) for key in shared]


def _set_of(one: dict[Any, Any], other: dict[Any, Any]) -> str:
    return one["subset"] if one["subset"] == other["subset"] else f"{one['subset']} | {other['subset']}"


def _losses(
    one: dict[Any, Any], other: dict[Any, Any], curves: Sequence[dict[str, Curve]], *, schedules: tuple[str, str]
) -> list[tuple[str, dict[str, float]]]:
    found = []
    ends = (float(one["n_tokens"]), float(other["n_tokens"]))
    spread = max(ends) / max(min(ends), 1.0)
    pair = [curves[0].get(one["run"]), curves[1].get(other["run"])]
    if pair[0] is not None and pair[1] is not None:
        if all(schedule in EXTENDABLE for schedule in schedules):
            ends = (min(ends), min(ends))
        if max(ends) / max(min(ends), 1.0) <= EQUAL_TOKENS:
            losses = [loss_at_tokens(curve, at) for curve, at in zip(pair, ends, strict=True) if curve is not None]
            found.append(("training", _numbers(ends, losses)))
    if spread <= HOLDOUT_TOKENS:
        at = (float(one["n_tokens"]), float(other["n_tokens"]))
        found.append(("holdout", _numbers(at, [float(one["holdout_loss"]), float(other["holdout_loss"])])))
    return [(kind, row) for kind, row in found if np.isfinite(row["difference"])]


def _numbers(tokens: tuple[float, float], losses: Sequence[float]) -> dict[str, float]:
    row = {"tokens_first": tokens[0], "tokens_second": tokens[1], "loss_first": losses[0], "loss_second": losses[1]}
    return row | {"difference": losses[0] - losses[1]}


def loss_at_tokens(curve: Curve, tokens: float) -> float:
    """Smoothed loss (nats) of a run when it had seen `tokens`; NaN outside the run."""
    known = curve.n_tokens > 0
    seen, flops = curve.n_tokens[known], curve.flops[known]
    if not seen.size or not seen[0] <= tokens <= seen[-1] * (1 + 1e-9):
        return float("nan")
    at = float(np.exp(np.interp(np.log(tokens), np.log(seen), np.log(flops))))
    return float(curve.loss_at(float(np.clip(at, flops[0], flops[-1]))))


def paired(comparison: Comparison, runs: pd.DataFrame) -> pd.DataFrame:
    """Mean difference of the `matched` runs per pair of arms and kind of loss, with Student's t interval over sizes.

    Sets and seeds of one size are averaged first: a size's differences share its learning rate and are not independent.
    Fewer than `MIN_MODELS` sizes have no interval.
    """
    rows = []
    for first, second in comparison.pairs:
        for kind in ("training", "holdout"):
            of_pair = (runs["first"] == first.label) & (runs["second"] == second.label) & (runs["kind"] == kind)
            own = runs.loc[of_pair, :]
            found = mean_over(own["difference"].astype(float).groupby(own["n_params"]).mean().to_numpy(dtype=float))
            row = pair_labels(comparison.by, first, second) | {"kind": kind, "n_pairs": len(own)}
            row |= {"n_models": len(set(own["n_params"]))} | estimate_values(found)
            reason = _why_no_interval(first, second, own, kind=kind)
            rows.append(row | {"verdict": told(found), "reason": reason})
    return pd.DataFrame(rows, dtype=object)


def mean_over(values: np.ndarray) -> Estimate:
    """Mean with its 95 % interval by Student's t; no interval below `MIN_MODELS` values, no mean of none."""
    if not values.size:
        return Estimate(None)
    mean = float(values.mean())
    if values.size < MIN_MODELS:
        return Estimate(mean)
    half = float(student.ppf((1 + INTERVAL) / 2, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size))
    return Estimate(mean, mean - half, mean + half)


def _why_no_interval(first: Arm, second: Arm, own: pd.DataFrame, *, kind: str) -> str:
    if reason := apart(first.setup, second.setup, "holdout" if kind == "holdout" else "loss"):
        return reason
    if not len(own):
        return "no two runs match in size, seed, set and tokens"
    n_models = len(set(own["n_params"]))
    return "" if n_models >= MIN_MODELS else f"too few sizes for an interval: {n_models}, {MIN_MODELS} are needed"
