"""Coverage of the 95 % intervals of optimal sizes by Chinchilla's law: simulated final losses whose law is known.

    nice -n 19 python benchmarks/size_coverage.py --studies 200

At a floor of zero the estimate lies at a bound, where resamples pile up. `percentile` beside it is the interval of the
resamples, which optimal sizes had before they were profiled there.
"""

import argparse
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmscale.laws.budgets import TokenCost
from plmscale.laws.chinchilla import cheapest_size, fit
from plmscale.laws.confidence.replicates import replicates
from plmscale.laws.confidence.uncertainty import interval
from plmscale.laws.fit import FitSettings
from plmscale.laws.points import points_of_rows
from plmscale.laws.solvers.chinchilla import ChinchillaLaw, ChinchillaProblem, chinchilla_law
from plmscale.runs.curves import Curve, smooth


class Case(NamedTuple):
    """A law, and the grid trained on it."""

    law: ChinchillaLaw
    sizes: np.ndarray
    tokens: np.ndarray


PAPER = np.geomspace(5e6, 6.5e8, 8).round(), np.geomspace(2e9, 1.6e10, 4)
CASES = {
    "E = 0, the paper's grid": Case(ChinchillaLaw(0.0, 3.3652, 7.5686, 0.042287, 0.099433, 0.0), *PAPER),
    "E = 1.7, the paper's grid": Case(ChinchillaLaw(1.7, 12.0, 60.0, 0.2, 0.2, 0.0), *PAPER),
    "E = 2, 8 sizes × 4 lengths": Case(
        ChinchillaLaw(2.0, 20.0, 60.0, 0.30, 0.35, 0.0),
        np.geomspace(3e4, 2e6, 8).round(),
        np.geomspace(1e6, 1e8, 4),
    ),
}


def runs_of(case: Case, *, rng: np.random.Generator, noise: float) -> list[Curve]:
    """Final losses of one study."""
    rows = []
    for n in case.sizes:
        for d in case.tokens:
            loss = float(case.law.loss(n, d)) * np.exp(rng.normal(0, noise))
            rows.append({"run": f"{n:g}/{d:g}", "model": f"{n:g}", "n_params": int(n), "n_tokens": d, "loss": loss})
    frame = pd.DataFrame(rows).assign(subset="s", schedule="all", seed=0, status="done", unique_tokens=0, step=1)
    frame = frame.assign(batch_tokens=0, lr_fraction=np.nan, flops=6.0 * frame["n_params"] * frame["n_tokens"])
    return smooth(frame)


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--bootstrap", type=int, default=60)
    parser.add_argument("--noise", type=float, default=0.003)
    options = parser.parse_args()
    print("| case | C (FLOPs) | studies | held the truth | percentiles of resamples | open ends |")
    print("|---|---|---|---|---|---|", flush=True)
    for name, case in CASES.items():
        for flops, held in measured(case, options).items():
            n = len(held)
            own, before, ends = (sum(one[i] for one in held) for i in range(3))
            print(f"| {name} | {flops:.1e} | {n} | {own / n:.1%} | {before / n:.1%} | {ends / n / 2:.1%} |", flush=True)


def measured(case: Case, options: argparse.Namespace) -> dict[float, list[tuple[bool, bool, int]]]:
    """Per budget and study: whether the interval held the truth, whether percentiles did, and its open ends."""
    low, high = (6 * case.sizes[i] * case.tokens[i] for i in (1, -2))
    settings = FitSettings(n_bootstrap=options.bootstrap, budgets=tuple(np.geomspace(low, high, 3)))
    found = defaultdict(list)
    for study in range(options.studies):
        rng = np.random.default_rng([1, study])
        curves = runs_of(case, rng=rng, noise=options.noise)
        one = fit(curves, rng=rng, settings=settings)
        points = points_of_rows(one.points)
        columns = points.n_params, points.n_tokens, points.loss
        law = chinchilla_law(*columns, delta=1e-3)
        problem = ChinchillaProblem.of(*columns, delta=1e-3).suited(law)
        theta, reached = replicates(problem, points, law, n=options.bootstrap, rng=np.random.default_rng(study))
        laws = [problem.law(*pair) for pair in zip(theta, reached, strict=True)]
        cost = TokenCost(curves)
        for row in one.details["optimal_sizes"]:
            if row["n_params"] is None:
                continue
            truth = cheapest_size(case.law, row["flops"], cost=cost)
            ends = row["n_params_low"], row["n_params_high"]
            before = interval(np.array([cheapest_size(law, row["flops"], cost=cost) for law in laws]))
            found[row["flops"]].append((holds(ends, truth), holds(before, truth), ends.count(None)))
    return found


def holds(ends: tuple[float | None, float | None], truth: float) -> bool:
    """Whether an interval holds the truth; an open end does."""
    low, high = ends
    return (low is None or low <= truth) and (high is None or truth <= high)


if __name__ == "__main__":
    main()
