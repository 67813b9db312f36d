"""Coverage of the 95 % intervals: simulated studies whose law is known, the whole analysis on each.

    nice -n 19 python benchmarks/interval_coverage.py --studies 500 --seed 0 --rows rows

A run's log loss is off by its own normal draw (`--run-noise`, what a second seed would change), each evaluation by
another (`--noise`); curves are smoothed and fitted as in any study. One process, one thread; seeds make every number
repeatable. With `--rows` every block of studies is kept as soon as it is done: the same command goes on where it was
stopped, and with `--cases` several processes share the work.
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

from plmscale.files import atomic
from plmscale.laws.fit import FitSettings
from plmscale.laws.methods import FITS
from plmscale.runs.curves import smooth

Law = Callable[[float, np.ndarray], np.ndarray]
A_TRUE = 0.35 / 0.65
PROFILED = ("chinchilla", "kaplan")
"""Fits whose intervals are profile likelihood: their bootstrap stands beside and is not looked at here."""
BESIDE = 20
BLOCK = 20
"""Studies that are kept together."""


def chinchilla(n: float, d: np.ndarray) -> np.ndarray:
    """L = 2 + 20 / N^0.30 + 60 / D^0.35."""
    return 2.0 + 20.0 * n**-0.30 + 60.0 * d**-0.35


def kaplan(n: float, d: np.ndarray) -> np.ndarray:
    """alpha_N = 0.2, alpha_D = 0.25, N_c = 1e7, D_c = 5e6."""
    return ((1e7 / n) ** (0.2 / 0.25) + 5e6 / d) ** 0.25


def to_a_plateau(n: float, d: np.ndarray) -> np.ndarray:
    """All sizes come to 2.455, after FLOPs that grow as N^1.2."""
    return 2.455 + 0.9 * np.exp(-((d / (3e4 * (n / 3e4) ** 0.2)) ** 0.8))


SIZES = np.geomspace(3e4, 2e6, 8)
CHINCHILLA = {"E": 2.0, "A": 20.0, "B": 60.0, "alpha": 0.30, "beta": 0.35, "a": A_TRUE}
KAPLAN = {"alpha_N": 0.2, "alpha_D": 0.25, "N_c": 1e7, "D_c": 5e6}
PLATEAU = {"plateau_loss": 2.455, "exponent_90": 1.2, "exponent_95": 1.2, "exponent_100": 1.2}


class Case(NamedTuple):
    """A law, the grid trained on it, the evaluations of a run (1: the final loss, as it is), and what is asked."""

    law: Law
    sizes: np.ndarray
    tokens: np.ndarray
    n_rows: int
    wanted: dict[str, dict[str, float]]


CASES = {
    "chinchilla, 32 final losses": Case(chinchilla, SIZES, np.geomspace(1e6, 1e8, 4), 1, {"chinchilla": CHINCHILLA}),
    "kaplan, 32 final losses": Case(kaplan, SIZES, np.geomspace(1e6, 1e8, 4), 1, {"kaplan": KAPLAN}),
    "chinchilla, 24 curves": Case(
        chinchilla,
        SIZES,
        np.geomspace(5e6, 1e8, 3),
        40,
        {"envelope": {"a": A_TRUE}, "isoflop": {"a": A_TRUE}, "chinchilla": CHINCHILLA},
    ),
    "kaplan, 24 curves": Case(kaplan, SIZES, np.geomspace(1e6, 1e8, 3), 40, {"kaplan": KAPLAN}),
    "plateau, 12 curves": Case(
        to_a_plateau, np.geomspace(3e4, 1e6, 6), np.array([2.5e6, 4e6]), 40, {"plateau": PLATEAU}
    ),
}
"""What is simulated, by name."""


def make_runs(case: Case, *, rng: np.random.Generator, noise: float, run_noise: float) -> pd.DataFrame:
    """Tidy frame of one study."""
    frames = []
    for i, size in enumerate(case.sizes.round()):
        for j, last in enumerate(case.tokens.round()):
            seen = np.unique(np.geomspace(2e3, last, case.n_rows).round()) if case.n_rows > 1 else np.array([last])
            off = rng.normal(0, run_noise) + rng.normal(0, noise, seen.size)
            loss = np.r_[3.367, case.law(size, seen) * np.exp(off)]
            tokens = np.r_[0.0, seen]
            constants = {"run": f"m{i}/s{j}", "model": f"m{i}", "subset": f"s{j}", "schedule": "constant", "seed": 0}
            constants |= {"status": "done", "n_params": int(size), "unique_tokens": int(last), "batch_tokens": 2000}
            series = {"step": np.arange(tokens.size), "n_tokens": tokens, "flops": 6.0 * size * tokens}
            frames.append(pd.DataFrame({**series, "loss": loss, **constants, "lr_fraction": 1.0}))
    return pd.concat(frames, ignore_index=True)


def simulate(name: str, *, studies: range, options: argparse.Namespace) -> pd.DataFrame:
    """One row per study, fit and parameter."""
    case = CASES[name]
    rows = []
    for study in studies:
        rng = np.random.default_rng([options.seed, study])
        runs = make_runs(case, rng=rng, noise=options.noise, run_noise=options.run_noise)
        curves = smooth(runs)
        for fit_name, truth in case.wanted.items():
            n = BESIDE if fit_name in PROFILED else options.bootstrap
            settings = FitSettings(n_bootstrap=n, n_envelope=options.points)
            fit = FITS[fit_name](curves, rng=rng, settings=settings)
            for key, value in truth.items():
                one = fit.estimates[key]
                rows.append({"case": name, "fit": fit_name, "parameter": key, "truth": value, "status": fit.status})
                rows[-1] |= {"value": one.value, "low": one.low, "high": one.high, "study": study}
                rows[-1] |= {"run_noise": options.run_noise, "noise": options.noise, "seed": options.seed}
    return pd.DataFrame(rows)


def blocks(*, options: argparse.Namespace) -> Iterator[pd.DataFrame]:
    """Rows of every case in blocks of `BLOCK` studies, read where they are kept already."""
    names = [name for name in options.cases for _ in range(0, options.studies, BLOCK)]
    firsts = [first for _ in options.cases for first in range(0, options.studies, BLOCK)]
    # Blocks of all cases in turn: whatever has been done, every case has about as many studies.
    for first, name in sorted(zip(firsts, names, strict=True), key=lambda one: one[0]):
        part = range(first, min(first + BLOCK, options.studies))
        how = f"{options.seed}-{options.noise:g}-{options.run_noise:g}-{options.bootstrap}-{options.points}"
        path = (
            options.rows
            and options.rows / f"{'-'.join(re.findall(r'[a-z0-9]+', name))}-{how}-{first}-{len(part)}.parquet"
        )
        if path is None or not path.exists():
            found = simulate(name, studies=part, options=options)
            if path is None:
                yield found
                continue
            with atomic(path) as partial:
                found.to_parquet(partial)
        yield pd.read_parquet(path)


def coverage(rows: pd.DataFrame) -> pd.DataFrame:
    """Share of the studies with an interval that holds the truth, with its own standard error."""
    found = defaultdict(list)
    for (case, fit, key), own in rows.groupby(["case", "fit", "parameter"], sort=False):
        shown = own.dropna(subset=["value"])
        low, high = (shown[end].astype(float).fillna(sign * np.inf) for end, sign in (("low", -1), ("high", 1)))
        held = (low <= shown["truth"]) & (shown["truth"] <= high)
        error = shown["value"].astype(float) / shown["truth"] - 1
        share = float(held.mean()) if len(shown) else float("nan")
        found["study"].append(case)
        found["fit"].append(fit)
        found["parameter"].append(key)
        found["n"].append(len(own))
        found["with a number"].append(len(shown))
        found["identified"].append(int((own["status"] == "identified").sum()))
        found["coverage"].append(f"{share:.1%}")
        found["± (standard error)"].append(f"{np.sqrt(share * (1 - share) / max(len(shown), 1)):.1%}")
        found["median error"].append(f"{error.median():+.2%}")
        found["median width / truth"].append(f"{((high - low) / shown['truth']).median():.3g}")
        found["93–97 %"].append("yes" if 0.93 <= share <= 0.97 else "no")
    return pd.DataFrame(found)


def to_markdown(table: pd.DataFrame) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


def verdicts(rows: pd.DataFrame) -> pd.DataFrame:
    """What the verdicts are worth: error of the exponent a, and what its interval held, by verdict."""
    found = defaultdict(list)
    own = rows[rows["parameter"] == "a"]
    for (fit, status), part in own.groupby(["fit", "status"], sort=False):
        shown = part.dropna(subset=["value"])
        error = (shown["value"].astype(float) - shown["truth"]).abs()
        found["fit"].append(fit)
        found["verdict"].append(status)
        found["n"].append(len(part))
        for name, share in (("median abs. error of a", 0.5), ("90 % of abs. errors", 0.9)):
            found[name].append(f"{error.quantile(share):.3f}" if len(shown) else "no number")
        held = (shown["low"].astype(float) <= shown["truth"]) & (shown["truth"] <= shown["high"].astype(float))
        found["coverage"].append(f"{held.mean():.1%}" if len(shown) else "no number")
    return pd.DataFrame(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bootstrap", type=int, default=200)
    parser.add_argument("--points", type=int, default=600, help="FLOPs at which the envelope is read")
    parser.add_argument("--noise", type=float, default=0.003, help="of one evaluation, log loss")
    parser.add_argument("--run-noise", type=float, default=0.003, help="of a whole run, log loss")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rows", type=Path, help="folder for one row per study and parameter; what is there is kept")
    options = parser.parse_args()
    frame = pd.concat(blocks(options=options), ignore_index=True)
    print(f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}.\n")
    for (noise, run_noise, seed), part in frame.groupby(["noise", "run_noise", "seed"], sort=False):
        print(f"Noise of an evaluation {noise:g}, of a run {run_noise:g} (log loss), seed {seed}.\n")
        print(to_markdown(coverage(part)), "\n")
    print("Verdicts, all of these studies together.\n")
    print(to_markdown(verdicts(frame)))


if __name__ == "__main__":
    main()
