"""How much the loss of a run would change if it were trained again: the noise behind every comparison of runs.

Runs that differ by their seed alone measure it. Without them it is what is left around a smooth surface of final loss
over size and tokens, which holds whatever the surface misses too: wider intervals, never narrower ones.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .curves import Curve, median_noise
from .plateau_fits import aicc

Array = NDArray[np.float64]

# A standard deviation from fewer degrees of freedom than this is hardly known: the next source is taken.
MIN_FREE = 3
MAX_DEGREE = 3
LAST_POINTS = 9
# Runs whose tokens differ by more than this factor are not reruns of one cell.
SAME_LENGTH = 1.02


class RunNoise(NamedTuple):
    """Standard deviation of the logarithm of a run's loss, its degrees of freedom, and where it comes from."""

    sd: float
    n_free: int
    source: str

    def to_json(self) -> dict[str, Any]:
        """Plain dict."""
        return self._asdict()


def run_noise(curves: Sequence[Curve]) -> RunNoise:
    """Noise between runs, from seeds if there are any, else from residuals, else from single evaluations.

    Parameters
    ----------
    curves : sequence of Curve
        Usable runs of one schedule.

    Returns
    -------
    RunNoise
        Source "seeds": pooled over runs of one size, set, batch and length. "residuals": around a
        polynomial in log N and log D of the log loss over the last doubling, its degree (up to 3) by AICc.
        "evaluations": noise of single evaluations around the smooth curves, which says nothing of what differs
        between runs.
    """
    log_loss = np.array([_last_doubling(curve) for curve in curves])
    groups = [log_loss[reruns] for reruns in _reruns(curves)]
    n_free = sum(len(values) - 1 for values in groups)
    if n_free >= MIN_FREE:
        squares = sum(float(np.sum((values - np.mean(values)) ** 2)) for values in groups)
        return RunNoise(float(np.sqrt(squares / n_free)), n_free, "seeds")
    residual = _around_surface(curves, log_loss)
    if residual is not None:
        return residual
    noise = median_noise(curves) / float(np.exp(np.median(log_loss)))
    return RunNoise(noise, max(len(curves) - 1, 1), "evaluations")


def _reruns(curves: Sequence[Curve]) -> list[list[int]]:
    """Indices of the runs of each cell: equal but for the seed.

    A table of final losses has rows of one size and many lengths and names no sets, so the length is compared too.
    """
    cells: dict[tuple[Any, ...], list[list[int]]] = {}
    for i in sorted(range(len(curves)), key=lambda i: float(curves[i].n_tokens[-1])):
        curve = curves[i]
        cell = curve.n_params, curve.model, curve.subset, curve.unique_tokens, curve.batch_tokens
        groups = cells.setdefault(cell, [])
        if groups and curve.n_tokens[-1] <= SAME_LENGTH * curves[groups[-1][0]].n_tokens[-1]:
            groups[-1].append(i)
        else:
            groups.append([i])
    return [group for groups in cells.values() for group in groups]


def _last_doubling(curve: Curve) -> float:
    """Mean log loss over the last doubling of FLOPs: the very end of a smoothed curve has an error of its own."""
    flops = np.geomspace(float(curve.flops[-1]) / 2, float(curve.flops[-1]) * (1 - 1e-12), LAST_POINTS)
    known = np.log(curve.loss_at(flops))
    return float(np.mean(known)) if np.isfinite(known).all() else float(np.log(curve.loss[-1]))


def _around_surface(curves: Sequence[Curve], log_loss: Array) -> RunNoise | None:
    axes = [_scaled([float(c.n_params) for c in curves]), _scaled([float(c.n_tokens[-1]) for c in curves])]
    best: tuple[float, RunNoise] | None = None
    for degree in range(1, MAX_DEGREE + 1):
        columns = [axes[0] ** i * axes[1] ** j for i in range(degree + 1) for j in range(degree + 1 - i)]
        design = np.stack(columns, axis=1)
        solution, _, rank, _ = np.linalg.lstsq(design, log_loss, rcond=1e-9)
        left = len(curves) - int(rank)
        if left < MIN_FREE:
            break
        squares = float(np.sum((log_loss - design @ solution) ** 2))
        score = aicc(squares, n_points=len(curves), n_coefficients=int(rank))
        if best is None or score < best[0]:
            best = score, RunNoise(float(np.sqrt(squares / left)), left, "residuals")
    return None if best is None else best[1]


def _scaled(values: Sequence[float]) -> Array:
    """Logarithms on [-1, 1]; zero where there is one value only."""
    logs = np.log(np.asarray(values))
    width = float(np.ptp(logs))
    return 2 * (logs - logs.min()) / width - 1 if width > 1e-9 else np.zeros_like(logs)
