"""Designs against other grids at equal cost: expected intervals of a, and those of fits to simulated final losses.

    nice -n 19 python benchmarks/designs.py --studies 40 --out benchmarks/results/designs.md

Grids: the design; the paper's (config/models.tsv × the token ratios of config/subsets.tsv); doublings of size and
tokens with one seed, three, and as many as the design; random sizes and tokens with the design's seeds, eight drawn
and that with the median expected width taken. All have trunks, and tokens are scaled until the FLOPs (appendix E,
trunks once) are equal; the paper's sizes are scaled to begin where the design's do. Only the design keeps to the
limits of `plmscale design`: `outside` says where another grid does not (runs of fewer than 60 steps with the design's
batch, of fewer than a third of the tokens of the law's runs, of more than one pass over the proteins, more jobs than
the design may have, an expected optimum that is inside over less than half a decade of compute). Losses follow the
law that the design expects, with noise of 0.005 in log loss, 90 % of its variance common to a trunk. `held`: fits
whose 95 % interval is closed and holds the law's a, of all; `open`: fits with an interval that is open or without a
number, which count as 0 or 1 in widths and do not hold.
"""

import argparse
import warnings
from pathlib import Path
from typing import NamedTuple

import machine
import numpy as np

from plmscale.design.expectation import Grid, expected
from plmscale.design.ladder import ladder, ladder_params
from plmscale.design.prior import Prior, read_priors
from plmscale.design.recipe import batch_tokens
from plmscale.design.search import BELOW, LEAST_INTERIOR, LEAST_STEPS, Means, best_designs, interior_decades
from plmscale.design.simulation import limits, simulated_fit
from plmscale.laws.fit import Fit
from plmscale.presentation.formats import short
from plmscale.study.flops import train_flops_per_token

PAPER_SIZES = np.array([5.036, 14.9, 33.4, 48.7, 99.5, 147.9, 297.8, 650.5])
PAPER_TOKENS = np.array([20.0, 23.0, 30.0])
RANDOM = 8


class Case(NamedTuple):
    """A budget."""

    name: str
    flops: float
    max_length: int
    most_tokens: float
    most_jobs: float


CASES = (
    Case("2e13 FLOPs, example proteins", 2e13, 128, 2.327e6, 200),
    Case("2e14 FLOPs, 100M tokens", 2e14, 128, 100e6, 2000),
    Case("6.2e20 FLOPs (500 H100-hours in bf16)", 6.23e20, 1024, 1e12, 1e6),
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
    means = Means(case.flops, 0.0, case.max_length, case.most_tokens, case.most_jobs)
    best = best_designs(prior, means, target_flops=case.flops)[0]
    low, high = (float(ladder_params()[best.places[i]]) for i in (0, -1))
    doubled = low * 2.0 ** np.arange(8)
    found = {"design": [at_cost(list(best.places), np.array(best.tokens) / best.tokens[0], best.seeds, case)]}
    paper = nearest(PAPER_SIZES / PAPER_SIZES[0] * low)
    found["paper's grid"] = [at_cost(paper, PAPER_TOKENS / PAPER_TOKENS[0], 1, case)]
    for seeds in sorted({1, 3, best.seeds}):
        found[f"doubling, 8 × 6, seeds: {seeds}"] = [at_cost(nearest(doubled), 2.0 ** np.arange(6), seeds, case)]
    found["random, span of the design"] = [
        at_cost(nearest(low * (high / low) ** rng.uniform(size=8)), 32 ** rng.uniform(size=5), best.seeds, case)
        for _ in range(RANDOM)
    ]
    return found


def outside(grid: Grid, case: Case, prior: Prior) -> str:
    """Which limits of a design a grid does not keep."""
    (low, high), (short_, long) = ends(grid.n_params), ends(grid.n_tokens)
    batch = batch_tokens(6 * (low * high * short_ * long) ** 0.5)
    said = [f"{short_ / batch:.0f} steps"] if short_ < 0.99 * LEAST_STEPS * batch else []
    said += (
        [f"{short_ / prior.seen.n_tokens[0]:.2f} of the law's tokens"]
        if short_ < prior.seen.n_tokens[0] / BELOW
        else []
    )
    said += [f"{long / case.most_tokens:.1f} passes"] if long > case.most_tokens else []
    jobs = grid.n_params.size + int(grid.trunk.max()) + 1
    said += [f"{jobs} jobs"] if jobs > case.most_jobs else []
    inside = interior_decades(prior, np.unique(grid.n_params), long)
    said += [f"{inside:.1f} decades inside"] if inside < LEAST_INTERIOR else []
    return ", ".join(said) or "–"


def ends(values: np.ndarray) -> tuple[float, float]:
    """Least and most."""
    return float(values.min()), float(values.max())


def closed(one: Fit) -> bool:
    """Whether the interval of a has both ends."""
    a = one.estimates["a"]
    return a.low is not None and a.high is not None


def row(case: Case, prior: Prior, name: str, several: list[Grid], options: argparse.Namespace) -> dict[str, str]:
    """A line of the table."""
    told = [expected(prior, grid, target_flops=case.flops) for grid in several]
    widths = [(one.interval.high or 1.0) - (one.interval.low or 0.0) for one in told]
    middle = int(np.argsort(widths)[len(widths) // 2])
    grid = several[middle]
    fits = [simulated_fit(prior, grid, np.random.default_rng([7, i])) for i in range(options.studies)]
    got = np.array([limits(one) for one in fits])
    quartiles = np.quantile(got[:, 1] - got[:, 0], (0.25, 0.5, 0.75))
    held = sum(closed(one) and low <= prior.a <= high for one, (low, high) in zip(fits, got, strict=True))
    a = told[middle].interval
    return {
        "case": case.name,
        "grid": name,
        "runs": str(grid.n_params.size),
        "sizes": " to ".join(short(end) for end in ends(grid.n_params)),
        "tokens": " to ".join(short(end) for end in ends(grid.n_tokens)),
        "outside": outside(grid, case, prior),
        "expected a, linear": f"{a.value:.2f} ({a.low:.2f} to {a.high:.2f})",
        "expected width, linear": f"{widths[middle]:.2f}",
        "fitted width, median (quartiles)": f"{quartiles[1]:.2f} ({quartiles[0]:.2f} to {quartiles[2]:.2f})",
        "held": f"{held} of {len(fits)}",
        "open": str(sum(not closed(one) for one in fits)),
        "identified": f"{sum(one.status == 'identified' for one in fits)} of {len(fits)}",
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40)
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
