"""How much the loss of a run would change if it were trained again: the noise behind every comparison of runs.

Runs that differ by their seed alone measure it. Without them it is what is left around a smooth surface of final loss
over size and tokens, which holds whatever the surface misses too: wider intervals, never narrower ones.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...runs.curves import Curve, median_noise
from ..plateau_fits import aicc
from .shared_noise import SharedNoise, membership, shared_noise, trunks_of

Array = NDArray[np.float64]

# A standard deviation from fewer degrees of freedom than this is hardly known: the next source is taken.
MIN_FREE = 3
MAX_DEGREE = 3
LAST_POINTS = 9
# Runs whose tokens differ by more than this factor are not reruns of one cell.
SAME_LENGTH = 1.02
# Ratios of the variances of trunks and runs at which surfaces are compared.
RATIOS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


class RunNoise(NamedTuple):
    """Standard deviation of the logarithm of a run's loss, its degrees of freedom, and where it comes from.

    `shared` is how it divides between trunks and runs, None where no two runs share a trunk.
    """

    sd: float
    n_free: int
    source: str
    shared: SharedNoise | None = None

    @property
    def drawn_free(self) -> int | None:
        """Degrees of freedom that quantiles of draws do not hold yet."""
        return self.n_free if self.shared is None else None

    def draw(self, rng: np.random.Generator, *, n: int, n_runs: int) -> Array:
        """Noise of log loss of every run, shape (n, n_runs)."""
        if self.shared is not None:
            return self.shared.draw(rng, n)
        return self.sd * rng.standard_normal((n, n_runs))

    def to_json(self) -> dict[str, Any]:
        """Plain dict."""
        found = {"sd": self.sd, "n_free": self.n_free, "source": self.source}
        return found if self.shared is None else found | {"common": self.shared.to_json()}


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
        between runs. Where runs share a trunk, the same sources in this order, each divided between trunks and runs.
    """
    log_loss = np.array([_last_doubling(curve) for curve in curves])
    trunks = trunks_of(curves)
    if trunks is not None:
        return _with_trunks(curves, log_loss, trunks)
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


def _with_trunks(curves: Sequence[Curve], log_loss: Array, trunks: NDArray[np.intp]) -> RunNoise:
    """Noise of trunks and of runs, from the first source that tells them apart; else an assumed share."""
    cells = [reruns for reruns in _reruns(curves) if len(reruns) > 1]
    again = np.concatenate([np.array(reruns) for reruns in cells]) if cells else np.zeros(0, dtype=np.intp)
    if len(again) - len(cells) >= MIN_FREE:
        constants = np.repeat(np.eye(len(cells)), [len(reruns) for reruns in cells], axis=0)
        found = shared_noise(log_loss[again], constants, trunks=trunks[again])
        if found.known:
            return _divided(found._replace(trunks=trunks), "seeds")
    tried = [
        (_score(log_loss, design, trunks), shared_noise(log_loss, design, trunks=trunks))
        for design in surfaces(curves)
        if len(curves) - np.linalg.matrix_rank(design, tol=1e-9) >= MIN_FREE
    ]
    if tried:
        return _divided(min([one for one in tried if one[1].known] or tried, key=lambda one: one[0])[1], "residuals")
    noise = median_noise(curves) / float(np.exp(np.median(log_loss)))
    alone = shared_noise(np.zeros(len(curves)), np.eye(len(curves)), trunks=trunks)
    return _divided(alone._replace(own=np.array([noise**2]), n_free=max(len(curves) - 1, 1)), "evaluations")


def _divided(shared: SharedNoise, source: str) -> RunNoise:
    return RunNoise(shared.sd, max(shared.n_between, 1), source, shared)


def _score(log_loss: Array, design: Array, trunks: NDArray[np.intp]) -> float:
    """AICc of a surface about which trunks and runs scatter, at the ratio of their variances that is most likely."""
    member = membership(trunks)
    counts, n = member.sum(axis=0), len(log_loss)
    rank, scores = int(np.linalg.matrix_rank(design, tol=1e-9)), []
    for ratio in RATIOS:
        shrink = np.eye(n) - (member * (1 - 1 / np.sqrt(1 + ratio * counts)) / counts) @ member.T
        left = shrink @ design, shrink @ log_loss
        squares = float(np.sum((left[1] - left[0] @ np.linalg.lstsq(*left, rcond=1e-9)[0]) ** 2))
        determinant = float(np.sum(np.log1p(ratio * counts)))
        scores.append(aicc(squares, n_points=n, n_coefficients=rank + 1) + determinant)
    return min(scores)


def surfaces(curves: Sequence[Curve]) -> Iterator[Array]:
    """Terms of polynomials in log N and log D, shape (n, terms), by degree."""
    axes = [_scaled([float(c.n_params) for c in curves]), _scaled([float(c.n_tokens[-1]) for c in curves])]
    for degree in range(1, MAX_DEGREE + 1):
        columns = [axes[0] ** i * axes[1] ** j for i in range(degree + 1) for j in range(degree + 1 - i)]
        yield np.stack(columns, axis=1)


def _around_surface(curves: Sequence[Curve], log_loss: Array) -> RunNoise | None:
    best: tuple[float, RunNoise] | None = None
    for design in surfaces(curves):
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
