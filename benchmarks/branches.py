"""What trunks and branches save, and what they do to a fitted law.

    python benchmarks/branches.py --studies 40 --results RESULTS

1. FLOPs of the paper's four budgets, from their starts and as branches, by decay share.
2. A known law, simulated studies of 8 sizes × 4 budgets. A run's log loss is off by a normal draw of its own; branches
   of a size share part of the variance of theirs, as runs do that were one run for most of their steps.
3. A real study in RESULTS, of which every cell was trained at `cosine` from its start and at `wsd` as a branch: holdout
   losses side by side, fits with their verdicts, and device-seconds of both. The committed table says which.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from interval_coverage import CHINCHILLA, SIZES, chinchilla, coverage, to_markdown
from machine import facts

from plmscale.curves import smooth
from plmscale.files import read_json
from plmscale.fits import FitSettings
from plmscale.scaling import FITS

LADDER = (64.0, 30.0, 23.0, 20.0)
"""Million sequences of the paper's sets."""

BUDGETS = np.geomspace(1e6, 1e8, 4)
NOISE = 0.003
"""Standard deviation of a run's log loss, as in `interval_coverage.py`."""


def ladder() -> pd.DataFrame:
    """FLOPs of a trunk and its branches ÷ those of the runs from their starts; both are proportional to tokens."""
    rows = []
    for share in (0.05, 0.1, 0.2, 0.3):
        trunk, branches = (1 - share) * max(LADDER), share * sum(LADDER)
        parts = {"trunk": trunk, "branches": branches, "from their starts": sum(LADDER)}
        row = {"decay share": f"{share:g}"} | {name: f"{value:.2f}" for name, value in parts.items()}
        rows.append(row | {"ratio": f"{(trunk + branches) / sum(LADDER):.1%}"})
    return pd.DataFrame(rows)


def study(rng: np.random.Generator, *, shared: float) -> pd.DataFrame:
    """Final losses of one simulated study, of whose noise variance runs of a size share this part."""
    frames = []
    for i, size in enumerate(SIZES.round()):
        common = rng.normal(0, NOISE * np.sqrt(shared))
        for j, last in enumerate(BUDGETS.round()):
            off = common + rng.normal(0, NOISE * np.sqrt(1 - shared))
            loss = np.r_[3.367, chinchilla(size, np.array([last])) * np.exp(off)]
            series = {"step": [0, 1], "n_tokens": [0.0, last], "flops": [0.0, 6.0 * size * last], "loss": loss}
            names = {"run": f"m{i}/s{j}", "model": f"m{i}", "subset": f"s{j}", "schedule": "constant", "seed": 0}
            counts = {"status": "done", "n_params": int(size), "unique_tokens": int(last), "batch_tokens": 2000}
            frames.append(pd.DataFrame({**series, **names, **counts, "lr_fraction": 1.0}))
    return pd.concat(frames, ignore_index=True)


def synthetic(n_studies: int) -> pd.DataFrame:
    """Coverage of Chinchilla's law at three shares of common noise, and the spread of a."""
    rows = []
    for shared in (0.0, 0.5, 0.9):
        for k in range(n_studies):
            rng = np.random.default_rng([0, k])
            fit = FITS["chinchilla"](smooth(study(rng, shared=shared)), rng=rng, settings=FitSettings(n_bootstrap=20))
            for key in ("a", "alpha", "beta"):
                one = fit.estimates[key]
                row = {"case": f"common part of the variance {shared:g}", "fit": "chinchilla", "parameter": key}
                row |= {"truth": CHINCHILLA[key], "status": fit.status, "study": k}
                rows.append(row | {"value": one.value, "low": one.low, "high": one.high})
    return pd.DataFrame(rows)


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
    parser.add_argument("--results", type=Path, help="results of a study; without it, no real study")
    options = parser.parse_args()
    known = facts("plmscale", "torch", "numpy", "scipy")
    print("; ".join(f"{name}: {value}" for name, value in known.items()) + ".\n")
    print("## FLOPs of the paper's ladder\n\n" + to_markdown(ladder()) + "\n")
    rows = synthetic(options.studies)
    print(f"## A known law, {options.studies} studies, noise {NOISE:g} of log loss\n")
    print(to_markdown(coverage(rows)) + "\n")
    if options.results:
        print("## A real study\n\n" + to_markdown(losses(options.results)) + "\n")
        print(to_markdown(costs(options.results)) + "\n")
        print(to_markdown(verdicts(options.results)))


if __name__ == "__main__":
    main()
