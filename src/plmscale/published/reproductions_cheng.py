"""The numbers of Cheng et al. 2024 (protein language models), from their curves, by their notebook's procedure.

The procedure, which their text does not give in full: the curves as exported, defects included, without their first
evaluation; loss of a curve at a budget is that of its nearest evaluation, within 1e18 FLOPs; the best curve of each
budget gives N, and D as rows times the batch; exponents by least squares of N and D themselves, not their logarithms.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from ..laws.cost_to_loss import PAPER_PLATEAU, flops_to_reach
from ..laws.power_law import huber
from ..laws.solvers.chinchilla import ChinchillaLaw, chinchilla_law
from ..runs.curves import smooth
from ..runs.importers import load, scaling_protein_lm

Array = NDArray[np.float64]
Numbers = dict[str, float]

NEAREST = 1e18
PETAFLOP_DAY = 8.64e19
LAST_ROWS = 10
STEPS_PER_EVALUATION, CONTEXT = 300, 1024
BATCH_SMALL, BATCH_BILLIONS = 512, 1024

TABLE_A9 = {
    "CLM": ChinchillaLaw(E=2.1226, A=143.975, B=22036.5, alpha=0.36659, beta=0.49559, objective=float("nan")),
    "MLM": ChinchillaLaw(E=0.0, A=3.3652, B=7.5686, alpha=0.042287, beta=0.099433, objective=float("nan")),
}


class BestPerBudget(NamedTuple):
    """The best curve of each budget: budgets, sizes, tokens by rows times batch, losses; each of shape (k,)."""

    flops: Array
    n_params: Array
    n_tokens: Array
    loss: Array


def cheng(path: Path, n_bootstrap: int) -> Numbers:
    """Exponents of the notebook, the objective at the points of table A9, and FLOPs to reach 2.455 nats by size."""
    del n_bootstrap
    numbers: Numbers = {}
    for objective in ("MLM", "CLM"):
        runs = runs_of(path, objective, sized=False)
        best = best_at(runs, ends(runs), nearest=NEAREST)
        numbers |= {f"{objective}_N_exponent": power(best.flops, best.n_params)[1]}
        numbers |= {f"{objective}_D_exponent": power(best.flops, best.n_tokens)[1]}
        numbers |= {f"{objective}_loss_exponent": power(best.flops / PETAFLOP_DAY, best.loss)[1]}
        numbers |= _table_a9(runs, objective)
    imported = load(path, kind="scaling_protein_lm").frame
    masked = pd.DataFrame(imported.loc[imported["schedule"] == "MLM"])
    rows = flops_to_reach(masked, smooth(masked, level=0.0), loss=PAPER_PLATEAU).rows
    reached = zip(rows["n_params"].tolist(), rows["flops"].tolist(), strict=True)
    return numbers | {f"reach_{n_params}": flops for n_params, flops in reached}


def runs_of(path: Path, objective: str, *, sized: bool = True) -> list[pd.DataFrame]:
    """Their runs of an objective, MLM or CLM, without their first evaluation; with `sized` those whose N is known."""
    table = scaling_protein_lm.raw_table(path)
    keys = ("objective", "size_label", "name")
    table["key"] = ["\n".join(key) for key in zip(*(table[name].tolist() for name in keys), strict=True)]
    curves = {tuple(key.split("\n")): rows.iloc[1:] for key, rows in scaling_protein_lm.by_run(table, "key").items()}
    used = {key: rows for key, rows in curves.items() if not key[2].startswith(scaling_protein_lm.UNUSED_PREFIX)}
    runs = [used[key] for key in sorted(used) if key[0] == objective]
    return [rows for rows in runs if not sized or np.isfinite(rows["n_params"].iloc[0])]


def best_at(runs: Sequence[pd.DataFrame], budgets: Array, *, nearest: float) -> BestPerBudget:
    """The lowest loss at each budget among the runs that were evaluated within `nearest` FLOPs of it."""
    found: dict[float, tuple[float, float, float]] = {}
    for rows in runs:
        size = float(rows["n_params"].iloc[0])
        if not np.isfinite(size):
            continue
        batch = BATCH_BILLIONS if str(rows["size_label"].iloc[0]).endswith("B") else BATCH_SMALL
        flops, loss = rows["flops"].to_numpy(dtype=float), rows["loss"].to_numpy(dtype=float)
        for budget in budgets:
            distance = np.abs(flops - budget)
            i = int(np.argmin(distance))
            if distance[i] > nearest:
                continue
            if budget not in found or loss[i] < found[budget][2]:
                found[float(budget)] = (size, float((i + 1) * batch * CONTEXT * STEPS_PER_EVALUATION), float(loss[i]))
    columns = np.array(list(found.values())).T
    return BestPerBudget(np.array(list(found)), columns[0], columns[1], columns[2])


def power(x: Array, y: Array) -> tuple[float, float]:
    """Prefactor and exponent by least squares of y itself, from (1, 1) as scipy starts."""
    (prefactor, exponent), _ = curve_fit(lambda at, a, b: a * np.power(at, b), x, y, maxfev=100_000)
    return float(prefactor), float(exponent)


def ends(runs: Sequence[pd.DataFrame]) -> Array:
    """Budgets at which runs end: the lowest FLOPs of the last ten rows of each."""
    return np.sort([float(rows["flops"].iloc[-LAST_ROWS:].min()) for rows in runs])


def _table_a9(runs: Sequence[pd.DataFrame], objective: str) -> Numbers:
    """Huber objective of the law at the published point and at its global minimum, on the points of that fit."""
    if objective == "CLM":
        best = best_at(runs, np.geomspace(1e18, 1e23, 200), nearest=NEAREST)
    else:
        sized = [rows for rows in runs if np.isfinite(rows["n_params"].iloc[0])]
        best = best_at(sized, ends(sized), nearest=np.inf)
    law = TABLE_A9[objective]
    residual = np.log(best.loss) - np.log(law.loss(best.n_params, best.n_tokens))
    lowest = chinchilla_law(best.n_params, best.n_tokens, best.loss)
    published = float(np.sum(huber(residual, delta=1e-3)))
    return {f"{objective}_a9_objective": published, f"{objective}_a9_lowest": lowest.objective}
