"""Sets of equal count as levels of data quality: what the tokens of one are worth in those of another.

Two sets of equally many tokens, one size: the model of the better set has the lower loss on the same holdout. By the
token term of the study's parametric law that difference is as good as so many times the tokens. The law is taken to be
that of the second set of a pair: where one is a random sample and the other is not, the sample is the second.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..estimates import Estimate
from ..laws.analysis import fit_settings
from ..laws.confidence.replicates import replicates
from ..laws.fit import NO_FIT, FitSettings
from ..laws.points import points_of
from ..laws.solvers.chinchilla import ChinchillaProblem, chinchilla_law
from ..reasons import Reason
from ..results.study_results import Results
from ..runs.curves import Curve, usable
from .arms import Arm, Comparison
from .matched import MIN_MODELS, matched
from .studies import ComparedStudy, StudySetup

Array = NDArray[np.float64]

NAMES = ("schedule", "first", "second", "n_pairs", "n_models", "difference", "worth", "worth_low", "worth_high")
NAMES += ("why",)
N_DRAWS = 400


def set_worth(results: Results) -> pd.DataFrame:
    """One row per schedule and pair of sets of equal count whose runs match: mean difference on the holdout, and worth.

    The resamples of runs and of sizes behind the intervals are drawn with the study's `data_seed`.
    """
    settings, seed = fit_settings(results.study.config.analysis), results.study.config.data_seed
    rows: list[dict[str, Any]] = []
    member = ComparedStudy("study", results.curves, results.fits, results.records)
    for schedule in results.schedules:
        pairs = _pairs(member, schedule, samples={one.name for one in results.study.subsets if one.kind == "sample"})
        found = matched(Comparison("set", [], pairs))
        of_holdout = found.loc[found["kind"] == "holdout", :]
        draws = None
        for first, second in pairs:
            own = of_holdout.loc[(of_holdout["first"] == first.label) & (of_holdout["second"] == second.label), :]
            if own.empty:
                continue
            if draws is None:
                draws = _token_terms(results, schedule, settings=settings, seed=seed)
            row = {"schedule": schedule, "first": first.label, "second": second.label, "n_pairs": len(own)}
            rows.append(row | _worth(own, draws, seed=seed))
    return pd.DataFrame(rows, columns=pd.Index(NAMES), dtype=object)


def _pairs(member: ComparedStudy, schedule: str, *, samples: set[str]) -> list[tuple[Arm, Arm]]:
    arms = []
    for subset in member.sets:
        curves = [curve for curve in member.curves if (curve.schedule, curve.subset) == (schedule, subset)]
        runs = member.runs.loc[(member.runs["schedule"] == schedule) & (member.runs["subset"] == subset), :]
        if curves:
            arms.append(Arm(subset, member.name, schedule, subset, StudySetup(), curves, {}, runs))
    return [(b, a) if a.subset in samples and b.subset not in samples else (a, b) for a, b in combinations(arms, 2)]


def _token_terms(results: Results, schedule: str, *, settings: FitSettings, seed: int) -> tuple[Array, Array] | Reason:
    """B and beta of the law, the first the estimate and then of resamples of the runs; else why there is none."""
    fit = results.fits.get("chinchilla", {}).get(schedule, NO_FIT)
    if fit.status not in ("identified", "weakly_identified"):
        return Reason.of("no_token_worth", status=fit.status)
    points = points_of(_kept(results.curves, schedule), settings=settings)
    problem = ChinchillaProblem.of(points.n_params, points.n_tokens, points.loss, delta=settings.huber_delta)
    law = chinchilla_law(points.n_params, points.n_tokens, points.loss, delta=settings.huber_delta)
    rng = np.random.default_rng(seed)
    laws = [law, *(problem.law(theta, 0.0) for theta in replicates(problem, points, law, n=N_DRAWS, rng=rng)[0])]
    return np.array([one.B for one in laws]), np.array([one.beta for one in laws])


def _kept(curves: Sequence[Curve], schedule: str) -> list[Curve]:
    return usable([curve for curve in curves if curve.schedule == schedule])[0]


def _worth(own: pd.DataFrame, terms: tuple[Array, Array] | Reason, *, seed: int) -> dict[str, Any]:
    """Mean difference of a pair of sets over sizes, and what it is as a factor of tokens."""
    sizes = own["n_params"].to_numpy(dtype=float)
    columns = [own[name].to_numpy(dtype=float) for name in ("difference", "tokens_first", "tokens_second")]
    means = np.array([[column[sizes == size].mean() for column in columns] for size in np.unique(sizes)])
    differences, first, second = means.T
    row: dict[str, Any] = {"n_models": len(means), "difference": float(differences.mean()), "why": None}
    if isinstance(terms, Reason):
        return row | {"why": terms}
    picks = np.random.default_rng(seed).integers(0, len(means), (len(terms[0]), len(means)))
    picks[0] = np.arange(len(means))
    logs = np.array([_log_worth(differences[at], first[at], second[at], b, beta) for at, b, beta in _zip(picks, terms)])
    if not np.isfinite(logs[0]):
        return row | {"why": Reason.of("beyond_tokens")}
    found = Estimate(float(np.exp(logs[0])))
    if len(means) >= MIN_MODELS:
        # A resample without an answer wanted more than any number of tokens: it counts as the largest.
        ends = np.exp(np.quantile(np.nan_to_num(logs[1:], nan=np.inf), [0.025, 0.975]))
        found = Estimate(found.value, float(ends[0]), float(ends[1]) if np.isfinite(ends[1]) else None)
    else:
        row["why"] = Reason.of("few_sizes_for_interval", n_sizes=len(means), needed=MIN_MODELS)
    return row | {"worth": found.value, "worth_low": found.low, "worth_high": found.high}


def _zip(picks: NDArray[np.int64], terms: tuple[Array, Array]) -> list[tuple[NDArray[np.int64], float, float]]:
    return [(at, float(b), float(beta)) for at, b, beta in zip(picks, *terms, strict=True)]


def _log_worth(difference: Array, first: Array, second: Array, b: float, beta: float) -> float:
    """Mean over sizes of log q, where the second set's law at q times the first's tokens gives the first's loss.

    B (q D1)^-beta = B D2^-beta + L1 - L2; NaN where no number of tokens gives so low a loss at the mean difference.
    """
    terms = b * second**-beta
    left = terms + difference
    if b <= 0 or beta <= 0:
        return float("nan")
    if (left <= 0).any():
        # At the mean over sizes the difference may still be one that tokens can make.
        terms, left, first = terms.mean(), float(np.mean(left)), first.mean()
        if left <= 0:
            return float("nan")
    return float(np.mean(-np.log(left / b) / beta - np.log(first)))
