"""How well a grid of runs will determine a scaling law, computed before any run is trained.

The law is Chinchilla's, L = E + A / N^alpha + B / D^beta, fitted to log L (Hoffmann et al. 2022, appendix D.3). A run
at (N, D) informs the parameters through the gradient of its log loss; with noise of standard deviation sigma the
Fisher information of a grid is the sum of gradient · gradientᵀ / sigma², and its inverse bounds the covariance of any
unbiased estimate (Cramér and Rao). Constants must be assumed for it: those published for masked protein models.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..laws.proteins.table import protein_law
from ..laws.solvers.chinchilla import LOG_ZERO
from . import information as fisher

Array = NDArray[np.float64]

E, A, B, ALPHA, BETA = protein_law().constants
"""Cheng et al. 2024 (arXiv 2411.02142), table A9, masked models: the law that `plmscale ask` answers by before there is
any run. Its E is zero, its exponents are small, and its size term changes little over any grid: far harder to know than
a law of text, whose E and alpha runs can separate."""

NOISE = 0.005
"""Standard deviation of the log loss of a run: an assumption. Reruns of protein models differ by 0.010 to 0.016 nats at
about 2.5 (`plmscale.laws.confidence.uncertainty`), 0.004 to 0.006 of it. Errors are proportional to it; their ratios
do not depend on it."""

CENTRE = np.log([1e8, 1e10])
"""A and B are taken at the geometric mean of the paper's range, N = 1e8 and D = 1e10."""

THETA = np.array(
    [np.log(E) if E else LOG_ZERO, np.log(A) - ALPHA * CENTRE[0], np.log(B) - BETA * CENTRE[1], ALPHA, BETA]
)
"""The assumed law in the parameters of `plmscale.plan.information`."""

SINGULAR = 1e12
"""Condition number of the scaled information from which the law counts as not identified."""

NAMES = ("a", "alpha", "beta")
"""Parameters whose errors are given; a = beta / (alpha + beta) is the exponent of N_opt in C."""


def gradients(n_params: ArrayLike, n_tokens: ArrayLike) -> Array:
    """Gradient of log L of the assumed law by its parameters at each run, shape (n, 5)."""
    return fisher.gradients(THETA[None], n_params, n_tokens, centre=CENTRE)[0]


def information(rows: Array) -> Array:
    """Fisher information of runs with these gradients, shape (5, 5)."""
    return rows.T @ rows / NOISE**2


def directions() -> Array:
    """Gradient of `NAMES` by the parameters, shape (3, 5)."""
    total = (ALPHA + BETA) ** 2
    return np.array([[0, 0, 0, -BETA / total, ALPHA / total], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]])


VALUES = np.array([BETA / (ALPHA + BETA), ALPHA, BETA])
"""Values of `NAMES`."""


@dataclass(frozen=True)
class Knowledge:
    """How well a grid of one schedule is expected to determine the law.

    Attributes
    ----------
    runs, sizes, lengths : int
        Runs, different sizes, different numbers of tokens.
    span_params, span_tokens : float
        Largest ÷ smallest.
    relative_error : dict of str to float
        Standard error ÷ value of a, alpha and beta; infinite where the law is not identified.
    condition : float
        Condition number of the information, parameters scaled to unit information.
    interior_decades : float
        Decades of FLOPs (6ND) over which the best size of the grid is neither its smallest nor its largest.
    """

    runs: int
    sizes: int
    lengths: int
    span_params: float
    span_tokens: float
    relative_error: dict[str, float]
    condition: float
    interior_decades: float


def knowledge(n_params: ArrayLike, n_tokens: ArrayLike) -> Knowledge:
    """How well runs at these sizes and tokens are expected to determine the law."""
    n, d = np.asarray(n_params, dtype=float), np.asarray(n_tokens, dtype=float)
    found = information(gradients(n, d))
    scale = np.sqrt(np.diag(found))
    # A parameter that no run informs has no scale.
    condition = float(np.linalg.cond(found / np.outer(scale, scale))) if scale.all() else float("inf")
    errors = np.full(len(NAMES), np.inf)
    if condition < SINGULAR:
        errors = np.sqrt(np.diag(directions() @ np.linalg.inv(found) @ directions().T)) / VALUES
    return Knowledge(
        runs=n.size,
        sizes=np.unique(n).size,
        lengths=np.unique(d).size,
        span_params=float(n.max() / n.min()),
        span_tokens=float(d.max() / d.min()),
        relative_error=dict(zip(NAMES, errors.tolist(), strict=True)),
        condition=condition,
        interior_decades=interior_decades(n, d),
    )


PER_DECADE = 10
"""FLOPs per decade at which the best size is looked for."""


def interior_decades(n_params: Array, n_tokens: Array) -> float:
    """See `Knowledge`: a size is compared at the FLOPs that its longest run reaches, from a hundredth of them on."""
    sizes, index = np.unique(n_params, return_inverse=True)
    longest = np.zeros(sizes.size)
    np.maximum.at(longest, index, n_tokens)
    return interior_of(sizes, longest)


def interior_of(sizes: Array, longest: Array) -> float:
    """`interior_decades` of different sizes (ascending) whose longest runs see so many tokens."""
    if sizes.size < 3:
        return 0.0
    most = 6 * sizes * longest
    flops = 10 ** np.arange(np.log10(most.min()) - 2, np.log10(most.max()), 1 / PER_DECADE)
    tokens = flops[:, None] / (6 * sizes)
    loss = E + A * sizes**-ALPHA + B * tokens**-BETA
    loss[(flops[:, None] > most) | (flops[:, None] < most / 100)] = np.inf
    there = np.isfinite(loss)
    best = loss.argmin(axis=1)
    first, last = there.argmax(axis=1), sizes.size - 1 - there[:, ::-1].argmax(axis=1)
    return float(((best > first) & (best < last)).sum() / PER_DECADE)
