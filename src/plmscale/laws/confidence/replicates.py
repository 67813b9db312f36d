"""Chinchilla's law on studies like the one that was run: its runs resampled, or its noise drawn again."""

import numpy as np
from numpy.typing import NDArray

from ..points import Points
from ..solvers.chinchilla import ChinchillaLaw, ChinchillaProblem, predict, redrawn_laws, resampled_laws
from .design_effects import law_noise
from .uncertainty import multiplicities, resamples

Array = NDArray[np.float64]


def replicates(
    problem: ChinchillaProblem, points: Points, law: ChinchillaLaw, *, n: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Optima of `n` replicates of the study.

    Runs are resampled. Where some share a trunk, all keep their place and the noise of trunks and runs is drawn again:
    trunks are too few to be resampled, and sizes would be lost with them.

    Parameters
    ----------
    problem, law : ChinchillaProblem, ChinchillaLaw
        The points, and the optimum.
    points : Points
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    theta, objective : arrays of shape (n, 5) and (n,)
        In the coordinates of `ChinchillaProblem`.
    """
    rest, jacobian = predict(problem, problem.theta(law)[None])
    shared = law_noise(points, rest[0], jacobian[0])
    if shared is not None:
        return redrawn_laws(problem, law, shared.draw(rng, n)[:, points.run])
    return resampled_laws(problem, law, multiplicities(resamples(points.n_runs, n=n, rng=rng))[:, points.run])
