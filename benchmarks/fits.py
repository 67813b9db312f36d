"""Speed of the fits against scipy, both in one run: a ratio per line.

    python benchmarks/fits.py

240 points (8 sizes x 30 lengths, 0.5 % noise), Huber threshold 1e-3 on log loss. The published procedure (Hoffmann et
al. 2022: 4500 starts of L-BFGS) is timed on a stated number of its starts and multiplied up; nothing else is
extrapolated except scipy's resamples, where it says so. Clock: processor time of this process, one thread, medians.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import platform
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
from scipy.optimize import minimize
from scipy.special import logsumexp

from plmscale.laws.fit import FitSettings
from plmscale.laws.methods import FITS, fit_curves
from plmscale.laws.solvers.chinchilla import ChinchillaLaw, ChinchillaProblem, chinchilla_law, resampled_laws
from plmscale.runs.curves import smooth

DELTA = 1e-3
N_ALL_STARTS = 4500


def data(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes, tokens, losses of shape (240,)."""
    rng = np.random.default_rng(seed)
    n, d = (grid.ravel() for grid in np.meshgrid(np.geomspace(5e6, 1e9, 8), np.geomspace(1e8, 2e10, 30), indexing="ij"))
    return n, d, (1.7 + 400 * n**-0.30 + 410 * d**-0.28) * np.exp(rng.normal(0, 0.005, n.size))


def objective(theta: np.ndarray, n: np.ndarray, d: np.ndarray, log_loss: np.ndarray, weights: np.ndarray) -> float:
    """The published objective, written from its formula."""
    e, a, b, alpha, beta = theta
    residual = log_loss - logsumexp([np.full(n.shape, e), a - alpha * np.log(n), b - beta * np.log(d)], axis=0)
    size = np.abs(residual)
    return float(weights @ np.where(size <= DELTA, residual**2 / 2, DELTA * (size - DELTA / 2)))


def gradient(theta: np.ndarray, n: np.ndarray, d: np.ndarray, log_loss: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Its gradient."""
    e, a, b, alpha, beta = theta
    x, y = np.log(n), np.log(d)
    terms = np.array([np.full(n.shape, e), a - alpha * x, b - beta * y])
    total = logsumexp(terms, axis=0)
    shares = np.exp(terms - total)
    pull = -weights * np.clip(log_loss - total, -DELTA, DELTA)
    return np.array([*(shares @ pull), -(shares[1] * x) @ pull, -(shares[2] * y) @ pull])


def starts() -> np.ndarray:
    """The 4500 starts of Hoffmann et al. 2022, appendix D.3: (e, a, b, alpha, beta)."""
    axes = (
        np.arange(-1, 1.1, 0.5),
        np.arange(0, 30, 5),
        np.arange(0, 30, 5),
        np.arange(0, 2.5, 0.5),
        np.arange(0, 2.5, 0.5),
    )
    return np.array(list(product(*axes)))


def processor_time(work: Callable[[], object], *, repeats: int) -> float:
    """Median processor seconds."""
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return float(np.median(spent))


def point_fit(n: np.ndarray, d: np.ndarray, loss: np.ndarray, *, n_starts: int) -> list[str]:
    """One global optimum: ours against a sample of the published starts."""
    law = chinchilla_law(n, d, loss, delta=DELTA)
    ours = processor_time(lambda: chinchilla_law(n, d, loss, delta=DELTA), repeats=15)
    sample = starts()[np.random.default_rng(0).permutation(N_ALL_STARTS)[:n_starts]]
    arguments = (n, d, np.log(loss), np.ones(n.size))
    lines = []
    for name, jacobian, options in (
        ("numerical gradient, default tolerance", None, {}),
        ("analytic gradient, tight tolerance", gradient, {"ftol": 1e-15, "gtol": 1e-12, "maxiter": 2000}),
    ):
        best = np.inf
        start = time.process_time()
        for one in sample:
            found = minimize(objective, one, args=arguments, method="L-BFGS-B", jac=jacobian, options=options)
            best = min(best, float(found.fun))
        theirs = (time.process_time() - start) / n_starts * N_ALL_STARTS
        lines.append(
            f"| point fit, scipy L-BFGS-B from 4500 starts ({name}), extrapolated from {n_starts} | {theirs:.3g} s | "
            f"{ours * 1e3:.2g} ms | {theirs / ours:,.0f} | ours ÷ theirs − 1 = {law.objective / best - 1:+.1e} |"
        )
    return lines


def bootstraps(n: np.ndarray, d: np.ndarray, loss: np.ndarray, *, n_resamples: int, n_checked: int) -> list[str]:
    """Resamples: ours, each searched globally, against scipy started at the optimum of all points."""
    problem, law = ChinchillaProblem.of(n, d, loss, delta=DELTA), chinchilla_law(n, d, loss, delta=DELTA)
    weights = np.random.default_rng(1).multinomial(n.size, np.full(n.size, 1 / n.size), size=n_resamples).astype(float)
    ours = processor_time(lambda: resampled_laws(problem, law, weights), repeats=3)
    _, reached = resampled_laws(problem, law, weights[:n_checked])
    theta = np.array([np.log(law.E), np.log(law.A), np.log(law.B), law.alpha, law.beta])
    log_loss = np.log(loss)
    options = {"ftol": 1e-15, "gtol": 1e-12, "maxiter": 2000}
    start = time.process_time()
    theirs = [
        minimize(objective, theta, args=(n, d, log_loss, w), jac=gradient, method="L-BFGS-B", options=options).fun
        for w in weights[:n_checked]
    ]
    scipy_time = (time.process_time() - start) / n_checked * n_resamples
    worst = float(np.max(reached / np.array(theirs) - 1))
    return [
        f"| {n_resamples} resamples, scipy from one start each, extrapolated from {n_checked}; ours global | "
        f"{scipy_time:.3g} s | {ours:.2g} s | {scipy_time / ours:,.0f} | worst ours ÷ theirs − 1 = {worst:+.1e} |"
    ]


def all_laws(*, n_resamples: int) -> list[str]:
    """Every fit of the analysis on 240 runs of 60 evaluations, with intervals and held-out errors."""
    rng = np.random.default_rng(0)
    law = ChinchillaLaw(2.0, 20.0, 60.0, 0.30, 0.35, 0.0)
    frames = []
    for i, size in enumerate(np.geomspace(3e4, 2e6, 8).round()):
        for j, last in enumerate(np.geomspace(1e6, 1e8, 30).round()):
            seen = np.r_[0.0, np.unique(np.geomspace(2e3, last, 60).round())]
            loss = np.r_[3.367, law.loss(size, seen[1:]) * np.exp(rng.normal(0, 0.002) + rng.normal(0, 0.002, 60))]
            constants = {"run": f"m{i}/s{j}", "model": f"m{i}", "subset": f"s{j}", "schedule": "constant", "seed": 0}
            constants |= {"status": "done", "n_params": int(size), "unique_tokens": int(last), "batch_tokens": 2000}
            series = {"step": np.arange(seen.size), "n_tokens": seen, "flops": 6 * size * seen, "loss": loss}
            frames.append(pd.DataFrame(series | constants | {"lr_fraction": 1.0}))
    runs = pd.concat(frames, ignore_index=True)
    start = time.process_time()
    curves = smooth(runs)
    lines = [f"| smoothing of 240 curves of 60 evaluations | | {time.process_time() - start:.2g} s | | |"]
    settings, total = FitSettings(n_bootstrap=n_resamples), 0.0
    for name in FITS:
        start = time.process_time()
        fit_curves(curves, name=name, settings=settings)
        spent = time.process_time() - start
        total += spent
        lines.append(f"| {name}, {n_resamples} replicates and held-out errors | | {spent:.2g} s | | |")
    return [*lines, f"| all five laws, {n_resamples} replicates | | {total:.2g} s | | |"]


def machine() -> str:
    """Facts of the machine and versions, no names."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {models[0] if models else platform.processor()}; load {load:.1f}; Python "
        f"{platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}; one thread, processor time."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=90, help="of the 4500, that scipy solves")
    parser.add_argument("--resamples", type=int, default=4000)
    parser.add_argument("--checked", type=int, default=60, help="resamples that scipy solves")
    parser.add_argument("--replicates", type=int, default=2000, help="behind the intervals of all laws")
    options = parser.parse_args()
    n, d, loss = data(0)
    print(f"{machine()}\n")
    print("| what | scipy | ours | ratio | objective |\n|---|---|---|---|---|")
    lines = point_fit(n, d, loss, n_starts=options.starts)
    lines += bootstraps(n, d, loss, n_resamples=options.resamples, n_checked=options.checked)
    print("\n".join(lines), flush=True)
    print("\n".join(all_laws(n_resamples=options.replicates)))


if __name__ == "__main__":
    main()
