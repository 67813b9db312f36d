"""Designs against other grids at equal cost: expected intervals of a, and those of fits to simulated final losses.

    nice -n 19 python benchmarks/designs.py --studies 20 --out benchmarks/results/designs.md

Grids: the design; the paper's (config/models.tsv × the token ratios of config/subsets.tsv); doublings of size and
tokens; random sizes and tokens. All have trunks, and tokens are scaled until the FLOPs (appendix E, trunks once) are
equal; the paper's sizes are scaled to begin where the design's do. Losses follow the law that the design expects, with
noise of 0.005 in log loss, 90 % of its variance common to a trunk. `held`: how often the fit's 95 % interval held the
law's a; an open end holds.
"""

import argparse
import warnings
from pathlib import Path
from typing import NamedTuple

import machine
import numpy as np
import pandas as pd

from plmscale.design.expectation import Grid, expected
from plmscale.design.ladder import ladder, ladder_params
from plmscale.design.prior import Prior, read_priors
from plmscale.design.search import Means, best_designs
from plmscale.laws.chinchilla import fit
from plmscale.laws.fit import FitSettings
from plmscale.presentation.formats import short
from plmscale.runs.curves import smooth
from plmscale.study.flops import train_flops_per_token

SHARE = 0.9
PAPER_SIZES = np.array([5.036, 14.9, 33.4, 48.7, 99.5, 147.9, 297.8, 650.5])
PAPER_TOKENS = np.array([20.0, 23.0, 30.0])
RANDOM = 8


class Case(NamedTuple):
    """A budget."""

    name: str
    flops: float
    max_length: int
    most_tokens: float


CASES = (
    Case("2e13 FLOPs, small law", 2e13, 64, 29e6),
    Case("6.2e20 FLOPs (500 H100-hours in bf16)", 6.23e20, 1024, 1e12),
)


def nearest(sizes: np.ndarray) -> list[int]:
    """Places in the ladder, each once."""
    logs = np.log(np.array(ladder_params(), dtype=float))
    return sorted({int(np.abs(logs - np.log(size)).argmin()) for size in sizes})


def at_cost(places: list[int], ratios: np.ndarray, seeds: int, case: Case) -> Grid:
    """The grid whose trunks and branches cost the budget."""
    per_token = sum(train_flops_per_token(ladder()[i], case.max_length) for i in places)
    passes = 0.8 * ratios.max() + 0.2 * ratios.sum()
    shortest = case.flops / (seeds * per_token * passes)
    return Grid.of(np.array([float(ladder_params()[i]) for i in places]), shortest * ratios, seeds=seeds)


def grids(case: Case, prior: Prior, rng: np.random.Generator) -> dict[str, list[Grid]]:
    """Grids by name; random ones are several."""
    best = best_designs(prior, Means(case.flops, 0.0, case.max_length, case.most_tokens), target_flops=case.flops)[0]
    low, high = (float(ladder_params()[best.places[i]]) for i in (0, -1))
    doubled = low * 2.0 ** np.arange(8)
    found = {"design": [at_cost(list(best.places), np.array(best.tokens) / best.tokens[0], best.seeds, case)]}
    paper = nearest(PAPER_SIZES / PAPER_SIZES[0] * low)
    found["paper's grid"] = [at_cost(paper, PAPER_TOKENS / PAPER_TOKENS[0], 1, case)]
    found["doubling, 8 × 6, 1 seed"] = [at_cost(nearest(doubled), 2.0 ** np.arange(6), 1, case)]
    found["doubling, 8 × 6, 3 seeds"] = [at_cost(nearest(doubled), 2.0 ** np.arange(6), 3, case)]
    found["random, span of the design"] = [
        at_cost(nearest(low * (high / low) ** rng.uniform(size=8)), 32 ** rng.uniform(size=5), best.seeds, case)
        for _ in range(RANDOM)
    ]
    return found


def simulated(prior: Prior, grid: Grid, rng: np.random.Generator) -> tuple[float | None, float | None, str]:
    """Ends of the interval of a, and the verdict, of a fit to final losses of the grid."""
    trunk = rng.normal(size=int(grid.trunk.max()) + 1)[grid.trunk]
    noise = prior.noise * (np.sqrt(SHARE) * trunk + np.sqrt(1 - SHARE) * rng.normal(size=trunk.size))
    frame = pd.DataFrame({"n_params": grid.n_params.round().astype(int), "n_tokens": grid.n_tokens.round()})
    frame["loss"] = prior.loss(grid.n_params, grid.n_tokens) * np.exp(noise)
    frame["flops"] = 6.0 * frame["n_params"] * frame["n_tokens"]
    frame["run"] = [f"r{i}" for i in range(len(frame))]
    frame["trunk"] = [f"t{i}" for i in grid.trunk]
    frame["model"] = frame["n_params"].map("{:d}".format)
    frame = frame.assign(subset="s", schedule="wsd", seed=0, status="done", unique_tokens=0, step=1)
    found = fit(smooth(frame.assign(batch_tokens=0, lr_fraction=0.0)), rng=rng, settings=FitSettings(n_bootstrap=20))
    a = found.estimates["a"]
    return a.low, a.high, found.status


def ends(values: np.ndarray) -> tuple[float, float]:
    """Least and most."""
    return float(values.min()), float(values.max())


def row(case: Case, prior: Prior, name: str, several: list[Grid], options: argparse.Namespace) -> dict[str, str]:
    """A line of the table."""
    told = [expected(prior, grid, target_flops=case.flops) for grid in several]
    widths = [(one.interval.high or 1.0) - (one.interval.low or 0.0) for one in told]
    middle = int(np.argsort(widths)[len(widths) // 2])
    fits = [simulated(prior, several[middle], np.random.default_rng([7, i])) for i in range(options.studies)]
    got = [(low or 0.0, 1.0 if high is None else high) for low, high, _ in fits]
    a = told[middle].interval
    held = sum(low <= prior.a <= high for low, high in got)
    return {
        "case": case.name,
        "grid": name,
        "runs": str(several[middle].n_params.size),
        "sizes": " to ".join(short(end) for end in ends(several[middle].n_params)),
        "tokens": " to ".join(short(end) for end in ends(several[middle].n_tokens)),
        "expected a": f"{a.value:.2f} ({a.low:.2f} to {a.high:.2f})",
        "expected width": f"{widths[middle]:.2f}",
        "fitted width, median": f"{np.median([high - low for low, high in got]):.2f}",
        "held": f"{held} of {len(got)}",
        "identified": f"{sum(status == 'identified' for *_, status in fits)} of {len(got)}",
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--out", type=Path, help="markdown file; else printed")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for case in CASES:
        prior = read_priors(None, flops=case.flops)[0]
        for name, several in grids(case, prior, np.random.default_rng(3)).items():
            rows.append(row(case, prior, name, several, options))
            print(list(rows[-1].values()), flush=True)
    facts = "\n".join(f"- {key}: {value}" for key, value in machine.facts("numpy").items())
    head = f"# Designs and other grids at equal cost\n\n{options.studies} simulated studies a grid.\n\n{facts}"
    text = f"{head}\n\n{machine.markdown(rows)}\n"
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
