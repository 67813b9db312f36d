"""Differences between arms, each with its interval: exponents and optimal sizes; and what each arm cost.

Two estimates differ only if the interval of their difference excludes 0; that their intervals overlap says nothing.
"""

from typing import Any

import numpy as np
import pandas as pd

from ..estimates import Estimate
from ..laws.fit import NO_FIT
from ..presentation.formats import STATUS_WORDS, standing
from ..presentation.schedule_words import schedule_short
from ..study.catalog import ComparedBy
from .arms import Arm, Comparison, apart

PARAMETERS: dict[str, dict[str, str]] = {
    "envelope": {"a": "compute", "b": "compute"},
    "isoflop": {"a": "compute", "b": "compute"},
    # a = beta / (alpha + beta): from losses over size and tokens, whatever a FLOP is.
    "chinchilla": {"a": "", "b": "", "alpha": "", "beta": "", "E": "loss"},
    "kaplan": {"alpha_N": "", "alpha_D": ""},
    "plateau": {"plateau_loss": "loss", "exponent_100": "compute"},
}
"""What is compared of each law, and what has to be on one scale for that (`plmscale.compare.arms.apart`)."""

DIFFER, NOT_TOLD_APART, NO_INTERVAL = "differ", "not told apart", "no interval"


def difference(first: Estimate, second: Estimate) -> Estimate:
    """first - second with the 95 % interval of independent errors.

    Each bound takes the distances of the estimates from their own bounds on the side that matters, in quadrature
    (MOVER: Zou and Donner 2008, Statistics in Medicine 27, 1693, equation 8); for symmetric intervals that is the usual
    root of summed variances. A bound that an estimate lacks is lacking in the difference.

    Examples
    --------
    >>> difference(Estimate(0.7, 0.6, 0.8), Estimate(0.4, 0.4, 0.4))
    Estimate(value=0.3, low=0.2, high=0.4)
    """
    if first.value is None or second.value is None:
        return Estimate(None)
    value = first.value - second.value
    low = high = None
    if first.low is not None and second.high is not None:
        low = value - float(np.hypot(first.value - first.low, second.high - second.value))
    if first.high is not None and second.low is not None:
        high = value + float(np.hypot(first.high - first.value, second.value - second.low))
    return Estimate(*(None if v is None else round(v, 12) for v in (value, low, high)))


def ratio(first: Estimate, second: Estimate) -> Estimate:
    """first / second of positive estimates, by `difference` of their logarithms."""
    found = difference(_log(first), _log(second))
    return Estimate(*(None if v is None else float(np.exp(v)) for v in (found.value, found.low, found.high)))


def _log(one: Estimate) -> Estimate:
    return Estimate(*(None if v is None or v <= 0 else float(np.log(v)) for v in (one.value, one.low, one.high)))


def told(one: Estimate, *, null: float = 0.0) -> str:
    """`DIFFER` only if the interval excludes `null`."""
    if one.value is None or (one.low is None and one.high is None):
        return NO_INTERVAL
    above, below = one.low is not None and one.low > null, one.high is not None and one.high < null
    if above or below:
        return DIFFER
    return NOT_TOLD_APART if one.low is not None and one.high is not None else NO_INTERVAL


def exponents(comparison: Comparison) -> pd.DataFrame:
    """One row per arm, law and parameter of `PARAMETERS`: value and interval, or the reason why there is none."""
    rows = []
    for arm in comparison.arms:
        for name, parameters in PARAMETERS.items():
            if name not in arm.fits:
                continue
            fit = arm.fits[name]
            for key in parameters:
                one = fit.estimates.get(key, Estimate(None))
                row = {"by": comparison.by, "arm": arm.label, "study": arm.study, "schedule": arm.schedule}
                row |= {"subset": arm.subset, "fit": name, "parameter": key} | estimate_values(one)
                rows.append(row | {"status": standing(fit), "reason": fit.reason, "caveat": fit.caveat})
    return pd.DataFrame(rows, dtype=object)


def differences(comparison: Comparison) -> pd.DataFrame:
    """One row per pair of arms, law and parameter: first - second, its interval, and `verdict`.

    The verdict is "differ", "not told apart", or "no interval"; `reason` says why there is no number.
    """
    rows = []
    for first, second in comparison.pairs:
        for name in (name for name in PARAMETERS if name in first.fits):
            for key, scale in PARAMETERS[name].items():
                found, reason = _contrast(first, second, name=name, key=key, scale=scale)
                row = pair_labels(comparison.by, first, second) | {"fit": name, "parameter": key}
                rows.append(row | estimate_values(found) | {"verdict": told(found), "reason": reason})
    names = ("by", "first", "second", "fit", "parameter", "value", "low", "high", "verdict", "reason")
    return pd.DataFrame(rows, columns=pd.Index(names), dtype=object)


def _contrast(first: Arm, second: Arm, *, name: str, key: str, scale: str) -> tuple[Estimate, str]:
    reason = apart(first.setup, second.setup, scale) if scale else ""
    if reason:
        return Estimate(None), reason
    fits = [arm.fits.get(name, NO_FIT) for arm in (first, second)]
    ones = [fit.estimates.get(key, Estimate(None)) for fit in fits]
    lacking = [
        f"{schedule_short(arm.label)} is {STATUS_WORDS[fit.status]}"
        for arm, fit, one in zip((first, second), fits, ones, strict=True)
        if one.value is None
    ]
    return difference(*ones), "; ".join(lacking)


def sizes(comparison: Comparison) -> pd.DataFrame:
    """One row per pair of arms, law and budget: both optimal sizes, and their ratio with its interval."""
    rows = []
    for first, second in comparison.pairs:
        reason = apart(first.setup, second.setup, "compute")
        for name in (name for name in PARAMETERS if name in first.fits and name in second.fits):
            found = [_sizes_of(arm, name) for arm in (first, second)]
            for budget in sorted(set(found[0]) & set(found[1])):
                one, other = found[0][budget], found[1][budget]
                row = pair_labels(comparison.by, first, second) | {"fit": name, "flops": budget}
                row |= {f"first_{key}": value for key, value in estimate_values(one).items()}
                row |= {f"second_{key}": value for key, value in estimate_values(other).items()}
                quotient = Estimate(None) if reason else ratio(one, other)
                row |= {f"ratio_{key}": value for key, value in estimate_values(quotient).items()}
                rows.append(row | {"verdict": told(quotient, null=1.0), "reason": reason})
    columns = [f"{side}_{key}" for side in ("first", "second", "ratio") for key in ("value", "low", "high")]
    names = ("by", "first", "second", "fit", "flops", *columns, "verdict", "reason")
    return pd.DataFrame(rows, columns=pd.Index(names), dtype=object)


def _sizes_of(arm: Arm, name: str) -> dict[float, Estimate]:
    rows = arm.fits[name].details.get("optimal_sizes", ())
    keys = ("n_params", "n_params_low", "n_params_high")
    return {float(row["flops"]): Estimate(*(row.get(key) for key in keys)) for row in rows}


def costs(comparison: Comparison) -> pd.DataFrame:
    """One row per arm: runs, those that finished, tokens, FLOPs, and device-hours of the jobs that recorded them.

    What runs have in common is counted once: of a branch its own part, and its trunk as a job of its own. A trunk whose
    record was deleted is not counted.
    """
    rows = []
    for arm in comparison.arms:
        own = pd.DataFrame(
            {
                "n_tokens": arm.runs["n_tokens"] - arm.runs["shared_tokens"],
                "flops": arm.runs["flops"] - arm.runs["shared_flops"],
                "device_seconds": arm.runs["device_seconds"],
            }
        )
        shared = arm.trunks[list(own.columns)] if len(arm.trunks) else own.iloc[:0]
        n_tokens, flops, seconds = (np.concatenate([own[c], shared[c]]).astype(float) for c in own.columns)
        timed = np.isfinite(seconds)
        row = {"by": comparison.by, "arm": arm.label, "runs": len(arm.runs), "trunks": len(arm.trunks)}
        row |= {"finished": arm.runs["status"].tolist().count("done")}
        row |= {"n_tokens": float(n_tokens.sum()), "flops": float(flops.sum()), "convention": arm.setup.convention}
        row |= {"timed": int(timed.sum()), "device_hours": seconds[timed].sum() / 3600 if timed.any() else None}
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def pair_name(first: str, second: str) -> str:
    """Two labels as a difference, what they share said once, schedules in words.

    Examples
    --------
    >>> pair_name("constant", "token_decay")
    'constant − decaying with tokens'
    >>> pair_name("mine, constant", "theirs, constant")
    'mine − theirs, constant'
    """
    one, other = first.split(", "), second.split(", ")
    common = [part for part in one if part in other]
    sides = [", ".join(part for part in parts if part not in common) for parts in (one, other)]
    sides, common = ([schedule_short(part) for part in parts] for parts in (sides, common))
    if not all(sides):
        return f"{schedule_short(first)} − {schedule_short(second)}"
    return ", ".join([" − ".join(sides), *common])


def pair_labels(by: ComparedBy, first: Arm, second: Arm) -> dict[str, Any]:
    """What names a pair of arms in a row."""
    return {"by": by, "first": first.label, "second": second.label}


def estimate_values(one: Estimate) -> dict[str, float | None]:
    """An estimate as columns of a row."""
    return {"value": one.value, "low": one.low, "high": one.high}
