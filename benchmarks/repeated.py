"""Intervals of the law of repeated data and of best learning rates against the truth; penalties of published runs.

    nice -n 19 python benchmarks/repeated.py --studies 200 --seed 0 [--data c4_runs.csv ...] --out results/repeated.md

A study is a grid of final losses by a known law, each log loss off by a normal draw. Intervals of r_d and r_n are
those of `plmscale.laws.repeated`: profile likelihood, all parameters free. `--data` takes tables of run, N, D_total,
D_unique and loss (huggingface/datablations), for the comparison of penalties P R^x (N / U)^y.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from machine import facts, markdown

from plmscale.files import atomic
from plmscale.laws.confidence.repeated_profiles import profile_intervals
from plmscale.laws.confidence.uncertainty import drop_limit, huber_scale
from plmscale.laws.learning_rates import INSIDE, learning_rates
from plmscale.laws.solvers import repeated as repeated_law
from plmscale.laws.solvers.chinchilla import ChinchillaLaw
from plmscale.laws.solvers.repeated import R_D, R_N, RepeatedLaw, RepeatedProblem, polish, predict
from plmscale.runs.curves import Curve

DELTA = 1e-3
BASE = ChinchillaLaw(2.0, 20.0, 60.0, 0.30, 0.35, 0.0)
SIZES = np.geomspace(3e4, 3e6, 6).round()
UNIQUE = np.geomspace(1e6, 6e7, 4).round()


class Design(NamedTuple):
    """Passes of every size and set, noise of log loss, and the truth."""

    passes: tuple[int, ...]
    noise: float
    r_d: float
    r_n: float = 4.0
    n_sizes: int = 6


DESIGNS = {
    "6 sizes, 4 sets, 1 to 64 passes, 0.3 % noise": Design((1, 2, 4, 8, 16, 64), 0.003, 12.0),
    "1 to 16 passes, 0.3 %": Design((1, 4, 16), 0.003, 12.0),
    "1 to 4 passes, 0.3 %": Design((1, 2, 4), 0.003, 12.0),
    "1 to 16 passes, 1 %": Design((1, 4, 16), 0.01, 12.0),
    "4 sizes, 1 to 16 passes, 0.3 %": Design((1, 4, 16), 0.003, 12.0, n_sizes=4),
}
RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
EXPONENTS = ((0.25, 0.5, 0.75, 1.0, 1.5), (0.5, 0.75, 1.0, 1.25))


def points(design: Design, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Sizes, tokens, unique tokens and losses of one study."""
    sizes = np.geomspace(SIZES[0], SIZES[-1], design.n_sizes)
    n, u, passes = (np.ravel(grid) for grid in np.meshgrid(sizes, UNIQUE, np.array(design.passes, dtype=float)))
    loss = RepeatedLaw(BASE, design.r_d, design.r_n, 0.0, 0.0).loss(n, u * passes, u)
    return n, u * passes, u, loss * np.exp(rng.normal(0, design.noise, n.size))


def study(design: Design, rng: np.random.Generator) -> dict[str, tuple[float | None, float | None]]:
    """Intervals of r_d and r_n of one study."""
    data = points(design, rng)
    n, d, u, loss = data
    problem = RepeatedProblem.of((n, d, u, loss), delta=DELTA)
    law = repeated_law.repeated_law((n, d, u, loss), delta=DELTA)
    rest = predict(problem, problem.theta(law)[None])[0][0]
    scale = huber_scale(rest, delta=DELTA, n_runs=n.size, n_free=repeated_law.N_FREE)
    limit = drop_limit(1, n_left=n.size - repeated_law.N_FREE)
    found = profile_intervals(problem, law, scale=scale, limit=limit)
    return {"r_d": found[R_D], "r_n": found[R_N]}


def coverage(n_studies: int, seed: int) -> list[dict[str, str]]:
    """A row per design: how often the intervals hold the truth, how wide they are, how often an end is open."""
    rows = []
    for i, (name, design) in enumerate(DESIGNS.items()):
        start = time.process_time()
        found = [study(design, np.random.default_rng([seed, i, k])) for k in range(n_studies)]
        row = {"design": name, "runs": str(design.n_sizes * len(UNIQUE) * len(design.passes))}
        for key, truth in (("r_d", design.r_d), ("r_n", design.r_n)):
            ends = [one[key] for one in found]
            held = np.mean([(low or 0.0) <= truth <= (np.inf if high is None else high) for low, high in ends])
            widths = [high / low for low, high in ends if low is not None and high is not None]
            half = f"{100 * held:.1f} ± {100 * np.sqrt(held * (1 - held) / n_studies):.1f}"
            row[f"{key} held (%)"] = half
            row[f"{key} high ÷ low (median)"] = f"{np.median(widths):.2f}" if widths else "none"
            row[f"{key} open (%)"] = f"{100 * (1 - len(widths) / n_studies):.0f}"
        rows.append(row | {"CPU-s per study": f"{(time.process_time() - start) / n_studies:.2f}"})
    return rows


def sweep(rng: np.random.Generator, *, noise: float, c: float, curvature: float) -> list[Curve]:
    """Ends of six sizes at five rates: loss 2.5 and a parabola about lr = 2e-3 (N / 3e5)^-c."""
    curves, one = [], np.ones(1)
    for size in SIZES:
        for rate in RATES:
            loss = 2.5 + curvature * np.log(rate / (2e-3 * (size / 3e5) ** -c)) ** 2 + rng.normal(0, noise)
            arrays = (one * 6 * size * 1e8, one * 1e8, one * loss, one * loss)
            name = f"{size:g}/{rate:g}"
            identity = (name, name, "s", "constant", 0, "done", int(size), 10**8, 2000, 3.3, 1.0, float("nan"))
            curves.append(Curve(*identity, *arrays, learning_rate=rate))
    return curves


def rates(n_studies: int, seed: int) -> list[dict[str, str]]:
    """Coverage of the intervals of best rates and of the exponent of their rule."""
    rows = []
    for i, noise in enumerate((0.002, 0.006)):
        held, of_rule, n, n_rules = 0, 0, 0, 0
        for k in range(n_studies):
            curves = sweep(np.random.default_rng([seed, 99, i, k]), noise=noise, c=0.25, curvature=0.03)
            (found,) = learning_rates(curves)
            for one in (one for one in found.sweeps if one.status == INSIDE):
                truth, n = 2e-3 * (one.n_params / 3e5) ** -0.25, n + 1
                held += (one.optimum.low or 0.0) <= truth <= (one.optimum.high or np.inf)
            if found.rule is not None:
                n_rules += 1
                c = found.rule.c
                of_rule += c.low is not None and c.high is not None and c.low <= 0.25 <= c.high
        row = {"noise of a loss (nats)": str(noise), "sweeps with an optimum": f"{n} of {n_studies * len(SIZES)}"}
        row |= {"best rate held (%)": f"{100 * held / n:.1f}", "rules": str(n_rules)}
        rows.append(row | {"exponent c held (%)": f"{100 * of_rule / max(n_rules, 1):.1f}"})
    return rows


def penalties(path: Path) -> list[dict[str, str]]:
    """Huber objective with a penalty P R^x (N / U)^y over that without; the lower, the better."""
    table = pd.read_csv(path).dropna()
    n, d, u, loss = (table[name].to_numpy(dtype=float) for name in ("N", "D_total", "D_unique", "loss"))
    u = np.minimum(u, d)
    plain = repeated_law.repeated_law((n, d, u, loss))
    rows = []
    for x in EXPONENTS[0]:
        row = {f"{len(n)} runs: R^x": f"x = {x:g}"}
        for y in EXPONENTS[1]:
            row[f"(N/U)^{y:g}"] = f"{_with_penalty((n, d, u, loss), plain, x=x, y=y) / plain.objective:.3f}"
        rows.append(row)
    return rows


def _with_penalty(data: tuple[np.ndarray, ...], plain: RepeatedLaw, *, x: float, y: float) -> float:
    n, d, u, loss = data
    problem = RepeatedProblem.of((n, d, u, loss), delta=DELTA)
    load = (d / u - 1) ** x * (n / u) ** y
    problem = problem._replace(load=load / load.mean(), scale=float(load.mean()))
    starts = []
    for r_d in (1.0, 5.0, 25.0, 250.0, 1e5):
        for r_n in (0.5, 5.0, 50.0, 1e5):
            theta = problem.theta(plain._replace(r_d=r_d, r_n=r_n))
            starts += [theta, np.array([*theta[:7], np.log(0.01)]), np.array([*theta[:7], np.log(0.1)])]
    return float(polish(problem, np.array(starts), np.ones((len(starts), n.size)), penalty=True)[1].min())


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    machine = facts("numpy", "scipy")
    text = "# Repeated data and learning rates: intervals against the truth\n\n"
    text += f'{args.studies} simulated studies per row, seed {args.seed}; nominal coverage 95 %. "Held" is the share '
    text += 'of studies whose interval contains the truth; "open" is the share of\nintervals without an upper end.\n\n'
    text += "## Law of repeated data\n\n"
    text += markdown(coverage(args.studies, args.seed))
    text += "\n## Best learning rate of a size, and the exponent of the rule\n\n" + markdown(
        rates(args.studies, args.seed)
    )
    for path in args.data:
        text += f"\n## Penalties P R^x (N/U)^y, {path.stem}\n\nObjective over that without a penalty.\n\n"
        text += markdown(penalties(path))
    text += "\n## Machine\n\n" + "".join(f"- {key}: {value}\n" for key, value in machine.items())
    with atomic(args.out) as partial:
        partial.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
