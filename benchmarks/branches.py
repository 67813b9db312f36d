"""What trunks and branches save, and what they do to a fitted law.

    python benchmarks/branches.py --studies 40 --results RESULTS

1. FLOPs of the paper's four budgets, from their starts and as branches, by decay share.
2. Known laws, the simulated studies of `interval_coverage.py`. Runs of a size share part of the variance of their
   noise, as branches do that were one run for most of their steps. With `--untold` the runs do not say so.
3. A real study in RESULTS, of which every cell was trained at `cosine` from its start and at `wsd` as a branch: holdout
   losses side by side, fits with their verdicts, and device-seconds of both. The committed table says which.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from interval_coverage import BESIDE, CASES, PROFILED, Case, coverage, to_markdown
from machine import facts

from plmscale.files import read_json
from plmscale.laws.fit import FitSettings
from plmscale.laws.methods import FITS
from plmscale.runs.curves import smooth

LADDER = (64.0, 30.0, 23.0, 20.0)
"""Million sequences of the paper's sets."""

NOISE = 0.003
"""Standard deviation of a run's log loss, and of one evaluation of a curve, as in `interval_coverage.py`."""

SHARES = (0.0, 0.5, 0.9)
SMALL = {"6 sizes": (6, 1), "5 sizes": (5, 1), "4 sizes": (4, 1), "4 sizes, 3 seeds": (4, 3)}
"""Sizes and seeds of studies of final losses at 4 budgets, Chinchilla's law."""

ASKED = frozenset({"a", "alpha", "beta", "alpha_N", "alpha_D", "N_c", "D_c"})


NAMES = [*(name for name in CASES if "plateau" not in name), *SMALL]


def ladder() -> pd.DataFrame:
    """FLOPs of a trunk and its branches ÷ those of the runs from their starts; both are proportional to tokens."""
    rows = []
    for share in (0.05, 0.1, 0.2, 0.3):
        trunk, branches = (1 - share) * max(LADDER), share * sum(LADDER)
        parts = {"trunk": trunk, "branches": branches, "from their starts": sum(LADDER)}
        row = {"decay share": f"{share:g}"} | {name: f"{value:.2f}" for name, value in parts.items()}
        rows.append(row | {"ratio": f"{(trunk + branches) / sum(LADDER):.1%}"})
    return pd.DataFrame(rows)


def case_of(name: str) -> tuple[Case, int]:
    """What is simulated, and its seeds."""
    if name in CASES:
        return CASES[name], 1
    n_sizes, n_seeds = SMALL[name]
    case = CASES["chinchilla, 32 final losses"]
    return case._replace(sizes=np.geomspace(case.sizes[0], case.sizes[-1], n_sizes)), n_seeds


def study(name: str, rng: np.random.Generator, *, shared: float, told: bool) -> pd.DataFrame:
    """One simulated study, of whose noise variance runs of a size and seed share this part.

    With `told` a column `trunk` says which they are.
    """
    frames = []
    case, n_seeds = case_of(name)
    for (i, size), seed in product(enumerate(case.sizes.round()), range(n_seeds)):
        common = rng.normal(0, NOISE * np.sqrt(shared))
        for j, last in enumerate(case.tokens.round()):
            off = common + rng.normal(0, NOISE * np.sqrt(1 - shared))
            seen = np.unique(np.geomspace(2e3, last, case.n_rows).round()) if case.n_rows > 1 else np.array([last])
            # A final loss is as it is; evaluations of a curve have noise of their own.
            each = rng.normal(0, NOISE, seen.size) if case.n_rows > 1 else 0.0
            loss, tokens = np.r_[3.367, case.law(size, seen) * np.exp(off + each)], np.r_[0.0, seen]
            series = {"step": range(tokens.size), "n_tokens": tokens, "flops": 6.0 * size * tokens, "loss": loss}
            names = {
                "run": f"m{i}/s{j}/{seed}",
                "model": f"m{i}",
                "subset": f"s{j}",
                "schedule": "constant",
                "seed": seed,
            }
            counts = {"status": "done", "n_params": int(size), "unique_tokens": int(last), "batch_tokens": 2000}
            trunk = {"trunk": f"m{i}/{seed}"} if told else {}
            frames.append(pd.DataFrame({**series, **names, **counts, **trunk, "lr_fraction": 1.0}))
    return pd.concat(frames, ignore_index=True)


def synthetic(n_studies: int, *, cases: Sequence[str], told: bool) -> pd.DataFrame:
    """One row per study, fit and parameter at three shares of common noise."""
    rows = []
    for name, shared, k in product(cases, SHARES, range(n_studies)):
        rng = np.random.default_rng([0, k])
        curves = smooth(study(name, rng, shared=shared, told=told))
        for fit_name, truth in case_of(name)[0].wanted.items():
            n = BESIDE if fit_name in PROFILED else 200
            fit = FITS[fit_name](curves, rng=rng, settings=FitSettings(n_bootstrap=n, n_envelope=600))
            for key in truth.keys() & ASKED:
                one = fit.estimates[key]
                row = {"case": f"{name}; {shared:g} common", "fit": fit_name, "parameter": key}
                row |= {"truth": truth[key], "status": fit.status, "study": k, "reason": fit.reason}
                rows.append(row | {"value": one.value, "low": one.low, "high": one.high})
    return pd.DataFrame(rows).sort_values(["case", "fit", "parameter"], kind="stable")


def losses(results: Path) -> pd.DataFrame:
    """Holdout losses of every size and budget at both schedules."""
    rows = []
    for path in sorted(results.glob("runs/*/*/wsd/seed0/run.json")):
        branch, other = read_json(path), read_json(Path(str(path).replace("/wsd/", "/cosine/")))
        own = branch["n_tokens"] - (branch["branched_from"] or {"n_tokens": 0})["n_tokens"]
        row = {"size": branch["cell"]["model"]["name"], "budget": branch["cell"]["subset"]}
        row |= {"tokens": branch["n_tokens"], "own tokens of the branch": own}
        row |= {f"holdout, {name}": one["holdout"]["loss"] for name, one in (("wsd", branch), ("cosine", other))}
        rows.append(row | {"difference": row["holdout, wsd"] - row["holdout, cosine"]})
    table = pd.DataFrame(rows).sort_values(
        ["size", "tokens"], key=lambda c: c if c.name == "tokens" else c.str.zfill(5)
    )
    return table.assign(**{name: table[name].map("{:.4f}".format) for name in list(table)[-3:]})


def costs(results: Path) -> pd.DataFrame:
    """Tokens and time of both ways, processes from start to end, and time in training steps alone."""
    rows = []
    parts = {"cosine from the start": "runs/*/*/cosine/*/run.json", "branches": "runs/*/*/wsd/*/run.json"}
    for name, pattern in (parts | {"trunks": "trunks/*/*/*/trunk.json"}).items():
        found = [read_json(path) for path in sorted(results.glob(pattern))]
        own = [r["n_tokens"] - (r["branched_from"] or {"n_tokens": 0})["n_tokens"] for r in found]
        row = {"what": name, "jobs": len(found), "tokens trained": sum(own)}
        row |= {"seconds in steps": f"{sum(r['seconds'] for r in found):.1f}"}
        rows.append(row | {"seconds of processes": f"{sum(r['device_seconds'] for r in found):.0f}"})
    return pd.DataFrame(rows)


def verdicts(results: Path) -> pd.DataFrame:
    """Exponent a and verdict of every fit, by schedule."""
    rows = []
    for name in ("chinchilla", "isoflop", "envelope"):
        for schedule, fit in read_json(results / f"fits/{name}.json")["schedules"].items():
            a = fit["estimates"]["a"]
            value = "no number" if a["value"] is None else f"{a['value']:.3f} ({a['low']} to {a['high']})"
            rows.append({"fit": name, "schedule": schedule, "verdict": fit["status"], "a": value})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--cases", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--untold", action="store_true", help="runs do not say which of them share a trunk")
    parser.add_argument("--rows", type=Path, help="csv for one row per study and parameter")
    parser.add_argument("--results", type=Path, help="results of a study; without it, no real study")
    options = parser.parse_args()
    known = facts("plmscale", "torch", "numpy", "scipy")
    print("; ".join(f"{name}: {value}" for name, value in known.items()) + ".\n")
    print("## FLOPs of the paper's ladder\n\n" + to_markdown(ladder()) + "\n")
    rows = synthetic(options.studies, cases=options.cases, told=not options.untold)
    words = "which runs share a trunk is " + ("not told" if options.untold else "told")
    print(f"## Known laws, {options.studies} studies, noise {NOISE:g} of log loss; {words}\n")
    if options.rows:
        rows.to_csv(options.rows, index=False)
    print(to_markdown(coverage(rows)) + "\n")
    if options.results:
        print("## A real study\n\n" + to_markdown(losses(options.results)) + "\n")
        print(to_markdown(costs(options.results)) + "\n")
        print(to_markdown(verdicts(options.results)))


if __name__ == "__main__":
    main()
