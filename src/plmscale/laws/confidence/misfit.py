"""Whether a law is wrong: structure that it leaves in the runs, and predictions beyond what its own scatter allows.

An interval says how well a law is known if it is the right one. A wrong law can be fitted as narrowly as a right one;
what betrays it are its residuals. All tests are Fisher's F about the fitted law taken as linear in its parameters.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...presentation.reasons import words
from ...reasons import Reason
from ..points import Points
from ..solvers.distributions import f_tail
from .run_noise import RunNoise
from .shared_noise import SharedNoise
from .verdicts import LARGEST_SHARE, Verdict

Array = NDArray[np.float64]

# A right law fails one of its tests in at most this share of studies (each test gets its part of it).
FALSE_ALARMS = 0.02
# Residuals beyond so many robust standard deviations count as that many: an outlier is no structure.
CLIP_SIGMAS = 2.5
# Degrees of freedom without which residuals are not compared with anything.
MIN_LEFT = 3
# Degree of the polynomial in log N and log D that no residual of a right law follows; 2 where fewer degrees of freedom
# would be left than it has terms.
MAX_DEGREE = 3
# How much trunks have in common is uncertain; the tests take this quantile, so that noise is not called structure.
CAUTION = 0.9
LEFT_OUT = {"budget": "the last doubling of compute", "size": "the largest size"}
"""Runs that a law is fitted without, and then asked for."""


class Misfit(NamedTuple):
    """One test: F, how probable a larger one is under the right law, degrees of freedom, and the finding."""

    test: str
    statistic: float
    p: float
    degrees: tuple[int, int]
    finding: Reason

    def to_json(self) -> dict[str, Any]:
        """For the details of a fit, the finding in words too."""
        return self._asdict() | {"words": words(self.finding), "finding": self.finding.to_json()}


class Residuals(NamedTuple):
    """Residuals of log loss, one per run: shapes (n,), Jacobian (p, n), log N, log D and FLOPs (n,)."""

    residual: Array
    jacobian: Array
    log_size: Array
    log_tokens: Array
    flops: Array


def per_run(points: Points, residual: Array, jacobian: Array) -> Residuals:
    """Means over the points of each run: points of one run share its noise and are one observation."""
    _, inverse, counts = np.unique(points.run, return_inverse=True, return_counts=True)

    def mean(values: Array) -> Array:
        return np.bincount(inverse, values) / counts

    x, y, flops = np.log(points.n_params), np.log(points.n_tokens), np.array([row["flops"] for row in points.rows])
    return Residuals(mean(residual), np.array([mean(row) for row in jacobian]), mean(x), mean(y), mean(flops))


def misfit_tests(
    points: Points, residual: Array, jacobian: Array, *, noise: RunNoise, shared: SharedNoise | None = None
) -> list[Misfit]:
    """Every test that the runs of a parametric law allow.

    Parameters
    ----------
    points : Points
        n points.
    residual : array, shape (n,)
        Of log loss.
    jacobian : array, shape (p, n)
        Of the predicted log loss by the p parameters.
    noise : RunNoise
    shared : SharedNoise, optional
        What runs of one trunk have in common: it is no structure, and all is done after `SharedNoise.whitener`.

    Notes
    -----
    - structure: a polynomial in log N and log D explains residuals (a test for terms left out: Ramsey 1969).
    - largest budget, largest size: the law fitted to the others misses them (the predictive test of Chow 1960).
    - seeds: runs scatter about the law by more than reruns do (Fisher's lack of fit), where seeds were repeated.
    """
    runs = per_run(points, residual, jacobian)
    root = None if shared is None else shared.whitener(quantile=CAUTION)
    if root is not None:
        runs = runs._replace(residual=root @ runs.residual, jacobian=runs.jacobian @ root)
    scale = float(np.median(np.abs(runs.residual))) / 0.6745
    clipped = np.clip(runs.residual, -CLIP_SIGMAS * scale, CLIP_SIGMAS * scale)
    # A Jacobian's columns differ by orders of magnitude; only the space that they span is meant.
    law = np.linalg.qr((runs.jacobian / np.linalg.norm(runs.jacobian, axis=1, keepdims=True)).T)[0]
    left_out = {
        "budget": runs.flops > LARGEST_SHARE * runs.flops.max(),
        "size": runs.log_size == runs.log_size.max(),
    }
    found = [_structure(clipped, law, runs, root=root), None if shared else _seeds(clipped, law, noise)]
    found += [_beyond(clipped, law, mask, what=what, root=root) for what, mask in left_out.items()]
    return [one for one in found if one is not None]


def lowered(verdict: Verdict, found: Sequence[Misfit]) -> Verdict:
    """The verdict, at most weakly identified where a test says that the law is wrong."""
    if not verdict.has_numbers or not found:
        return verdict
    worst = min(found, key=lambda one: one.p)
    if worst.p * len(found) > FALSE_ALARMS:
        return verdict
    code = "misfit" if verdict.status == "identified" else "misfit_besides"
    return Verdict("weakly_identified", Reason.of(code, finding=worst.finding, then=verdict.why))


def departures(
    log_size: Array, log_tokens: Array, law: Array, *, degree: int = MAX_DEGREE, root: Array | None = None
) -> Array:
    """Polynomials in log N and log D that the residuals of a right law do not follow.

    Parameters
    ----------
    log_size, log_tokens : arrays, shape (n,)
        Of the runs.
    law : array, shape (n, p)
        Orthonormal columns that span the derivatives of the law by its parameters.
    degree : int
        Of the polynomials, total.
    root : array, shape (n, n), optional
        As of `SharedNoise.whitener`; `law` is meant after it.

    Returns
    -------
    array, shape (n, k)
        Orthonormal columns, orthogonal to the law.
    """
    x, y = _scaled(log_size), _scaled(log_tokens)
    terms = np.stack([x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)], axis=1)
    terms = terms if root is None else root @ terms
    basis, size, _ = np.linalg.svd(terms - law @ (law.T @ terms), full_matrices=False)
    return basis[:, size > 1e-6 * np.linalg.norm(terms)]


def _structure(residual: Array, law: Array, points: Residuals, *, root: Array | None) -> Misfit | None:
    rest = residual - law @ (law.T @ residual)
    for degree in range(MAX_DEGREE, 1, -1):
        basis = departures(points.log_size, points.log_tokens, law, degree=degree, root=root)
        n_terms, n_left = basis.shape[1], residual.size - law.shape[1] - basis.shape[1]
        if n_terms and n_left >= max(MIN_LEFT, n_terms):
            explained = float(np.sum((basis.T @ rest) ** 2))
            total = float(np.sum(rest**2))
            finding = Reason.of("structure", share=explained / max(total, 1e-300))
            return _fisher("structure", explained / n_terms, (total - explained) / n_left, (n_terms, n_left), finding)
    return None


def _beyond(residual: Array, law: Array, mask: NDArray[np.bool_], *, what: str, root: Array | None) -> Misfit | None:
    """The runs of `mask` against the law of the others: what they add to the squares when they are fitted as well."""
    if root is not None:
        return _beyond_whitened(residual, law, root[:, mask], what=what)
    n_hidden, n_left = int(mask.sum()), int((~mask).sum()) - law.shape[1]
    if n_hidden == 0 or n_left < MIN_LEFT or np.linalg.matrix_rank(law[~mask], tol=1e-9) < law.shape[1]:
        return None
    rest = residual[~mask] - law[~mask] @ np.linalg.lstsq(law[~mask], residual[~mask], rcond=None)[0]
    whole = residual - law @ (law.T @ residual)
    squares = float(np.sum(rest**2))
    added = float(np.sum(whole**2)) - squares
    return _missed(added, squares, (n_hidden, n_left), what=what)


def _beyond_whitened(residual: Array, law: Array, dummies: Array, *, what: str) -> Misfit | None:
    """The same with a column for each hidden run, which takes it out whatever it shares with others (Salkever 1976)."""
    both = np.concatenate([law, dummies], axis=1)
    n_hidden, n_left = dummies.shape[1], residual.size - both.shape[1]
    if n_hidden == 0 or n_left < MIN_LEFT or np.linalg.matrix_rank(both, tol=1e-9) < both.shape[1]:
        return None
    squares = float(np.sum((residual - both @ np.linalg.lstsq(both, residual, rcond=None)[0]) ** 2))
    added = float(np.sum((residual - law @ (law.T @ residual)) ** 2)) - squares
    return _missed(added, squares, (n_hidden, n_left), what=what)


def _missed(added: float, squares: float, degrees: tuple[int, int], *, what: str) -> Misfit:
    n_hidden, n_left = degrees
    finding = Reason.of(f"misses_{what}", n_runs=n_hidden)
    return _fisher(f"without {LEFT_OUT[what]}", added / n_hidden, squares / n_left, degrees, finding)


def _seeds(residual: Array, law: Array, noise: RunNoise | None) -> Misfit | None:
    n_left = residual.size - law.shape[1]
    if noise is None or noise.source != "seeds" or n_left < MIN_LEFT or not noise.sd > 0:
        return None
    rest = residual - law @ (law.T @ residual)
    degrees, finding = (n_left, noise.n_free), Reason.of("misses_seeds")
    return _fisher("seeds", float(np.sum(rest**2)) / n_left, noise.sd**2, degrees, finding)


def _fisher(test: str, above: float, below: float, degrees: tuple[int, int], finding: Reason) -> Misfit:
    # Residuals at the rounding of floats are no residuals.
    statistic = above / max(below, 1e-18)
    p = f_tail(statistic, *degrees)
    numbers = {"ratio": float(np.sqrt(statistic)), "statistic": statistic, "p": p}
    return Misfit(test, statistic, p, degrees, replace(finding, values={**finding.values, **numbers}))


def _scaled(values: Array) -> Array:
    middle, width = (values.max() + values.min()) / 2, float(np.ptp(values))
    return 2 * (values - middle) / width if width > 1e-9 else np.zeros_like(values)
