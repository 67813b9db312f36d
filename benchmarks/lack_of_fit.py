"""By how much losses of trained runs depart from Chinchilla's law, apart from noise.

    python benchmarks/lack_of_fit.py --data FOLDER_OF_TABLES --out benchmarks/results/lack_of_fit.md

Final log losses are the law, a polynomial of degree 3 in log N and log D that the law cannot follow, what runs of one
trunk have in common, and what is of each run alone. The last three are variances, estimated by restricted maximum
likelihood (Patterson & Thompson 1971) after the derivatives of the fitted law are taken out. Intervals (95 %) are
those of the profile likelihood. Studies of one seed without trunks tell what runs have in common from nothing: it is
left out there, and where all sizes have one trunk it may be counted as departure. `plmscale design` takes
`LACK_OF_FIT` from this table.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import machine
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plmscale.design.prior import SMALL_RUNS
from plmscale.laws.confidence.misfit import departures
from plmscale.laws.confidence.shared_noise import membership
from plmscale.laws.solvers.chinchilla import ChinchillaProblem, chinchilla_law, predict

Array = NDArray[np.float64]

ROOT = Path(__file__).parents[1]
RATIOS = np.concatenate([[0.0], np.geomspace(0.02, 50, 60)])
"""Variances of trunks and of departures, over that of a run."""

FORECAST = 0.9
OUTLIERS = 5
"""Highest losses, which Besiroglu et al. leave out."""

DROP = 1.92
"""Of the log likelihood at the ends of a 95 % interval: half the quantile of chi square with one degree of freedom."""


class Runs(NamedTuple):
    """Final losses; `trunk` is empty where runs share nothing."""

    name: str
    n_params: Array
    n_tokens: Array
    loss: Array
    trunk: tuple[str, ...] = ()


def studies(data: Path | None) -> Iterator[Runs]:
    """This repository's runs, and published ones that are at hand."""
    text = (ROOT / "studies/swissprot/results/fits/chinchilla.json").read_text(encoding="utf-8")
    yield of(pd.DataFrame(json.loads(text)["schedules"]["wsd"]["points"]), "Swiss-Prot (`studies/swissprot`)")
    small = pd.read_csv(ROOT / "resources/runs/identified_study.csv.gz")
    yield of(small, "small study, all runs")
    yield of(small[small["n_params"] < FORECAST * small["n_params"].max()], "small study, without the forecast")
    n, d, loss = np.loadtxt(SMALL_RUNS, comments="#", skiprows=3, unpack=True)
    yield Runs("small runs behind `plmscale design`, one seed", n, d, loss)
    path = None if data is None else data / "epoch_chinchilla/svg_extracted_data.csv"
    if path is not None and path.is_file():
        table = pd.read_csv(path).sort_values("loss")[:-OUTLIERS]
        n, flops, loss = (table[name].to_numpy(dtype=float) for name in ("Model Size", "Training FLOP", "loss"))
        yield Runs("Hoffmann et al. 2022, as read by Besiroglu et al. 2024", n, flops / 6 / n, loss)


def of(points: pd.DataFrame, name: str) -> Runs:
    """Runs of a frame with trunks."""
    n, d, loss = (points[key].to_numpy(dtype=float) for key in ("n_params", "n_tokens", "loss"))
    return Runs(name, n, d, loss, tuple(points["trunk"]))


class Parts(NamedTuple):
    """What is left of log losses beside the law.

    Attributes
    ----------
    n_free : int
        Runs less the parameters of the law.
    rest : array, shape (n_free,)
        Contrasts of the log losses that the law does not explain.
    trunks, departure : arrays, shape (n_free, n_free)
        Covariance of each part, for a variance of one per run.
    """

    n_free: int
    rest: Array
    trunks: Array
    departure: Array


def parts_of(runs: Runs) -> Parts:
    """The contrasts of a study."""
    x, y = np.log(runs.n_params), np.log(runs.n_tokens)
    centre = np.array([x.mean(), y.mean()])
    problem = ChinchillaProblem(x - centre[0], y - centre[1], np.log(runs.loss), centre, 1e-3)
    law = chinchilla_law(runs.n_params, runs.n_tokens, runs.loss)
    residual, jacobian = (one[0] for one in predict(problem, problem.theta(law)[None]))
    both = np.linalg.qr(jacobian.T / np.linalg.norm(jacobian, axis=1), mode="complete")[0]
    explained, contrasts = both[:, : len(jacobian)], both[:, len(jacobian) :]
    shape = contrasts.T @ departures(x, y, explained)
    names = np.unique(runs.trunk or [str(i) for i in range(len(x))], return_inverse=True)[1]
    member = contrasts.T @ membership(names) if runs.trunk else np.zeros((contrasts.shape[1], 1))
    spread = len(x) / shape.shape[1]
    return Parts(contrasts.shape[1], contrasts.T @ residual, member @ member.T, spread * shape @ shape.T)


def log_likelihoods(parts: Parts) -> tuple[Array, Array]:
    """Of ratios of the variances of trunks and departures (rows, columns), and the variance of a run at each."""
    trunk_ratios = RATIOS if parts.trunks.any() else RATIOS[:1]
    found = np.empty((2, trunk_ratios.size, RATIOS.size))
    for i, of_trunks in enumerate(trunk_ratios):
        for j, of_law in enumerate(RATIOS):
            covariance = np.eye(parts.n_free) + of_trunks * parts.trunks + of_law * parts.departure
            factor = np.linalg.cholesky(covariance)
            own = float(np.sum(np.linalg.solve(factor, parts.rest) ** 2)) / parts.n_free
            found[:, i, j] = -0.5 * parts.n_free * np.log(own) - np.log(np.diag(factor)).sum(), own
    return found[0], found[1]


def row(runs: Runs) -> dict[str, str]:
    """A line of the table, in thousandths of the loss."""
    parts = parts_of(runs)
    likelihood, own = log_likelihoods(parts)
    i, j = np.unravel_index(int(likelihood.argmax()), likelihood.shape)
    profile, at = likelihood.max(axis=0), likelihood.argmax(axis=0)
    sizes = 1e3 * np.sqrt(RATIOS * own[at, np.arange(RATIOS.size)])
    held = sizes[profile >= profile.max() - DROP]
    unit = 1e3 * float(np.sqrt(own[i, j]))
    common = f"{unit * float(np.sqrt(RATIOS[i])):.2f}" if runs.trunk else "not told"
    return {
        "runs of": runs.name,
        "runs": str(runs.loss.size),
        "trunks": str(len(set(runs.trunk)) or "–"),
        "of one run": f"{unit:.2f}",
        "of a trunk": common,
        "departure": f"{sizes[j]:.2f} ({held.min():.2f} to {held.max():.2f})",
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with published tables")
    parser.add_argument("--out", type=Path, help="markdown file; else printed")
    options = parser.parse_args()
    rows = [row(runs) for runs in studies(options.data)]
    facts = "\n".join(f"- {key}: {value}" for key, value in machine.facts("numpy", "scipy").items())
    head = "# Departures of trained runs from Chinchilla's law\n\nStandard deviations, thousandths of the loss."
    text = f"{head}\n\n{machine.markdown(rows)}\n\n{facts}\n"
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
