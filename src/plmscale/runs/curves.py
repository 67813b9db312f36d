"""Training curves: one smooth, interpolable curve per run.

Validation losses are noisy (about 0.006 nats between evaluations of one model, 0.010 to 0.016 between reruns, on
published protein curves), and the envelope and IsoFLOP fits compare runs at equal compute, where no two runs were
evaluated. Each run is therefore smoothed, log loss over log FLOPs, and read off inside its own range only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy  # its parts are imported where they are first used: Snakemake starts with this module
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..presentation.reasons import told
from ..reasons import Reason
from .interpolation import interpolate, log_spaced, spline_root
from .selection import rate_reasons, repeated_reasons
from .smoothing import smooth_values

Array = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

COLUMNS = ("run", "model", "subset", "schedule", "seed", "status", "n_params", "unique_tokens", "batch_tokens")
SERIES = ("step", "n_tokens", "flops", "loss", "lr_fraction")
USABLE_STATUS = "done"

# More rows than this are averaged in bins of equal width in log FLOPs: the cost of smoothing does not grow with the
# number of rows, and 400 points resolve any bend that the noise leaves visible.
MAX_BINS = 400
# Three points are a parabola, not smoothed; fewer than five do not tell noise from shape: straight lines in log-log.
MIN_SPLINE_POINTS = 5


@dataclass(frozen=True, eq=False)
class Curve:
    """The smoothed loss of one run, known between its first and its last evaluation and nowhere else.

    Attributes
    ----------
    run, model, subset, schedule, seed, status : identity of the run; only status "done" enters a fit.
    n_params : int
        Parameters.
    unique_tokens, batch_tokens : int
        Tokens of the subset; tokens of one batch over all devices.
    initial_loss : float
        Loss at the first evaluation (step 0 where there is one), nats per masked token. NaN if none is finite.
    lr_fraction_end : float
        Learning rate at the last evaluation as a share of the largest.
    noise : float
        Standard deviation of the evaluations around the smooth curve, corrected for its degrees of freedom, nats. NaN
        where fewer than five points.
    learning_rate : float
        Largest learning rate; NaN where it is not known.
    trunk : str
        Runs that share a value share noise, see `plmscale.laws.confidence.shared_noise`. Empty: the run shares it with
        none.
    flops, n_tokens, loss, raw_loss : arrays of shape (k,), k <= 400
        Positions are evaluations of the run, the first and the last included; FLOPs increase strictly.
    """

    run: str
    model: str
    subset: str
    schedule: str
    seed: int
    status: str
    n_params: int
    unique_tokens: int
    batch_tokens: int
    initial_loss: float
    lr_fraction_end: float
    noise: float
    flops: Array
    n_tokens: Array
    loss: Array
    raw_loss: Array
    learning_rate: float = float("nan")
    trunk: str = ""

    def loss_at(self, flops: ArrayLike) -> Array:
        """Smoothed loss (nats) at `flops`; NaN outside the run. A cubic spline through the points in log-log."""
        at = np.asarray(flops, dtype=float)
        if self.flops.size < MIN_SPLINE_POINTS:
            return interpolate(at, self.flops, self.loss)
        inside = (at >= self.flops[0]) & (at <= self.flops[-1])
        return np.where(inside, np.exp(self._spline(np.log(np.where(inside, at, self.flops[0])))), np.nan)

    @cached_property
    def _spline(self) -> "scipy.interpolate.CubicSpline":
        """Log loss over log FLOPs; a curve is read off many times."""
        return scipy.interpolate.CubicSpline(np.log(self.flops), np.log(self.loss))

    def tokens_at(self, flops: ArrayLike) -> Array:
        """Tokens seen when `flops` had been spent; NaN outside the run."""
        return interpolate(np.asarray(flops, dtype=float), self.flops, self.n_tokens)

    def flops_to_reach(self, loss: float) -> float | None:
        """FLOPs at which the smoothed loss first falls to `loss`; None if the run never reaches it.

        A run that is at or below `loss` from its first evaluation reached it at a moment that was not seen: None too.
        """
        found = float(self.log_flops_to_reach(np.array([loss]))[0])
        return float(np.exp(found)) if np.isfinite(found) else None

    def log_flops_to_reach(self, losses: Array) -> Array:
        """Log of `flops_to_reach` for losses of any shape; NaN instead of None."""
        wanted = np.log(losses)
        if self.flops.size < 2:
            return np.full(wanted.shape, np.nan)
        log_loss, log_flops = np.log(self.loss), np.log(self.flops)
        # The lowest loss so far falls: the first place at or below the wanted loss.
        lowest = np.minimum.accumulate(log_loss)
        after = np.searchsorted(-lowest, -wanted, side="left")
        known = (after > 0) & (after < lowest.size)
        after = np.clip(after, 1, lowest.size - 1)
        fall = log_loss[after - 1] - log_loss[after]
        share = np.where(fall > 0, (log_loss[after - 1] - wanted) / np.where(fall > 0, fall, 1.0), 0.0)
        low, high = log_flops[after - 1], log_flops[after]
        at = low + share * (high - low)
        if self.flops.size >= MIN_SPLINE_POINTS:
            at = spline_root(self._spline, wanted, at, low=low, high=high)
        return np.where(known, at, np.nan)


def smooth(runs: pd.DataFrame, *, level: float | None = None) -> list[Curve]:
    """Smooth every run of the tidy frame.

    Parameters
    ----------
    runs : DataFrame
        One row per (run, evaluation), with the columns `COLUMNS` and `SERIES`; `learning_rate` and `trunk` may be
        absent. Evaluations at zero FLOPs give the initial loss; those whose loss is not a positive number are left out.
    level : float, optional
        Smoothing level of `plmscale.runs.smoothing.smooth_values`; by default restricted maximum likelihood chooses it
        per run.

    Returns
    -------
    list of Curve
        In the order of first appearance. A run without one usable evaluation is a curve of length zero.

    Raises
    ------
    InputError
        If a column is missing, or a run has two values of something that identifies it.
    """
    missing = [name for name in (*COLUMNS, *SERIES) if name not in runs.columns]
    if missing:
        raise InputError(f"the frame of runs lacks the columns {missing}; it has {list(runs.columns)}.")
    ordered = runs.sort_values("step", kind="stable")
    # Arrays, not a frame a run: of a table of final losses, nearly all the time went into frames of one row.
    columns = {name: ordered[name].to_numpy(dtype=object) for name in (*COLUMNS[1:], "trunk") if name in ordered}
    columns |= {name: ordered[name].to_numpy(dtype=float) for name in (*SERIES, "learning_rate") if name in ordered}
    places = ordered.groupby("run", sort=False).indices
    rows = ((run, {name: of[places[run]] for name, of in columns.items()}) for run in runs["run"].dropna().unique())
    return [_smooth_run(str(run), of_run, level=level) for run, of_run in rows]


def _smooth_run(run: str, rows: Columns, *, level: float | None) -> Curve:
    flops, n_tokens, loss, lr_fraction = (rows[name] for name in ("flops", "n_tokens", "loss", "lr_fraction"))
    finite = np.isfinite(loss) & (loss > 0)
    usable = finite & (flops > 0)
    flops, n_tokens, raw = flops[usable], n_tokens[usable], loss[usable]
    flops, first = np.unique(flops, return_index=True)
    n_tokens, raw = n_tokens[first], raw[first]
    smoothed, noise = _fit_spline(np.log(flops), np.log(raw), level=level)
    keep = log_spaced(flops, n=MAX_BINS)
    return Curve(
        run=run,
        **_identity(run, rows),
        initial_loss=float(loss[finite][0]) if finite.any() else float("nan"),
        lr_fraction_end=float(lr_fraction[-1]),
        noise=noise,
        flops=flops[keep],
        n_tokens=n_tokens[keep],
        loss=np.exp(smoothed[keep]),
        raw_loss=raw[keep],
        learning_rate=_largest_rate(rows),
        trunk=str(_only(run, rows, name="trunk") or "") if "trunk" in rows else "",
    )


def _largest_rate(rows: Columns) -> float:
    """The rate before any warm-up or decay: what it is at a point over its share there, else the largest seen."""
    if "learning_rate" not in rows:
        return float("nan")
    rate, share = rows["learning_rate"], rows["lr_fraction"]
    whole = np.where((share > 0) & np.isfinite(share), rate / np.where(share > 0, share, 1.0), rate)
    known = whole[np.isfinite(whole) & (whole > 0)]
    return float(np.median(known) if np.isfinite(share).all() else known.max()) if known.size else float("nan")


def _identity(run: str, rows: Columns) -> dict[str, Any]:
    """What may not change within a run, as plain values."""
    first = {name: _only(run, rows, name=name) for name in COLUMNS[1:]}
    texts = {name: str(first[name]) for name in ("model", "subset", "schedule", "status")}
    return texts | {name: int(first[name]) for name in ("seed", "n_params", "unique_tokens", "batch_tokens")}


def _only(run: str, rows: Columns, *, name: str) -> Any:
    values = list(dict.fromkeys(rows[name].tolist()))
    if len(values) != 1:
        raise InputError(f"run {run} has several values of {name}: {values[:5]}; it must be one.")
    return values[0]


def _fit_spline(log_flops: Array, log_loss: Array, *, level: float | None) -> tuple[Array, float]:
    """Smoothed log loss at every evaluation, and the noise in nats."""
    if log_flops.size < MIN_SPLINE_POINTS:
        return log_loss, float("nan")
    width = log_flops[-1] - log_flops[0]
    position = (log_flops - log_flops[0]) / width
    bins = np.minimum((position * MAX_BINS).astype(int), MAX_BINS - 1) if log_flops.size > MAX_BINS else None
    x, y, count = position, log_loss, np.ones_like(position)
    if bins is not None:
        _, inverse, counts = np.unique(bins, return_inverse=True, return_counts=True)
        count = counts.astype(float)
        x, y = np.bincount(inverse, position) / count, np.bincount(inverse, log_loss) / count
    if x.size < MIN_SPLINE_POINTS:
        return log_loss, float("nan")
    found = smooth_values(x, y, weights=count, level=level)
    smoothed = found.values if bins is None else scipy.interpolate.CubicSpline(x, found.values)(position)
    squares = np.sum((np.exp(log_loss) - np.exp(smoothed)) ** 2)
    return smoothed, float(np.sqrt(squares / max(log_loss.size - found.n_free, 1.0)))


def usable(curves: Sequence[Curve], *, repeated: bool = False) -> tuple[list[Curve], list[dict[str, Any]]]:
    """Curves that may enter a fit, by size and then name, and the others with the reason.

    With `repeated` those too that saw their tokens more than once, which no law of size and tokens has room for.
    Of runs that differ in their learning rate alone, those of the best rate.
    """
    kept: list[Curve] = []
    left_out: list[tuple[Curve, Reason]] = []
    again = {} if repeated else repeated_reasons(curves)
    for curve in curves:
        if curve.status != USABLE_STATUS:
            left_out.append((curve, Reason.of("not_done", status=curve.status)))
        elif curve.flops.size == 0:
            left_out.append((curve, Reason.of("no_evaluation")))
        elif curve.run in again:
            left_out.append((curve, again[curve.run]))
        else:
            kept.append(curve)
    beside = rate_reasons(kept)
    left_out += [(curve, beside[curve.run]) for curve in kept if curve.run in beside]
    kept = sorted((curve for curve in kept if curve.run not in beside), key=lambda curve: (curve.n_params, curve.run))
    return kept, [{"run": curve.run} | told(why) for curve, why in left_out]


def median_noise(curves: Sequence[Curve]) -> float:
    """Median noise of the curves in nats; zero where none has one."""
    known = [curve.noise for curve in curves if np.isfinite(curve.noise)]
    return float(np.median(known)) if known else 0.0
