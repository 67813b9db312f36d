"""Published numbers, computed again from the published data: one function per data set.

Each follows its source's procedure, unstated choices included, so that the fits behind it can be trusted where the
package chooses otherwise. What is expected is in published_targets.json, with its source.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..laws.confidence.repeated_profiles import held
from ..laws.isoflop import parabola_vertex
from ..laws.power_law import power_law
from ..laws.solvers.chinchilla import ChinchillaLaw, ChinchillaProblem, chinchilla_law, polish
from ..laws.solvers.repeated import R_D, RepeatedLaw, RepeatedProblem, base_held, staged_law
from ..laws.solvers.repeated_loss import RepeatedDataLaw
from ..runs.cells import NumberColumn, numbers, texts
from ..runs.importers import published, scaling_protein_lm
from ..runs.table_files import header, is_table, read_table
from .laws import fit_repeated, overtraining_law, repeated_objective, scaled_huber_mle
from .reproductions_cheng import cheng

Array = NDArray[np.float64]
Numbers = dict[str, float]

OUTLIERS = 5
NOTEBOOK_SEED = 42
CHINCHILLA_PARAMETERS = ("A", "B", "E", "alpha", "beta")


class Reproduction(NamedTuple):
    """A data set: whether a path is it, and the numbers from it (resamples for standard errors as the argument)."""

    matches: Callable[[Path], bool]
    numbers: Callable[[Path, int], Numbers]


def _table_with(*columns: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and is_table(path) and set(columns) <= set(header(path))


def _floats(path: Path, *columns: str) -> list[Array]:
    table = read_table(path)
    return [numbers(table, name, NumberColumn(str(path), name)) for name in columns]


def epoch_chinchilla(path: Path, n_bootstrap: int) -> Numbers:
    """Besiroglu et al. 2024: the digitised Chinchilla points without the five highest losses, D = C / (6 N)."""
    every_n, flops, every_loss = _floats(path, "Model Size", "Training FLOP", "loss")
    every_d = flops / (6 * every_n)
    kept = every_loss < np.sort(every_loss)[-OUTLIERS]
    n, d, loss = every_n[kept], every_d[kept], every_loss[kept]
    law, scaled = chinchilla_law(n, d, loss), scaled_huber_mle(n, d, loss)
    found = {"n_points": float(kept.sum()), "huber_objective": law.objective, "a_opt": law.size_exponent}
    found |= {f"huber_{name}": float(getattr(law, name)) for name in CHINCHILLA_PARAMETERS}
    found |= {f"mle_{name}": float(getattr(scaled.law, name)) for name in CHINCHILLA_PARAMETERS}
    found |= {"mle_log_sigma": scaled.log_sigma, "mle_nll": scaled.negative_log_likelihood}
    errors = _standard_errors((n, d, loss), law, np.flatnonzero(kept), n_bootstrap=n_bootstrap)
    whole = chinchilla_law(every_n, every_d, every_loss)
    found |= {f"all_points_{name}": float(getattr(whole, name)) for name in CHINCHILLA_PARAMETERS}
    return found | errors | {"all_points_a_opt": whole.size_exponent}


def _standard_errors(
    points: tuple[Array, Array, Array], law: ChinchillaLaw, index: NDArray[np.intp], *, n_bootstrap: int
) -> Numbers:
    """Standard deviations over the notebook's own resamples: the first of its 4000."""
    # The legacy generator is what the notebook drew with; another one gives other resamples.
    generator = np.random.RandomState(NOTEBOOK_SEED)  # the notebook's own
    draws = [generator.choice(index, size=len(index), replace=True) for _ in range(n_bootstrap)]
    weights = np.array([np.bincount(draw, minlength=index.max() + 1)[index] for draw in draws], dtype=float)
    problem = ChinchillaProblem.of(*points, delta=1e-3)
    theta, objective = polish(problem, np.repeat(problem.theta(law)[None], len(draws), axis=0), weights)
    laws = [problem.law(one, value) for one, value in zip(theta, objective, strict=True)]
    return {f"se_{p}": float(np.std([getattr(one, p) for one in laws], ddof=1)) for p in CHINCHILLA_PARAMETERS}


GADRE_FIT_MODELS = ("d=96_l=8_h=4", "d=512_l=8_h=4", "d=576_l=24_h=8", "d=1024_l=24_h=8")
GADRE_SMALLEST = GADRE_FIT_MODELS[0]
GADRE_TOKENS_PER_PARAM = 20
GADRE_TRAINING_SET = "rpj"


def gadre(path: Path, n_bootstrap: int) -> Numbers:
    """Gadre et al. 2024, RedPajama: five small runs forecast C4 loss of 1.4B at M = 640 and of 6.9B at M = 20."""
    del n_bootstrap
    table = published.gadre_table(path)
    columns = ("N", "multiplier", published.gadre_loss(table))
    n, multiplier, loss = (numbers(table, name, NumberColumn(str(path), name)) for name in columns)
    model = np.array([text.rpartition("/")[2].removesuffix(".json") for text in texts(table, "model")])
    own = np.array(texts(table, "train_set")) == GADRE_TRAINING_SET
    small = np.isin(model, GADRE_FIT_MODELS) & (multiplier == 1) | (model == GADRE_SMALLEST) & (multiplier == 16)
    fitted, m = own & small, GADRE_TOKENS_PER_PARAM * multiplier
    law = overtraining_law(n[fitted], m[fitted], loss[fitted])
    found = {"n_points": float(fitted.sum()), "alpha": law.size_term, "beta": law.token_term, "eta": law.eta}
    found["E"] = law.E
    for name, held_out in (("open_lm_1b", 32), ("open_lm_7b", 1)):
        rows = own & (model == name) & (multiplier == held_out)
        if rows.any():
            found[f"heldout_{name}"] = 100 * float(np.abs(law.loss(n[rows], m[rows]) / loss[rows] - 1).max())
    return found


PORIAN_DESIGNS = {
    "kaplan_repro": ("base", "long", "kaplan", "kaplan"),
    "count_last_layer": ("base", "long", "kaplan", "standard"),
    "short_warmup": ("base", "short", "kaplan", "standard"),
    "cosine_decay": ("base", "short", "chinchilla", "standard"),
    "tuned": ("tuned", "short", "const", "standard"),
}


def porian(path: Path, n_bootstrap: int) -> Numbers:
    """Porian et al. 2024: exponent of the optimal size, weighted by the variance of each budget's optimum."""
    del n_bootstrap
    table, found = read_table(path), {}
    columns = [texts(table, name) for name in ("dataset", "hparams", "warmup", "decay", "param_count")]
    designs = list(zip(*columns, strict=True))
    names = ("flops", "n_opt", "n_star_std")
    flops, best, error = (numbers(table, name, NumberColumn(str(path), name)) for name in names)
    for dataset in sorted({design[0] for design in designs}):
        for name, wanted in PORIAN_DESIGNS.items():
            same = np.array([design == (dataset, *wanted) for design in designs])
            known = same & np.isfinite(error) & np.isfinite(best)
            if known.sum() > 2:
                law = power_law(flops[known], best[known], weights=error[known] ** -2.0)
                found[f"{dataset}_{name}"] = law.exponent
    return found


MUENNIGHOFF_LAW = ChinchillaLaw(
    E=float(np.exp(0.6254804)),
    A=float(np.exp(6.255414)),
    B=float(np.exp(7.3049974)),
    alpha=0.3526596,
    beta=0.3526596,
    objective=float("nan"),
)
MUENNIGHOFF_POINT = {"r_d": 15.387756, "r_n": 5.309743}
"""The single-epoch law on C4 that they hold fixed, and the constants that they publish."""


def muennighoff(path: Path, n_bootstrap: int) -> Numbers:
    """Muennighoff et al. 2023: repeated data on C4. The valley of the objective is flat, so its value is compared."""
    del n_bootstrap
    n, d, u, loss = _floats(path, "N", "D_total", "D_unique", "loss")
    law, data = RepeatedDataLaw(MUENNIGHOFF_LAW), (n, d, u, loss)
    near, lowest = fit_repeated(law, data, r_d=15.0, r_n=5.0), staged_law(data, MUENNIGHOFF_LAW)
    found = {"n_points": float(len(loss)), "objective_at_published": repeated_objective(law, data, **MUENNIGHOFF_POINT)}
    found |= {"objective_from_15_5": near[2], "objective_lowest": lowest.objective}
    found |= {"r_d_lowest": lowest.r_d, "r_n_lowest": lowest.r_n}
    r_d = np.append(np.geomspace(2.0, lowest.r_d, 80), 1e5)
    ratio = _valley(data, lowest, r_d) / lowest.objective
    return found | {"r_d_one_per_cent": float(r_d[np.argmax(ratio <= 1.01)]), "ratio_at_1e5": float(ratio[-1])}


def _valley(data: tuple[Array, Array, Array, Array], lowest: RepeatedLaw, r_d: Array) -> Array:
    """Lowest objective at each r_d, the law of single passes held."""
    problem = RepeatedProblem.of(data, delta=1e-3)
    theta = problem.theta(lowest)
    columns, starts = np.full(r_d.size, R_D), np.tile(theta, (1, r_d.size, 1))
    return held(problem, columns, np.log(r_d), starts, within=base_held(theta))[0]


SYNTHETIC_FLOOR, SYNTHETIC_SIZE_TERM, SYNTHETIC_TOKEN_TERM = 1.69, 406.4, 410.7


def synthetic(path: Path, n_bootstrap: int) -> Numbers:
    """Bias of approach 2 on noise-free Chinchilla laws: 15 sizes about each optimum, five budgets 1e17 to 1e21."""
    del path, n_bootstrap
    found = {}
    for name, alpha, beta in (("chinchilla_x16", 0.34, 0.28), ("asym_x16", 0.465, 0.155)):
        found |= {f"{name}_{key}": value for key, value in _valleys(alpha, beta, width=16).items()}
    found["chinchilla_x8_D_1e24_rel"] = _valleys(0.34, 0.28, width=8)["D_1e24_rel"]
    return found | {"symmetric_x8_3x_offset": _valleys(0.31, 0.31, width=8, offset=1 / 3)["D_1e24_rel"]}


def _valleys(alpha: float, beta: float, *, width: float, offset: float = 1.0) -> Numbers:
    a, b = SYNTHETIC_SIZE_TERM, SYNTHETIC_TOKEN_TERM
    budgets = np.geomspace(1e17, 1e21, 5)
    best = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (budgets / 6) ** (beta / (alpha + beta))
    tokens = []
    for budget, size in zip(budgets, best, strict=True):
        sizes = size * offset * np.geomspace(1 / width, width, 15)
        loss = SYNTHETIC_FLOOR + a * sizes**-alpha + b * (budget / 6 / sizes) ** -beta
        tokens.append(budget / 6 / parabola_vertex(sizes, loss).n_params)
    fitted, true = power_law(budgets, tokens), power_law(budgets, budgets / 6 / best)
    logs = {"b0_true": true.log_prefactor / np.log(10), "b0_hat": fitted.log_prefactor / np.log(10)}
    return {"b": fitted.exponent} | logs | {"D_1e24_rel": float(fitted.at(1e24) / true.at(1e24) - 1)}


REPRODUCTIONS: dict[str, Reproduction] = {
    "epoch_chinchilla": Reproduction(_table_with("Model Size", "Training FLOP", "loss"), epoch_chinchilla),
    "gadre": Reproduction(published.is_gadre, gadre),
    "porian": Reproduction(_table_with("dataset", "hparams", "n_opt", "n_star_std", "flops"), porian),
    "muennighoff_c4": Reproduction(_table_with("N", "D_total", "D_unique", "loss"), muennighoff),
    "cheng_plm": Reproduction(scaling_protein_lm.matches, cheng),
    "synthetic_approach2": Reproduction(lambda _: False, synthetic),
}
"""The data sets; `synthetic_approach2` needs none."""
