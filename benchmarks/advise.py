"""FLOPs that lead to the full study's answer: the advice against random order and doubling, on published runs.

    python benchmarks/advise.py --data FOLDER > benchmarks/results/advise.md

Of each published set of final losses a third is taken as trained: the cheapest third, and random thirds. The others are
the pool. Runs of the pool are added (each costs its own training FLOPs, as if trained from scratch) until the 95 %
interval of a is as wide as that of all runs, to within 10 %. Orders:

advice    what the room `advise` (`known_law`, `advice.best_of`) says is best per FLOP, asked again after each run (in
          pools of more than 20 after each twentieth part)
random    random orders
doubling  budgets double: the cheapest runs first, all of a factor of two in FLOPs before the next, in random order

Two intervals are looked at, both with the scatter that the whole study shows, else luck with the scatter of few runs
would count as knowledge; the advice knows the runs at hand alone.

design    the delta method's, as the advice gives it, under the law of all runs: it can only narrow with every run
refitted  that of `plmscale fit`, profile likelihood about the law refitted to the runs at hand, its width in log odds:
          where the law is wrong it can widen with a run; where an order crosses the limit is found by bisection
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from machine import facts, markdown
from numpy.typing import NDArray

from plmscale.advise.advice import LEAST_GAIN, best_of
from plmscale.advise.known_law import of_runs
from plmscale.advise.targets import PowerCost, Target
from plmscale.laws.confidence.chinchilla_profiles import N_FREE, profile_intervals
from plmscale.laws.confidence.run_noise import RunNoise
from plmscale.laws.confidence.uncertainty import huber_scale, huber_sd
from plmscale.laws.fit import FitSettings
from plmscale.laws.points import Points
from plmscale.laws.solvers.chinchilla import ChinchillaProblem, chinchilla_law, predict
from plmscale.plan import information
from plmscale.runs.curves import smooth, usable
from plmscale.runs.importers import load

Array = NDArray[np.float64]

DELTA = 1e-3
WITHIN = 0.1
STEPS = 20
REFITTED = 5
SETTINGS = FitSettings(n_bootstrap=20)
SIX_ND = PowerCost(float(np.log(6)), 1.0)
A_OF = Target("a")
NO_RERUNS = RunNoise(0.0, 1, "residuals")


class Interval(NamedTuple):
    """Exponent a with its 95 % interval."""

    a: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """In log odds; infinite where an end is missing."""
        width = float(np.log(self.high / (1 - self.high)) - np.log(self.low / (1 - self.low)))
        return width if np.isfinite(width) else np.inf


class Study:
    """Published runs of one design, and what a subset of them says of a."""

    def __init__(self, name: str, n: Array, d: Array, flops: Array, loss: Array) -> None:
        self.name, self.n, self.d, self.flops, self.loss = name, n, d, flops, loss
        everything = np.arange(n.size)
        self.problem, self.theta, _ = self.fitted(everything)
        residual = predict(self.problem, self.theta[None])[0][0]
        self.scale = huber_scale(residual, delta=DELTA, n_runs=n.size, n_free=N_FREE)
        self.sd = huber_sd(residual, delta=DELTA, n_runs=n.size, n_free=N_FREE)
        self.full = self.profile(self.fitted(everything))

    def fitted(self, rows: NDArray[np.intp]) -> tuple[ChinchillaProblem, Array, float]:
        """The law of these runs: problem, parameters, objective."""
        points = self.n[rows], self.d[rows], self.loss[rows]
        problem, law = ChinchillaProblem.of(*points, delta=DELTA), chinchilla_law(*points, delta=DELTA)
        return problem, problem.theta(law), law.objective

    def profile(self, fit: tuple[ChinchillaProblem, Array, float]) -> Interval:
        """The interval of a about a fitted law, at the scatter of the whole study."""
        problem, theta, objective = fit
        law = problem.law(theta, objective)
        low, high = profile_intervals(problem, law, scale=self.scale, n_runs=self.n.size)["a"]
        return Interval(law.size_exponent, float(low), float(high))

    def design_widths(self, start: Sequence[int], order: Sequence[int]) -> Array:
        """Standard deviation of a after the start and after each run of an order, over that of all runs."""
        rows = information.gradients(self.theta[None], self.n, self.d, centre=self.problem.centre) / self.sd
        aim = information.slope(A_OF.quantity(centre=self.problem.centre, cost=SIX_ND), self.theta[None])[:, None]
        covariance, found = information.covariance(rows[:, list(start)]), []
        for run in [None, *order]:
            covariance = covariance if run is None else information.added(covariance, rows[:, run])
            found.append(float(np.sqrt(information.variances(covariance, aim)[0, 0])))
        return np.array(found) / found[-1]

    def narrow(self, rows: Sequence[int]) -> Interval | None:
        """The refitted interval if it is narrow enough. Not computed where the delta method's is twice too wide."""
        limit, taken = (1 + WITHIN) * self.full.width, np.array(rows)
        problem, theta, _ = fit = self.fitted(taken)
        gradients = information.gradients(theta[None], self.n[taken], self.d[taken], centre=problem.centre) / self.sd
        aim = information.slope(A_OF.quantity(centre=problem.centre, cost=SIX_ND), theta[None])[:, None]
        sd = float(np.sqrt(information.variances(information.covariance(gradients), aim)[0, 0]))
        a = float(theta[4] / (theta[3] + theta[4]))
        if 2 * 1.96 * sd / (a * (1 - a)) > 2 * limit:
            return None
        found = self.profile(fit)
        return found if found.width <= limit else None


class Outcome(NamedTuple):
    """Shares of the pool's FLOPs and numbers of runs until the interval is narrow enough; distance of the refitted a
    from that of all runs where the design's interval is, in halves of the full interval."""

    design: float
    design_runs: int
    off: float
    refitted: float
    refitted_runs: float


def follow(study: Study, start: Sequence[int], order: Sequence[int], *, refit: bool) -> Outcome:
    """Add runs in order until the interval is narrow enough; without `refit` by the design's interval alone."""
    spent = np.concatenate([[0.0], np.cumsum(study.flops[list(order)])])
    by_design = int(np.argmax(study.design_widths(start, order) <= 1 + WITHIN))
    _, theta, _ = study.fitted(np.array([*start, *order[:by_design]]))
    off = abs(theta[4] / (theta[3] + theta[4]) - study.full.a) / ((study.full.high - study.full.low) / 2)
    shares = spent / spent[-1]
    by_the_design = Outcome(float(shares[by_design]), by_design, float(off), np.nan, np.nan)
    if not refit:
        return by_the_design
    too_few, enough = -1, len(order)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if study.narrow([*start, *order[:middle]]) is None:
            too_few = middle
        else:
            enough = middle
    return by_the_design._replace(refitted=float(shares[enough]), refitted_runs=enough)


def advised(study: Study, start: Sequence[int], *, rng: np.random.Generator) -> list[int]:
    """The runs of the pool that narrow the interval most per FLOP first, by what the runs before say."""
    pool, order = _pool(study, start), []
    every = max(1, round(len(pool) / STEPS))
    while len(order) < len(pool):
        have = np.array([*start, *order])
        points = Points(study.n[have], study.d[have], study.loss[have], np.arange(have.size), [])
        known = of_runs(points, A_OF, cost=SIX_ND, noise=NO_RERUNS, rng=rng, settings=SETTINGS)
        candidates, costs = known.rows(study.n[pool], study.d[pool]), study.flops[pool]
        for _ in range(min(every, len(pool) - len(order))):
            left, gains = ~np.isin(pool, order), known.gains(candidates)
            helps = left & (gains >= LEAST_GAIN)
            spent = float(study.flops[[*start, *order]].sum())
            best = best_of(gains / costs, costs, spent=spent, allowed=helps if helps.any() else left)
            assert best is not None
            known.add(candidates[:, best])
            order.append(pool[best])
    return order


def doubling(study: Study, start: Sequence[int], *, rng: np.random.Generator) -> list[int]:
    """By powers of two of FLOPs, in random order within one."""
    pool = rng.permutation(_pool(study, start))
    level = np.floor(np.log2(study.flops[pool] / study.flops.min()))
    return [int(i) for i in pool[np.argsort(level, kind="stable")]]


def shuffled(study: Study, start: Sequence[int], *, rng: np.random.Generator) -> list[int]:
    """In random order."""
    return [int(i) for i in rng.permutation(_pool(study, start))]


def _pool(study: Study, start: Sequence[int]) -> list[int]:
    return [i for i in range(study.n.size) if i not in set(start)]


POLICIES: dict[str, Callable[..., list[int]]] = {"advice": advised, "doubling": doubling, "random": shuffled}


def outcomes(study: Study, *, starts: int, seed: int) -> pd.DataFrame:
    """One row per start, policy and repetition: from the cheapest third the advice once, doubling 3 times and 20 random
    orders, of which 5 are refitted; from each random third one order of each, the random one not refitted."""
    third, rows = study.n.size // 3, []
    cases = [("cheapest third", np.argsort(study.flops, kind="stable")[:third], (1, 3, 20))]
    for k in range(starts):
        own = np.random.default_rng([seed, 1, k]).permutation(study.n.size)[:third]
        cases.append(("random thirds", own, (1, 1, 1)))
    for number, (name, start, times) in enumerate(cases):
        for (policy, make), repeats in zip(POLICIES.items(), times, strict=True):
            for repeat in range(repeats):
                first = [int(i) for i in start]
                order = make(study, first, rng=np.random.default_rng([seed, 2, number, repeat]))
                refit = policy != "random" or (name == "cheapest third" and repeat < REFITTED)
                found = follow(study, first, order, refit=refit)
                rows.append({"start": name, "case": number, "policy": policy} | found._asdict())
    return pd.DataFrame(rows)


def studies(folder: Path) -> Iterator[Study]:
    """Published sets of final losses, each of one design: single-pass runs whose schedule ends with them, if known."""
    epoch = load(folder / "epoch_chinchilla/svg_extracted_data.csv").frame.sort_values("loss")
    yield _study("Chinchilla (Besiroglu et al.)", epoch.iloc[:-5])  # the refit leaves out the five highest losses
    repeated = load(folder / "datablations/c4_runs_all.csv").frame
    yield _study(
        "C4, one pass (Muennighoff et al.)", repeated[repeated["n_tokens"] <= 1.001 * repeated["unique_tokens"]]
    )
    final = load(folder / "gadre/models_104.csv").frame
    for group in ("c4_original", "rpj", "rw_original"):
        yield _study(f"{group} (Gadre et al.)", final[final["schedule"] == group])
    matched = load(folder / "porian/isoflop_points.csv").frame
    for group in ("rw, base, short, chinchilla, standard, val", "owt2, base, short, chinchilla, standard, val"):
        # A cosine to the end of each budget: every row is a run of its own.
        yield _study(f"{group.split(',')[0]}, matched cosine (Porian et al.)", matched[matched["schedule"] == group])
    curves = smooth(load(folder / "cheng_scaling_plm/curves.csv.gz").frame)
    kept, _ = usable([curve for curve in curves if curve.schedule == "MLM"])
    ends = [(c.n_params, c.n_tokens[-1], c.flops[-1], c.loss[-1]) for c in kept]
    columns = pd.Index(["n_params", "n_tokens", "flops", "loss"])
    yield _study("protein MLM (Cheng et al.)", pd.DataFrame(ends, columns=columns))


def _study(name: str, rows: Any) -> Study:
    return Study(name, *(rows[key].to_numpy(dtype=float) for key in ("n_params", "n_tokens", "flops", "loss")))


def summary(study: Study, found: pd.DataFrame) -> dict[str, list[dict[str, str]]]:
    """Rows of the two tables, one per kind of start."""
    tables: dict[str, list[dict[str, str]]] = {"design": [], "refitted": []}
    full = study.full
    for start in dict.fromkeys(found["start"]):
        own = found[found["start"] == start]
        by: dict[str, Any] = {policy: own[own["policy"] == policy] for policy in POLICIES}
        for what, rows in tables.items():
            row = {"set": f"{study.name}, {study.n.size} runs", "a": f"{full.a:.2f} ({full.low:.2f}–{full.high:.2f})"}
            row |= {"start": start} | {policy: _quartiles(part[what]) for policy, part in by.items()}
            middles = {policy: part.groupby("case")[what].median().to_numpy() for policy, part in by.items()}
            for other in ("doubling", "random"):
                seen = np.isfinite(middles[other])
                cheaper = int((middles["advice"] <= middles[other])[seen].sum())
                row[f"advice ≤ {other}"] = f"{cheaper} of {seen.sum()}" if seen.any() else "–"
            runs = [_middle(part[f"{what}_runs"], ".0f") for part in by.values()]
            row["runs added"] = " / ".join(runs)
            if what == "design":
                row["a off"] = " / ".join(_middle(part["off"], ".1f") for part in by.values())
            rows.append(row)
    return tables


def _middle(values: Any, form: str) -> str:
    known = values.dropna()
    return format(known.median(), form) if len(known) else "–"


def _quartiles(shares: Any) -> str:
    percent = 100 * np.asarray(shares, dtype=float)
    percent = percent[np.isfinite(percent)]
    if percent.size == 0:
        return "–"
    if percent.size == 1:
        return f"{percent[0]:.3g} %"
    low, middle, high = np.quantile(percent, [0.25, 0.5, 0.75])
    return f"{middle:.3g} % ({low:.3g}–{high:.3g})"


def main() -> None:
    """Print the tables."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--data", type=Path, required=True, help="folder of the published data sets")
    command.add_argument("--starts", type=int, default=10, help="random thirds (10)")
    command.add_argument("--only", default="", help="sets whose name has this in it (all)")
    command.add_argument("--seed", type=int, default=0)
    args = command.parse_args()
    began = time.process_time()
    tables: dict[str, list[dict[str, str]]] = {"design": [], "refitted": []}
    for study in studies(args.data):
        if args.only in study.name:
            for what, rows in summary(study, outcomes(study, starts=args.starts, seed=args.seed)).items():
                tables[what] += rows
    for what, rows in tables.items():
        print(f"## Interval: {what}\n\n{markdown(rows)}")
    print(f"{time.process_time() - began:.0f} CPU-seconds; seed {args.seed}.\n")
    print(markdown([{"what": key, "is": value} for key, value in facts("numpy", "scipy").items()]))


if __name__ == "__main__":
    main()
