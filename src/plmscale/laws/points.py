"""Points (size, tokens, loss) of the parametric laws, and whether they can carry one at all."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..reasons import Reason
from ..runs.curves import Curve
from .confidence.shared_noise import trunks_of
from .confidence.verdicts import MIN_SIZES
from .fit import FitSettings

Array = NDArray[np.float64]

# With points="all": so many per run, evenly spaced in log FLOPs over its last decade. Before that the warm-up and the
# first descent, which no law in N and D describes, set the loss.
POINTS_PER_RUN = 20
FIRST_SHARE = 0.1


class Points(NamedTuple):
    """Arrays of shape (n,); `run` indexes the curves. `rows` are the same as JSON-able dicts.

    `trunks` has the trunk of each run, as an index; None where no two runs share one.
    """

    n_params: Array
    n_tokens: Array
    loss: Array
    run: NDArray[np.intp]
    rows: list[dict[str, Any]]
    trunks: NDArray[np.intp] | None = None

    @property
    def unique_tokens(self) -> Array:
        """Tokens seen that differ, shape (n,): all of them where a run names no training set."""
        known = np.array([float(row["unique_tokens"]) for row in self.rows])
        return np.where(known > 0, np.minimum(known, self.n_tokens), self.n_tokens)

    @property
    def n_runs(self) -> int:
        """Runs behind the points: the number of independent observations."""
        return len(np.unique(self.run))


def points_of(curves: Sequence[Curve], *, settings: FitSettings) -> Points:
    """The last smoothed loss of every curve, or `POINTS_PER_RUN` along each with settings.points == "all"."""
    rows, index = [], []
    for i, curve in enumerate(curves):
        flops = curve.flops[-1:]
        if settings.points == "all" and curve.flops.size > 1:
            start = max(float(curve.flops[0]), FIRST_SHARE * float(curve.flops[-1]))
            flops = np.geomspace(start, float(curve.flops[-1]), POINTS_PER_RUN).clip(curve.flops[0], curve.flops[-1])
        for at, tokens, loss in zip(flops, curve.tokens_at(flops), curve.loss_at(flops), strict=True):
            index.append(i)
            rows.append(
                {
                    "run": curve.run,
                    "n_params": curve.n_params,
                    "n_tokens": float(tokens),
                    "flops": float(at),
                    "loss": float(loss),
                    "lr_fraction_end": curve.lr_fraction_end,
                    "unique_tokens": curve.unique_tokens,
                }
                | ({"trunk": curve.trunk} if curve.trunk else {})
            )
    n_params, n_tokens, loss = (
        np.array([row[key] for row in rows], dtype=float) for key in ("n_params", "n_tokens", "loss")
    )
    return Points(n_params, n_tokens, loss, np.array(index, dtype=np.intp), rows, trunks_of(curves))


class _Branch(NamedTuple):
    """A run by its trunk alone."""

    trunk: str


def points_of_rows(rows: Sequence[Mapping[str, Any]]) -> Points:
    """The points of a parametric fit from its JSON (`Fit.points`)."""
    n_params, n_tokens, loss = (np.array([float(row[key]) for row in rows]) for key in ("n_params", "n_tokens", "loss"))
    trunks = {row["run"]: _Branch(row.get("trunk", "")) for row in rows}
    place = {run: i for i, run in enumerate(trunks)}
    run = np.array([place[row["run"]] for row in rows], dtype=np.intp)
    return Points(n_params, n_tokens, loss, run, [dict(row) for row in rows], trunks_of(list(trunks.values())))


def too_few(points: Points, *, n_free: int) -> Reason | None:
    """Why the points cannot determine a law with `n_free` parameters; None if they may."""
    n_runs = len(np.unique(points.run))
    n_sizes = len(np.unique(points.n_params))
    n_lengths = len(np.unique(np.round(np.log(points.n_tokens), 2)))
    if n_sizes < MIN_SIZES:
        return Reason.of("few_sizes", n_sizes=n_sizes, needed=MIN_SIZES)
    if n_lengths < MIN_SIZES:
        return Reason.of("few_lengths", n_lengths=n_lengths, needed=MIN_SIZES)
    if n_runs <= n_free:
        return Reason.of("few_runs", n_runs=n_runs, n_free=n_free)
    return None
