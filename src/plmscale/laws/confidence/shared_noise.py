"""Noise that runs of one trunk have in common: its variance, and what it does to anything computed from the runs.

Log losses are off by an effect of the run's trunk and one of its own, both normal. How the variance divides between
them is hardly known from the few trunks of a study, and no single value of it is taken: everything is averaged over its
posterior (Tiao and Tan 1965, Biometrika 52:37; Box and Tiao 1973, chapter 5), with the prior that gives the classical
intervals of a balanced design. Effects that the fitted law could as well explain are integrated out, as restricted
likelihood does (Patterson and Thompson 1971; Harville 1974).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space

Array = NDArray[np.float64]

# Variance of the trunks' means relative to that of independent runs: from 1 (nothing in common) to this.
LARGEST_RATIO = 1e6
GRID = 81
# What one trunk shifts has to be visible next to what the law may explain, at least as well as a single run's noise.
VISIBLE = 0.5
# With fewer contrasts between trunks than this the residuals do not tell what is common.
MIN_BETWEEN = 2
# Then this share of the variance is taken to be.
ASSUMED_SHARE = 0.9


class HasTrunk(Protocol):
    """Whatever names the trunk that it was branched from."""

    @property
    def trunk(self) -> str:
        """Name; empty where there is none."""
        ...


def trunks_of(runs: Sequence[HasTrunk]) -> NDArray[np.intp] | None:
    """Trunk of each run as an index, runs without one each with their own; None where no two runs share one."""
    names = [("of", run.trunk) if run.trunk else ("own", str(i)) for i, run in enumerate(runs)]
    index = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return None if len(index) == len(names) else np.array([index[name] for name in names], dtype=np.intp)


class SharedNoise(NamedTuple):
    """Posterior of the two variances on a grid of m ratios.

    Attributes
    ----------
    trunks : array of int, shape (n,)
        Trunk of each run.
    ratio : array, shape (m,)
        Variance of the effects of trunks ÷ that of the runs' own.
    weight : array, shape (m,)
        Probability of each.
    own : array, shape (m,)
        Variance of the runs' own effects that the residuals give at each ratio.
    n_free : int
        Its degrees of freedom.
    n_between : int
        Contrasts between trunks behind the ratio.
    """

    trunks: NDArray[np.intp]
    ratio: Array
    weight: Array
    own: Array
    n_free: int
    n_between: int

    @property
    def known(self) -> bool:
        """Whether the runs tell what is common; if not, `ASSUMED_SHARE` is."""
        return len(self.ratio) > 1

    @property
    def share(self) -> float:
        """Share of the variance that is common: the median."""
        at = self.ratio[self._median]
        return float(at / (1 + at))

    @property
    def sd(self) -> float:
        """Standard deviation of a run's log loss at the median ratio."""
        return float(np.sqrt(self.own[self._median] * (1 + self.ratio[self._median])))

    def to_json(self) -> dict[str, Any]:
        """What a reader may want: the share and where it is from."""
        n_trunks = len(np.unique(self.trunks))
        return {"share": self.share, "known": self.known, "n_trunks": n_trunks, "n_between": self.n_between}

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """Noise of every run, shape (n, runs), the variances drawn anew each time.

        So quantiles are those of Student's t without a further correction for degrees of freedom.
        """
        at = rng.choice(len(self.ratio), size=n, p=self.weight)
        own = np.sqrt(self.own[at] * self.n_free / rng.chisquare(self.n_free, n))[:, None]
        effects = rng.standard_normal((n, int(self.trunks.max()) + 1))[:, self.trunks]
        return own * (np.sqrt(self.ratio[at])[:, None] * effects + rng.standard_normal((n, len(self.trunks))))

    def whitener(self, *, quantile: float = 0.5) -> Array:
        """Symmetric matrix (n, n) after which runs are independent, with the runs' own variance."""
        at = int(np.searchsorted(np.cumsum(self.weight), quantile))
        ratio = self.ratio[min(at, len(self.ratio) - 1)]
        member = membership(self.trunks)
        counts = member.sum(axis=0)
        return np.eye(len(self.trunks)) - (member * (1 - 1 / np.sqrt(1 + ratio * counts)) / counts) @ member.T

    @property
    def _median(self) -> int:
        return min(int(np.searchsorted(np.cumsum(self.weight), 0.5)), len(self.ratio) - 1)


def membership(trunks: NDArray[np.intp]) -> Array:
    """1 where a run is of a trunk, shape (n, trunks)."""
    return (trunks[:, None] == np.unique(trunks)).astype(float)


def shared_noise(values: Array, design: Array, *, trunks: NDArray[np.intp]) -> SharedNoise:
    """Posterior of the variances of trunks and runs.

    Parameters
    ----------
    values : array, shape (n,)
        Log losses, or their residuals: what the design explains has no influence.
    design : array, shape (n, p)
        Columns that explain the losses, without noise: the Jacobian of a law, a polynomial, one constant per cell.
    trunks : array of int, shape (n,)

    Returns
    -------
    SharedNoise
        Where fewer than `MIN_BETWEEN` contrasts between trunks are left by the design: `ASSUMED_SHARE`.

    Notes
    -----
    Contrasts t_i, orthogonal to the design, that diagonalise the covariance of the trunks' effects are independent with
    variances own * (1 + lambda_i * ratio). Their likelihood, the common factor `own` integrated out over its Jeffreys
    prior, is taken with a prior uniform in log(1 + lambda * ratio), lambda being the largest: for a balanced design
    this is 1 / (own * (own + lambda * variance of trunks)), the prior of Tiao and Tan.
    """
    scale = np.linalg.norm(design, axis=0)
    rest = null_space((design / np.where(scale > 0, scale, 1.0)).T, rcond=1e-9)
    visible, axes = np.linalg.eigh(rest.T @ membership(trunks) @ membership(trunks).T @ rest)
    visible, n_free = np.maximum(visible, 0.0), rest.shape[1]
    squares = (axes.T @ (rest.T @ values)) ** 2
    n_between = int(np.sum(visible > VISIBLE))
    known = n_between >= MIN_BETWEEN
    log_ratio = np.linspace(0.0, np.log(LARGEST_RATIO), GRID)
    ratio = np.expm1(log_ratio) / visible.max() if known else np.array([ASSUMED_SHARE / (1 - ASSUMED_SHARE)])
    factor = 1 + ratio[:, None] * visible
    sums = np.maximum((squares / factor).sum(axis=1), 1e-300)
    likelihood = -0.5 * np.log(factor).sum(axis=1) - 0.5 * n_free * np.log(sums)
    weight = np.exp(likelihood - likelihood.max())
    return SharedNoise(trunks, ratio, weight / weight.sum(), sums / max(n_free, 1), max(n_free, 1), n_between)
