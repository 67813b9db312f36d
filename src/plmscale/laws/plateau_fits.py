"""Lines of FLOPs against size for the plateau: straight, polynomial, and power law, all drawn inside the data only."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .power_law import power_law

Array = NDArray[np.float64]

MAX_DEGREE = 3
N_LINE = 50


def level_fits(n_params: Sequence[float], flops: Sequence[float], *, min_sizes: int) -> dict[str, Any]:
    """Three fits of FLOPs against size.

    Parameters
    ----------
    n_params, flops : sequences of float, same length
        One point per run.
    min_sizes : int
        With fewer sizes there is no fit: each is None.

    Returns
    -------
    dict
        "linear" (slope, intercept), "polynomial" (degree, coefficients from the constant upward, aicc per degree),
        "loglog" (exponent, prefactor); each with "line", points inside the range of sizes.
    """
    if len(set(n_params)) < min_sizes:
        return {"linear": None, "polynomial": None, "loglog": None}
    x, y = np.asarray(n_params, dtype=float), np.asarray(flops, dtype=float)
    at = np.geomspace(x.min(), x.max(), N_LINE)
    slope, intercept = np.polyfit(x, y, 1)
    law = power_law(x, y)
    return {
        "linear": {"slope": float(slope), "intercept": float(intercept), "line": _line(at, slope * at + intercept)},
        "polynomial": _polynomial(x, y, at),
        "loglog": {"exponent": law.exponent, "prefactor": law.prefactor, "line": _line(at, law.at(at))},
    }


def aicc(residual_sum: float, *, n_points: int, n_coefficients: int) -> float:
    """Akaike's criterion corrected for few points (Hurvich and Tsai 1989); the variance is a parameter too.

    Infinite where the points do not outnumber the parameters by two.
    """
    k = n_coefficients + 1
    if n_points - k - 1 <= 0:
        return float("inf")
    return n_points * float(np.log(max(residual_sum, 1e-300) / n_points)) + 2 * k + 2 * k * (k + 1) / (n_points - k - 1)


def size_by_line(level: dict[str, Any], flops: float, *, kind: str) -> float | None:
    """Size at which a line reaches `flops`, where it does so exactly once inside the data; else None."""
    if level[kind] is None:
        return None
    line = level[kind]["line"]
    sizes, values = (np.array([point[key] for point in line]) for key in ("n_params", "flops"))
    crossings = np.flatnonzero((values[:-1] - flops) * (values[1:] - flops) <= 0)
    if crossings.size != 1:
        return None
    i = int(crossings[0])
    share = (flops - values[i]) / (values[i + 1] - values[i]) if values[i + 1] != values[i] else 0.0
    return float(sizes[i] + share * (sizes[i + 1] - sizes[i]))


def _polynomial(x: Array, y: Array, at: Array) -> dict[str, Any]:
    scale = float(x.max())
    degrees = range(1, min(MAX_DEGREE, len(set(x)) - 1) + 1)
    fits = {degree: np.polynomial.polynomial.polyfit(x / scale, y, degree) for degree in degrees}
    scores = {}
    for degree, coefficients in fits.items():
        residual = y - np.polynomial.polynomial.polyval(x / scale, coefficients)
        scores[degree] = aicc(float(residual @ residual), n_points=len(x), n_coefficients=degree + 1)
    # With so few points that no degree has a finite score, the straight line.
    degree = min(scores, key=lambda d: (scores[d], d))
    coefficients = fits[degree]
    return {
        "degree": degree,
        "coefficients": [float(c / scale**power) for power, c in enumerate(coefficients)],
        "aicc": {str(d): score for d, score in scores.items()},
        "line": _line(at, np.asarray(np.polynomial.polynomial.polyval(at / scale, coefficients), dtype=float)),
    }


def _line(n_params: Array, flops: Array) -> list[dict[str, float]]:
    return [{"n_params": float(n), "flops": float(f)} for n, f in zip(n_params, flops, strict=True)]


def size_laws(log_flops: Array, n_params: Array, *, min_sizes: int) -> tuple[Array, Array, Array, Array]:
    """Exponent, prefactor, slope and intercept of FLOPs in size, each of shape (k,).

    Parameters
    ----------
    log_flops : array, shape (k, runs)
        NaN where a run does not count.
    n_params : array, shape (runs,)
    min_sizes : int
        NaN where fewer sizes count.
    """
    counted = np.isfinite(log_flops)
    sizes = np.unique(n_params)
    enough = np.array([counted[:, n_params == size].any(axis=1) for size in sizes]).sum(axis=0) >= min_sizes
    n = np.where(enough, np.maximum(counted.sum(axis=1), 1), np.nan)
    found = []
    scale = float(n_params.max())
    for x, y in ((np.log(n_params), log_flops), (n_params / scale, np.exp(log_flops))):
        y = np.where(counted, y, 0.0)
        dx = np.where(counted, x - (np.sum(counted * x, axis=1) / n)[:, None], 0.0)
        slope = np.sum(dx * y, axis=1) / np.where(enough, np.sum(dx**2, axis=1), np.nan)
        found.append((slope, np.sum(y, axis=1) / n - slope * np.sum(counted * x, axis=1) / n))
    (exponent, log_prefactor), (slope, intercept) = found
    return exponent, np.exp(np.clip(log_prefactor, -745.0, 700.0)), slope / scale, intercept


def about_line(values: Array, x: Array) -> Array:
    """Residuals of values (k, n) about their least-squares line in x (n,)."""
    dx = x - x.mean() if x.size else x
    centred = values - values.mean(axis=1, keepdims=True) if x.size else values
    return centred - (centred @ dx / max(float(dx @ dx), 1e-300))[:, None] * dx
