"""Smoothed curves as a frame and as a file."""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..files import atomic
from .curves import Curve, smooth

_ARRAYS = ("flops", "n_tokens", "loss", "raw_loss")


def smooth_file(runs: str | Path, curves: str | Path) -> None:
    """Smooth the runs of a file of `collect`, and write their curves."""
    with atomic(curves) as partial:
        to_frame(smooth(pd.read_parquet(runs))).to_parquet(partial, index=False)


def read_curves(path: str | Path) -> list[Curve]:
    """The curves that `smooth_file` wrote.

    Raises
    ------
    InputError
        If a column is missing.
    """
    return from_frame(pd.read_parquet(path))


def to_frame(curves: Sequence[Curve]) -> pd.DataFrame:
    """Curves as one tidy frame, one row per (run, point), that `from_frame` turns back into equal curves.

    Runs of length zero keep one row without series, so that no run disappears from a table.
    """
    parts = []
    for curve in curves:
        values = {field.name: getattr(curve, field.name) for field in fields(Curve)}
        if curve.flops.size == 0:
            values |= {name: np.array([np.nan]) for name in _ARRAYS}
        parts.append(pd.DataFrame(values))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[one.name for one in fields(Curve)])


def from_frame(frame: pd.DataFrame) -> list[Curve]:
    """Curves from the frame that `to_frame` made.

    Raises
    ------
    InputError
        If a column is missing.
    """
    missing = [field.name for field in fields(Curve) if field.name not in frame.columns and field.default is MISSING]
    if missing:
        raise InputError(f"the frame of curves lacks the columns {missing}; write it with `to_frame` of this module.")
    curves = []
    for _, rows in frame.groupby("run", sort=False):
        first = rows.iloc[0].to_dict()
        known = rows["flops"].notna().to_numpy()
        values: dict[str, Any] = {name: rows[name].to_numpy(dtype=float)[known] for name in _ARRAYS}
        for one in fields(Curve):
            if one.name not in _ARRAYS and one.name in first:
                kind = one.type if callable(one.type) else str
                values[one.name] = kind(first[one.name])
        curves.append(Curve(**values))
    return curves
