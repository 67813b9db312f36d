"""How often the intervals of predicted losses hold the truth: `python benchmarks/predicted_loss.py --studies 150`.

Simulated studies of a known Chinchilla law, each fitted and asked for its loss at sizes and lengths inside and beyond
its runs, as `plmscale.Laws.predict` is.
"""

import argparse
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from plmscale.laws.fit import Fit, FitSettings
from plmscale.laws.loss_law import LossLaw
from plmscale.laws.solvers.chinchilla import ChinchillaLaw, chinchilla_law
from plmscale.runs.curves import smooth
from plmscale.runs.tidy import tidy

TRUTH = ChinchillaLaw(E=2.0, A=20.0, B=60.0, alpha=0.30, beta=0.35, objective=0.0)
NOISE = 0.003
"""Standard deviation of the log loss of a run."""
LENGTHS = np.geomspace(1e6, 1e8, 4).round()
ASKED = {"middle": (None, None), "largest run": (1, 1), "9 times its compute": (3, 3), "30 times its compute": (3, 10)}


class Hit(NamedTuple):
    """Whether an interval held the truth, and its width in nats."""

    held: bool
    width: float


def study(sizes: np.ndarray, *, seed: int) -> dict[str, Hit]:
    """One simulated study, by what was asked of it."""
    rng = np.random.default_rng(seed)
    n, d = np.array(list(product(sizes, LENGTHS))).T
    loss = TRUTH.loss(n, d) * np.exp(NOISE * rng.standard_normal(n.size))
    curves = smooth(tidy(pd.DataFrame({"N": n, "D": d, "loss": loss}), source="simulated").frame)
    points = [
        {"run": c.run, "n_params": c.n_params, "n_tokens": c.n_tokens[-1], "flops": c.flops[-1], "loss": c.loss[-1]}
        for c in curves
    ]
    best = chinchilla_law(*(np.array([one[key] for one in points]) for key in ("n_params", "n_tokens", "loss")))
    fit = Fit("chinchilla", "identified", "", {}, points, (), {"optimum": best._asdict()})
    law = LossLaw(fit, "all runs", curves=curves, settings=FitSettings())
    found = {}
    for name, (more_n, more_d) in ASKED.items():
        at = (
            (np.sqrt(n.min() * n.max()), np.sqrt(d.min() * d.max()))
            if more_n is None
            else (more_n * n.max(), more_d * d.max())
        )
        answer = law.at(*map(float, at))
        low, high = answer.low or np.nan, answer.high or np.nan
        found[name] = Hit(bool(low <= float(TRUTH.loss(*at)) <= high), high - low)
    return found


def coverage(n_sizes: int, *, studies: int) -> dict[str, tuple[float, float]]:
    """Share of studies whose interval held the truth, and the median width (nats), by what was asked."""
    sizes = np.geomspace(3e4, 2e6, n_sizes).round()
    found = [study(sizes, seed=seed) for seed in range(studies)]
    return {
        name: (float(np.mean([one[name].held for one in found])), float(np.median([one[name].width for one in found])))
        for name in ASKED
    }


def main() -> None:
    """Print the table."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--studies", type=int, default=150)
    args = command.parse_args()
    print("| runs | asked at | held the truth | median width (nats) |\n|---|---|---:|---:|")
    for n_sizes in (8, 5):
        for name, (share, width) in coverage(n_sizes, studies=args.studies).items():
            print(f"| {n_sizes * len(LENGTHS)} | {name} | {share:.1%} | {width:.4f} |", flush=True)


if __name__ == "__main__":
    main()
