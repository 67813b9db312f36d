"""The tables of published protein laws: `python benchmarks/protein_laws.py CURVES`.

CURVES is curves.csv.gz of Cheng et al. 2024 (github.com/cxysteven/ScalingProteinLM, merged), whose constants are
published. What they do not publish is how sure these are: their runs are drawn again, 100 times, and the estimator of
their table A9 is followed on each draw from the published point. The draws are laws/proteins/resamples.tsv.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmscale.laws.proteins.table import CONSTANTS, RESAMPLES
from plmscale.laws.solvers.chinchilla import ChinchillaLaw, ChinchillaProblem, chinchilla_law, polish
from plmscale.published.reproductions_cheng import NEAREST, TABLE_A9, BestPerBudget, best_at, ends, runs_of

N_RESAMPLES = 100


class Objective(NamedTuple):
    """What was trained, and the runs."""

    name: str
    runs: list[pd.DataFrame]


def points(asked: Objective) -> BestPerBudget:
    """The points behind a row of table A9: the ends of runs (MLM), or 200 budgets (CLM)."""
    if asked.name == "MLM":
        return best_at(asked.runs, ends(asked.runs), nearest=np.inf)
    return best_at(asked.runs, np.geomspace(1e18, 1e23, 200), nearest=NEAREST)


def followed(found: BestPerBudget, start: ChinchillaLaw, *, everywhere: bool) -> ChinchillaLaw:
    """The optimum downhill of the published point; with `everywhere` the lowest of all."""
    if everywhere:
        return chinchilla_law(found.n_params, found.n_tokens, found.loss)
    problem = ChinchillaProblem.of(found.n_params, found.n_tokens, found.loss, delta=1e-3)
    theta, objective = polish(problem, problem.theta(start)[None], np.ones((1, problem.x.size)))
    return problem.law(theta[0], float(objective[0]))


def resampled(asked: Objective, *, seed: int = 0) -> pd.DataFrame:
    """One row per draw of the runs: the constants."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(N_RESAMPLES):
        drawn = [asked.runs[i] for i in rng.integers(0, len(asked.runs), len(asked.runs))]
        law = followed(points(asked._replace(runs=drawn)), TABLE_A9[asked.name], everywhere=asked.name == "MLM")
        rows.append(dict(zip(CONSTANTS, law[:5], strict=True)))
    return pd.DataFrame(rows).assign(law=f"cheng2024-{asked.name.lower()}")


def extent(asked: Objective) -> dict[str, float]:
    """The least and the most of N, D = C / (6 N) and C at the ends of the runs."""
    last = [(float(rows["n_params"].iloc[0]), float(rows["flops"].iloc[-1])) for rows in asked.runs]
    n, c = np.array(last).T
    seen = {"n_params": n, "n_tokens": c / (6 * n), "flops": c}
    both = (("low", np.min), ("high", np.max))
    return {f"{key}_{end}": float(of(values)) for key, values in seen.items() for end, of in both}


def main() -> None:
    """Write the resamples; print what the other table must hold of the runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curves", type=Path)
    path = parser.parse_args().curves
    every = [Objective(name, runs_of(path, name)) for name in ("MLM", "CLM")]
    table = pd.concat([resampled(one) for one in every])
    table[["law", *CONSTANTS]].to_csv(RESAMPLES, sep="\t", index=False, float_format="%.6g")
    for one in every:
        print(one.name, len(one.runs), {key: f"{value:.4g}" for key, value in extent(one).items()}, file=sys.stderr)


if __name__ == "__main__":
    main()
