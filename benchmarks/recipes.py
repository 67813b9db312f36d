"""What a learning rate without a horizon term does to the exponent a: simulated studies whose law is known.

    nice -n 19 python benchmarks/recipes.py --studies 20

Loss is 2 + 20 N^-0.30 + 60 D^-0.35 at the best rate, a = 0.538, and rises by curvature · ln² of the rate over the best
one, which is proportional to N^-0.2 D^-0.32 (the exponent of D: Bjorck et al. 2024, arXiv 2409.19913; that of N is an
assumption). Each row trains the same 8 sizes × 4 lengths with another recipe, and fits the same law.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from plmscale.estimates import Estimate
from plmscale.laws.fit import FitSettings
from plmscale.laws.methods import fit_all
from plmscale.study.recipes.rule import Rule, RunSize, parse_rule

SIZES = np.geomspace(3e4, 2e6, 8).round()
TOKENS = np.geomspace(1e6, 1e8, 4).round()
ALPHA, BETA = 0.30, 0.35
TRUE_A = BETA / (ALPHA + BETA)
BEST = parse_rule("3e-3 * (N / 2.5e5)^-0.2 * (D / 1e7)^-0.32")
CURVATURES = (0.005, 0.01, 0.02)


def with_size_alone(tuned_at: float) -> Rule:
    """The best rates at one length, for all lengths."""
    at = BEST.at(RunSize(2.5e5, 2.5e5, tuned_at, 1.0))
    return parse_rule(f"{at!r} * (N / 2.5e5)^-0.2")


RECIPES: dict[str, Rule] = {
    "rule of N and D": BEST,
    "rule of N, tuned at the shortest": with_size_alone(TOKENS[0]),
    "rule of N, tuned at the middle": with_size_alone(1e7),
    "rule of N, tuned at the longest": with_size_alone(TOKENS[-1]),
    "one rate, tuned at the middle": parse_rule("3e-3"),
}


def study(rule: Rule, *, curvature: float, noise: float, rng: np.random.Generator) -> pd.DataFrame:
    """Final losses of one study, a run a row."""
    rows = []
    for n in SIZES:
        for d in TOKENS:
            run = RunSize(n, n, d, 6.0 * n * d)
            off = np.log(rule.at(run) / BEST.at(run))
            loss = 2 + 20 * n**-ALPHA + 60 * d**-BETA + curvature * off**2 + rng.normal(0, noise)
            rows.append({"run": f"{n:g}/{d:g}", "model": f"{n:g}", "n_params": int(n), "n_tokens": d, "loss": loss})
    frame = pd.DataFrame(rows).assign(subset="s", schedule="all", seed=0, status="done", unique_tokens=0, step=1)
    return frame.assign(batch_tokens=0, lr_fraction=np.nan, flops=6.0 * frame["n_params"] * frame["n_tokens"])


def exponents(make: Callable[[np.random.Generator], pd.DataFrame], *, studies: int) -> list[dict]:
    """The estimates of a: value, ends of the interval, verdict."""
    found = []
    for seed in range(studies):
        runs = make(np.random.default_rng([7, seed]))
        fit = fit_all(runs, name="chinchilla", settings=FitSettings(n_bootstrap=40))["all"]
        found.append(vars(fit.estimates.get("a", Estimate(None))) | {"status": fit.status})
    return found


def row(name: str, curvature: float, found: list[dict]) -> str:
    """A line of the table."""
    known = [
        one for one in found if one["value"] is not None and one.get("low") is not None and one["high"] is not None
    ]
    values = [one["value"] for one in found if one["value"] is not None]
    held = sum(one["low"] <= TRUE_A <= one["high"] for one in known)
    said = sum(one["status"] == "identified" for one in found)
    median = f"{np.median(values):.3f} ({np.median(values) - TRUE_A:+.3f})" if values else "–"
    return f"| {name} | {curvature:g} | {median} | {held} of {len(known)} | {said} of {len(found)} |"


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--noise", type=float, default=0.003, help="nats")
    options = parser.parse_args()
    print("| recipe | curvature (nats) | median a (off by) | intervals with the truth | called identified |")
    print("|---|---|---|---|---|", flush=True)
    for curvature in CURVATURES:
        for name, rule in RECIPES.items():

            def make(rng: np.random.Generator, rule: Rule = rule, curvature: float = curvature) -> pd.DataFrame:
                return study(rule, curvature=curvature, noise=options.noise, rng=rng)

            print(row(name, curvature, exponents(make, studies=options.studies)), flush=True)
    print(f"\n{time.process_time():.0f} s of processor time")


if __name__ == "__main__":
    main()
