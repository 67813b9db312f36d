"""Fits to simulated runs of a design: the interval and the verdict that a study can expect.

Linear theory (`plmscale.design.expectation`) ranks designs in milliseconds, but the interval that a fit reports is not
linear: a floor of zero bounds the law on one side, and what runs of a trunk have in common is estimated from few
trunks. So the promise is made by the fit itself, `plmscale.laws.chinchilla.fit`, on final losses drawn from the law
that is expected to hold.

The law that holds is not exactly Chinchilla's: losses of trained runs depart from it smoothly (`LACK_OF_FIT`), which
leaves the interval as it is and costs the verdict. So the verdict is told twice: of losses that follow the law, and of
losses that depart from it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from ..estimates import Estimate
from ..laws.chinchilla import fit
from ..laws.confidence.misfit import departures
from ..laws.confidence.shared_noise import ASSUMED_SHARE
from ..laws.confidence.uncertainty import INTERVAL
from ..laws.fit import Fit, FitSettings
from ..laws.solvers.distributions import student_quantile
from ..plan.information import gradients
from ..runs.curves import smooth
from .expectation import IDENTIFIED, NOT, WEAK, Grid
from .prior import Prior

Array = NDArray[np.float64]

STUDIES = 20
"""Simulated studies behind a promise."""

SEED = 20
SETTINGS = FitSettings(n_bootstrap=20)
"""Intervals are profiles of the likelihood: the fewest resamples that a fit takes."""

LACK_OF_FIT = 0.001
"""Root mean square by which log losses depart from the law, apart from noise: between that of the study of Swiss-Prot
(0.0005) and that of the small runs (0.0012, from 59 steps on; `benchmarks/results/lack_of_fit.md`)."""

VERDICTS = {"identified": IDENTIFIED, "weakly_identified": WEAK}
NO_FLOOR = "no_floor"
"""Reason of a verdict that no budget mends, where the law that holds has a floor of zero."""

WORST_FIRST = (NOT, WEAK, IDENTIFIED)


@dataclass(frozen=True)
class Simulated:
    """What the fits of simulated studies say.

    Attributes
    ----------
    interval : Estimate
        The law's a, with an interval that reaches as far below and above it as the studies' intervals do from their
        own values: medians of both, in the logit of a.
    width : float
        Median width of the intervals; an open end counts as 0 or 1.
    size : Estimate
        The law's N_opt at the target, with the interval in which 95 % of studies find it; without ends where a tenth
        of the studies or more find none.
    status : str
        The commonest verdict; of equals the worse.
    n_identified, n_studies : int
    n_departing : int or None
        Of as many studies whose losses depart from the law by `LACK_OF_FIT`, those that are identified; None where
        the verdict is weaker than that without it.
    reason : str
        Code of the commonest reason among the studies of this verdict.
    """

    interval: Estimate
    width: float
    size: Estimate
    status: str
    n_identified: int
    n_studies: int
    n_departing: int | None
    reason: str

    @property
    def a(self) -> float:
        """Exponent of the law that is expected to hold."""
        assert self.interval.value is not None
        return self.interval.value


def simulated_fit(prior: Prior, grid: Grid, rng: np.random.Generator, *, lack_of_fit: float = 0.0) -> Fit:
    """Chinchilla's law fitted to final losses that a grid could have under the law, with its noise.

    Parameters
    ----------
    prior : Prior
    grid : Grid
    rng : numpy.random.Generator
    lack_of_fit : float
        Root mean square of a smooth departure from the law, in log loss.
    """
    smooth_part = lack_of_fit * departure(prior, grid, rng) if lack_of_fit else 0.0
    trunk = rng.normal(size=int(grid.trunk.max()) + 1)[grid.trunk]
    noise = np.sqrt(ASSUMED_SHARE) * trunk + np.sqrt(1 - ASSUMED_SHARE) * rng.normal(size=trunk.size)
    frame = pd.DataFrame({"n_params": grid.n_params.round().astype(int), "n_tokens": grid.n_tokens.round()})
    frame["loss"] = prior.loss(grid.n_params, grid.n_tokens) * np.exp(prior.noise * noise + smooth_part)
    frame["flops"] = 6.0 * frame["n_params"] * frame["n_tokens"]
    frame["run"] = [f"r{i}" for i in range(len(frame))]
    frame["trunk"] = [f"t{i}" for i in grid.trunk]
    frame["model"] = frame["n_params"].map("{:d}".format)
    frame = frame.assign(subset="s", schedule="wsd", seed=0, status="done", unique_tokens=0, step=1)
    return fit(smooth(frame.assign(batch_tokens=0, lr_fraction=0.0)), rng=rng, settings=SETTINGS)


def departure(prior: Prior, grid: Grid, rng: np.random.Generator) -> Array:
    """For each run a polynomial in log N and log D that the law does not follow; their mean square is one."""
    rows = gradients(prior.theta[None], grid.n_params, grid.n_tokens, centre=prior.centre)[0]
    law = np.linalg.qr(rows / np.linalg.norm(rows, axis=0))[0]
    basis = departures(np.log(grid.n_params), np.log(grid.n_tokens), law)
    # Noise projected onto the space: its basis has any sign, and another one on another processor.
    found = basis @ (basis.T @ rng.normal(size=basis.shape[0]))
    return found / np.sqrt(np.mean(found**2))


def simulated(prior: Prior, grid: Grid, *, target_flops: float, n: int = STUDIES) -> Simulated:
    """What `n` simulated studies say; the same numbers every time.

    Parameters
    ----------
    prior : Prior
        The law that holds, and the noise of a run.
    grid : Grid
    target_flops : float
        FLOPs (6ND) at which the optimal size is asked.
    n : int
    """
    fits = _fits(prior, grid, n)
    ends = np.array([limits(one) for one in fits])
    verdicts = [VERDICTS.get(one.status, NOT) for one in fits]
    counted = Counter(verdicts)
    status = max(WORST_FIRST, key=lambda one: counted[one])
    reasons = Counter(one.why.code for one, verdict in zip(fits, verdicts, strict=True) if verdict == status)
    return Simulated(
        interval=_interval(prior.a, fits),
        width=float(np.median(ends[:, 1] - ends[:, 0])),
        size=_size(prior, fits, target_flops),
        status=status,
        n_identified=_n_identified(fits),
        n_studies=n,
        n_departing=_n_identified(_fits(prior, grid, n, lack_of_fit=LACK_OF_FIT)) if status == IDENTIFIED else None,
        reason=reasons.most_common(1)[0][0],
    )


def _fits(prior: Prior, grid: Grid, n: int, *, lack_of_fit: float = 0.0) -> list[Fit]:
    return [simulated_fit(prior, grid, np.random.default_rng([SEED, i]), lack_of_fit=lack_of_fit) for i in range(n)]


def _n_identified(fits: Sequence[Fit]) -> int:
    return sum(one.status == "identified" for one in fits)


def _interval(a: float, fits: Sequence[Fit]) -> Estimate:
    """The median interval, moved to the law's own a: a few studies give its width better than its position."""
    reach = np.array([_reach(one) for one in fits])
    below, above = np.median(reach, axis=0).tolist()
    return Estimate(a, float(expit(logit(a) - below)), float(expit(logit(a) + above)))


def _reach(one: Fit) -> tuple[float, float]:
    """How far the interval of a reaches below and above its value, in the logit; infinite where it is open."""
    a = one.estimates["a"].value
    if a is None or not 0 < a < 1:
        return inf, inf
    low, high = limits(one)
    return float(logit(a) - logit(low)), float(logit(high) - logit(a))


def limits(one: Fit) -> tuple[float, float]:
    """Ends of the interval of a; 0 and 1 where they are open or the fit has no number."""
    a = one.estimates["a"]
    return (0.0 if a.low is None else a.low), (1.0 if a.high is None else a.high)


def _size(prior: Prior, fits: Sequence[Fit], flops: float) -> Estimate:
    """N_opt of the law, and Student's interval of where the fitted laws have it."""
    centre = float(prior.log_optimum(prior.theta[None], flops)[0])
    found = np.array([_log_optimum(one, flops) for one in fits])
    found = found[np.isfinite(found)]
    if found.size <= 0.9 * len(fits):
        return Estimate(float(np.exp(centre)))
    spread = float(np.sqrt(np.mean((found - centre) ** 2)))
    reach = student_quantile((1 + INTERVAL) / 2, found.size) * spread
    return Estimate(*(float(np.exp(centre + sign * reach)) for sign in (0, -1, 1)))


def _log_optimum(one: Fit, flops: float) -> float:
    """Log of the best size (Hoffmann et al. 2022, equation 4); NaN where the fit has none."""
    optimum = one.details.get("optimum")
    if optimum is None or min(optimum["A"], optimum["B"]) <= 0:
        return float("nan")
    alpha, beta = optimum["alpha"], optimum["beta"]
    factor = np.log(alpha * optimum["A"] / (beta * optimum["B"]))
    return float((factor + beta * np.log(flops / 6)) / (alpha + beta))
