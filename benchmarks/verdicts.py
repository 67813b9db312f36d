"""What the verdicts of the parametric laws are worth: right and wrong laws on grids from well designed to hopeless.

    nice -n 19 python benchmarks/verdicts.py --studies 200 --seed 0 --rows rows

A study is a grid of final losses by a known law, each log loss off by a normal draw. Both laws are fitted to each: a
right law that is said not to fit is a false alarm. Half as many studies for wrong laws, a quarter for whole fits of
right laws and for plateaus. With `--rows` each block of studies is kept as soon as it is done: the same command goes on
where it was stopped.
"""

import argparse
import platform
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy
from interval_coverage import CASES, CHINCHILLA, KAPLAN, chinchilla, kaplan, make_runs, to_markdown
from interval_coverage import Case as Grid

from plmscale.files import atomic
from plmscale.laws.confidence.misfit import lowered, misfit_tests
from plmscale.laws.confidence.run_noise import RunNoise
from plmscale.laws.confidence.verdicts import Verdict
from plmscale.laws.fit import FitSettings
from plmscale.laws.methods import FITS
from plmscale.laws.points import Points, points_of
from plmscale.laws.solvers.chinchilla import ChinchillaProblem, chinchilla_law, predict
from plmscale.laws.solvers.kaplan import KaplanProblem, best_fit
from plmscale.reasons import Reason
from plmscale.runs.curves import Curve, smooth

SETTINGS = FitSettings(n_bootstrap=20)
"""The intervals looked at are profile likelihood; the bootstrap stands beside them."""
BLOCK = 20
LAWS = ("chinchilla", "kaplan")


def broken(n: float, d: np.ndarray) -> np.ndarray:
    """Chinchilla's law whose token term bends: beta from 0.20 to 0.50 about 1e7 tokens (Caballero et al. 2023)."""
    return 2.0 + 20.0 * n**-0.30 + 6.0 * d**-0.20 * (1 + (d / 1e7) ** 2) ** -0.15


def interacting(n: float, d: np.ndarray) -> np.ndarray:
    """Chinchilla's law and a product of its terms: a large model gains less from more tokens."""
    return chinchilla(n, d) + 0.5 * (20.0 * n**-0.30) * (60.0 * d**-0.35)


TRUTHS: dict[str, Callable[[float, np.ndarray], np.ndarray]] = {
    "chinchilla": chinchilla,
    "kaplan": kaplan,
    "broken": broken,
    "interacting": interacting,
}
EXPONENTS = {"chinchilla": {k: CHINCHILLA[k] for k in ("alpha", "beta", "a")}, "kaplan": KAPLAN}


class Design(NamedTuple):
    """Sizes, lengths in tokens, and noise of log loss."""

    sizes: np.ndarray
    tokens: np.ndarray
    noise: float = 0.003


DESIGNS = {
    "8 sizes × 4 lengths": Design(np.geomspace(3e4, 2e6, 8), np.geomspace(1e6, 1e8, 4)),
    "8 × 8, noise 0.1 %": Design(np.geomspace(3e4, 2e6, 8), np.geomspace(1e6, 1e8, 8), 0.001),
    "5 × 4": Design(np.geomspace(3e4, 2e6, 5), np.geomspace(1e6, 1e8, 4)),
    "3 × 4": Design(np.geomspace(3e4, 2e6, 3), np.geomspace(1e6, 1e8, 4)),
    "sizes within 3 ×": Design(np.geomspace(2e5, 6e5, 8), np.geomspace(1e6, 1e8, 4)),
    "lengths within 2 ×": Design(np.geomspace(3e4, 2e6, 8), np.geomspace(2e7, 4e7, 4)),
    "noise 2 %": Design(np.geomspace(3e4, 2e6, 8), np.geomspace(1e6, 1e8, 4), 0.02),
    "all runs at their floor": Design(np.geomspace(3e4, 2e6, 8), np.geomspace(1e12, 4e12, 4)),
}
"""From well designed to hopeless."""
TESTED = ("8 sizes × 4 lengths", "8 × 8, noise 0.1 %", "5 × 4", "3 × 4", "noise 2 %")
"""Designs on which right and wrong laws are told apart."""
CURVES = {name: CASES[name] for name in ("plateau, 12 curves", "chinchilla, 24 curves", "kaplan, 24 curves")}


def misfits(design: str, truth: str, *, studies: range, seed: int) -> pd.DataFrame:
    """One row per study and law: what its tests of misfit say, without the intervals, which cost most."""
    rows = []
    for study in studies:
        points = points_of(_curves(design, truth, [seed, study]), settings=SETTINGS)
        noise = RunNoise(0.0, 1, "residuals")
        for name in LAWS:
            tests = misfit_tests(points, *SOLVERS[name](points), noise=noise)
            said = lowered(Verdict("identified", Reason.in_words("")), tests).status != "identified"
            found = {"design": design, "truth": truth, "fit": name, "study": study, "misfit": said}
            rows.append(found | {f"p of {one.test}": one.p for one in tests})
    return pd.DataFrame(rows)


def fitted(design: str, truth: str, *, studies: range, seed: int) -> pd.DataFrame:
    """One row per study and exponent: the whole fit of the right law."""
    rows = []
    for study in studies:
        fit = FITS[truth](_curves(design, truth, [seed, study]), rng=np.random.default_rng(study), settings=SETTINGS)
        condition = fit.details.get("tests", {}).get("condition", float("nan"))
        for key, value in EXPONENTS[truth].items():
            one = fit.estimates[key]
            rows.append({"design": design, "fit": truth, "study": study, "status": fit.status, "reason": fit.reason})
            rows[-1] |= {"parameter": key, "value": one.value, "low": one.low, "high": one.high}
            rows[-1] |= {"truth_value": value, "condition": condition}
    return pd.DataFrame(rows).astype({"value": float, "low": float, "high": float})


def plateaus(design: str, truth: str, *, studies: range, seed: int) -> pd.DataFrame:
    """One row per study: verdict of the plateau on curves of a law that has one, and of laws that have none."""
    noise = float(design)
    rows = []
    for study in studies:
        rng = np.random.default_rng([seed, study])
        runs = make_runs(CURVES[truth], rng=rng, noise=noise, run_noise=noise)
        fit = FITS["plateau"](smooth(runs), rng=rng, settings=SETTINGS)
        rows.append({"design": design, "truth": truth, "study": study, "status": fit.status})
        rows[-1] |= {"flat": len(fit.details.get("flat_runs", [])), "runs": runs["run"].nunique()}
    return pd.DataFrame(rows)


def _curves(design: str, truth: str, seed: list[int]) -> list[Curve]:
    sizes, tokens, noise = DESIGNS[design]
    grid = Grid(TRUTHS[truth], sizes, tokens, 1, {})
    return smooth(make_runs(grid, rng=np.random.default_rng(seed), noise=0.0, run_noise=noise))


def _chinchilla(points: Points) -> tuple[np.ndarray, np.ndarray]:
    law = chinchilla_law(points.n_params, points.n_tokens, points.loss, delta=SETTINGS.huber_delta)
    problem = ChinchillaProblem.of(points.n_params, points.n_tokens, points.loss, delta=SETTINGS.huber_delta)
    residual, jacobian = predict(problem, problem.theta(law)[None])
    return residual[0], jacobian[0]


def _kaplan(points: Points) -> tuple[np.ndarray, np.ndarray]:
    problem = KaplanProblem.of(points.n_params, points.n_tokens, points.loss, delta=SETTINGS.huber_delta)
    residual, jacobian = problem.model(best_fit(problem)[0][None])
    return residual[0], jacobian[0]


SOLVERS = {"chinchilla": _chinchilla, "kaplan": _kaplan}
Part = Callable[..., pd.DataFrame]


def parts(studies: int) -> Iterator[tuple[str, Part, str, str, int]]:
    """Table, what makes its rows, design, true law, and number of studies."""
    for truth in TRUTHS:
        for design in TESTED:
            n = studies if truth in LAWS else studies // 2
            yield "misfit", misfits, design, truth, n
    for design in DESIGNS:
        for truth in LAWS:
            yield "worth", fitted, design, truth, studies // 4
    for truth in CURVES:
        for noise in ("0.003", "0.01"):
            yield "plateau", plateaus, noise, truth, studies // 4


def rows_of(options: argparse.Namespace) -> dict[str, pd.DataFrame]:
    """Rows of each table in blocks, read where they are kept already."""
    found: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for first in range(0, options.studies, BLOCK):
        for table, make, design, truth, n in parts(options.studies):
            part = range(first, min(first + BLOCK, n))
            if not part:
                continue
            name = "-".join(re.findall(r"[a-z0-9]+", f"{table} {design} {truth} {options.seed} {first} {len(part)}"))
            path = options.rows and options.rows / f"{name}.parquet"
            if path is None or not path.exists():
                rows = make(design, truth, studies=part, seed=options.seed)
                found[table].append(rows)
                if path is not None:
                    with atomic(path) as partial:
                        rows.to_parquet(partial)
            else:
                found[table].append(pd.read_parquet(path))
    return {table: pd.concat(frames, ignore_index=True) for table, frames in found.items()}


def power(rows: pd.DataFrame) -> pd.DataFrame:
    """How often a law is said not to fit, by design and true law: false alarms on the diagonal, else power."""
    found = defaultdict(list)
    for (truth, fit, design), part in rows.groupby(["truth", "fit", "design"], sort=False):
        found["true law"].append(truth)
        found["fitted"].append(fit)
        found["runs"].append(design)
        found["n"].append(len(part))
        share = part["misfit"].mean()
        found["said not to fit"].append(f"{share:.1%} ± {np.sqrt(share * (1 - share) / len(part)):.1%}")
        found["which is"].append("false alarm" if truth == fit else "power")
    return pd.DataFrame(found)


def classes(rows: pd.DataFrame, *, by: list[str]) -> pd.DataFrame:
    """How often each verdict."""
    found = defaultdict(list)
    for keys, part in rows.drop_duplicates([*by, "study"]).groupby(by, sort=False):
        for name, key in zip(by, keys, strict=True):
            found[name].append(key)
        found["n"].append(len(part))
        for status in ("identified", "weakly_identified", "not_identified"):
            found[status.replace("_", " ")].append(f"{(part['status'] == status).mean():.0%}")
        if "flat" in part:
            found["flat runs"].append(f"{part['flat'].sum() / part['runs'].sum():.0%}")
    return pd.DataFrame(found)


def worth(rows: pd.DataFrame) -> pd.DataFrame:
    """Right laws: relative error and coverage of each exponent, by design and verdict."""
    found = defaultdict(list)
    right = rows[rows["value"].notna()]
    right = right[right["parameter"].isin(("a", "alpha_N", "alpha_D"))]
    for (fit, key, status, design), part in right.groupby(["fit", "parameter", "status", "design"], sort=False):
        error = (part["value"] / part["truth_value"] - 1).abs()
        low, high = part["low"].fillna(-np.inf), part["high"].fillna(np.inf)
        held = (low <= part["truth_value"]) & (part["truth_value"] <= high)
        found["fit"].append(fit)
        found["parameter"].append(key)
        found["verdict"].append(status.replace("_", " "))
        found["runs"].append(design)
        found["n"].append(len(part))
        found["coverage"].append(f"{held.mean():.1%}")
        found["median error"].append(f"{error.median():.1%}")
        found["90 % of errors below"].append(f"{error.quantile(0.9):.1%}")
        found["median width / truth"].append(f"{((high - low) / part['truth_value']).median():.3g}")
        found["median condition"].append(f"{part['condition'].median():.0f}")
    return pd.DataFrame(found).sort_values(["fit", "parameter", "verdict"], kind="stable")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, help="folder for the rows; what is there is kept")
    options = parser.parse_args()
    tables = rows_of(options)
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, seed {options.seed}."
    )
    print("\n## Laws that do not fit\n\n" + to_markdown(power(tables["misfit"])))
    print("\n## Verdicts of right laws\n\n" + to_markdown(classes(tables["worth"], by=["fit", "design"])))
    print("\n## What the numbers of right laws are worth\n\n" + to_markdown(worth(tables["worth"])))
    print("\n## Plateaus\n\n" + to_markdown(classes(tables["plateau"], by=["truth", "design"])))


if __name__ == "__main__":
    main()
