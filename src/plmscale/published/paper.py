"""What Serrano, Ciudad and Molina 2024 (arXiv 2406.07249) print, beside the same procedures on a study's runs.

The paper's procedures are not this package's rules: its envelope counts optima at the smallest and the largest size,
its combined law is least squares without signs, its size for a budget comes from a polynomial far outside the data.
Each printed number therefore has two beside it: what that procedure gives here, and what this package's rule says.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..estimates import Estimate
from ..laws.cost_to_loss import PAPER_PLATEAU
from ..laws.fit import NO_FIT, Fit
from ..reasons import Reason
from ..results.study_results import Results

EXPONENTS = {"a": 0.27, "b": 0.71}
"""Section 3.1: N_opt ∝ C^a and D_opt ∝ C^b, printed without intervals and without naming the schedule."""

KAPLAN = {"alpha_N": 0.0063, "alpha_D": 0.0074, "N_c": 4.85e79, "D_c": -1.33e69}
"""Table 1: parameters of Kaplan's combined law."""

LINES = {
    "slope": {0.9: -2.22e6, 0.95: -2.17e6, 1.0: -2.19e6},
    "intercept": {0.9: 3.04e14, 0.95: 2.61e14, 1.0: 2.38e14},
}
"""Figure 3, FLOPs to reach a level of the plateau against parameters. The paper does not say which value belongs to
which level: they are given to the levels in the order in which it prints both."""

SIZES = {1e17: 5.06e10, 1e18: 1.57e11, 1e19: 1.06e12, 1e20: 7.35e12}
"""Table 2: optimal size in parameters by budget in FLOPs."""

PERPLEXITIES = {
    "serrano_35m": 11.43,
    "xtrimopglm_100b": 10.81,
    "esm2_15b": 10.98,
    "cramming": 13.72,
}
"""Section 3.3: the paper's own run, and what it quotes beside it (Chen et al. 2024, Frey et al. 2024)."""

RUN_SIZE = 33_435_840
"""Parameters of the paper's own run in section 3.3 by its appendix F, the size that it calls 35M."""

NOT_ASKED = "budget_not_asked"
"""Code of the reason where a study does not ask for one of the paper's budgets."""

LARGEST_LOG10 = 300.0
"""Powers of ten up to which a constant is written as a number, and not as its logarithm alone."""

COLUMNS = (
    "item",
    "schedule",
    "quantity",
    "level",
    "flops",
    "paper",
    "procedure",
    "procedure_low",
    "procedure_high",
    "procedure_log10",
    "procedure_sign",
    "value",
    "low",
    "high",
    "value_of",
    "status",
    "why",
    "run",
    "n_params",
)
"""Columns of `beside_the_paper`."""


def beside_the_paper(results: Results, cells: pd.DataFrame) -> pd.DataFrame:
    """One row per schedule and number that the paper prints.

    Parameters
    ----------
    results : Results
        With the study's fits.
    cells : DataFrame
        `plmscale.results.outcomes.outcomes`.

    Returns
    -------
    DataFrame
        `item` ("exponent", "kaplan", "plateau", "line", "size", "perplexity"), `schedule`, `quantity`, with `level` (a
        share) and `flops` where it has one; `paper`, what is printed; `procedure`, what the paper's procedure gives on
        these runs, with an interval where the procedure has one, and of Kaplan's constants the decimal logarithm and
        sign, since they may leave the range of floats; `value`, `low`, `high`, what this package's rule says of
        `value_of`, None where the law is not identified; `status` and `why` of that law; for a perplexity `run` and
        `n_params` of the run whose it is.
    """
    rows: list[dict[str, Any]] = []
    for schedule in results.schedules:
        fits = {name: results.fits.get(name, {}).get(schedule, NO_FIT) for name in ("envelope", "kaplan", "plateau")}
        found = [*_exponents(fits["envelope"]), *_kaplan(fits["kaplan"]), *_plateau(fits["plateau"])]
        rows += [{"schedule": schedule} | row for row in found]
    rows += _perplexities(cells)
    return pd.DataFrame([dict.fromkeys(COLUMNS) | row for row in rows], columns=pd.Index(COLUMNS), dtype=object)


def _own(fit: Fit, key: str) -> dict[str, Any]:
    """What the package's rule says, with the verdict."""
    one = fit.estimates.get(key, Estimate(None))
    said = {"value": one.value, "low": one.low, "high": one.high, "value_of": key}
    return said | {"status": fit.status, "why": fit.why}


def _exponents(fit: Fit) -> Iterator[dict[str, Any]]:
    """Least squares through every point of the envelope, edge optima included."""
    for key, printed in EXPONENTS.items():
        one = fit.estimates.get(f"{key}_all_points", Estimate(None))
        row = {"item": "exponent", "quantity": key, "paper": printed, "procedure": one.value}
        yield row | {"procedure_low": one.low, "procedure_high": one.high} | _own(fit, key)


def _kaplan(fit: Fit) -> Iterator[dict[str, Any]]:
    """Least squares on the loss without signs."""
    found = fit.details.get("unbounded") or {}
    for key, printed in KAPLAN.items():
        row = {"item": "kaplan", "quantity": key, "paper": printed} | _own(fit, key)
        if key in ("alpha_N", "alpha_D"):
            yield row | {"procedure": found.get(key)}
            continue
        log10 = found.get("log10_N_c" if key == "N_c" else "log10_abs_D_c")
        sign = found.get("sign_D_c") if key == "D_c" else 1
        yield row | _constant(log10, sign)


def _constant(log10: float | None, sign: int | None) -> dict[str, Any]:
    if log10 is None or sign is None:
        return {}
    inside = abs(log10) < LARGEST_LOG10
    return {"procedure": sign * 10**log10 if inside else None, "procedure_log10": log10, "procedure_sign": sign}


def _plateau(fit: Fit) -> Iterator[dict[str, Any]]:
    """The plateau, straight lines through FLOPs against size, and sizes by the polynomial of the whole drop."""
    yield {"item": "plateau", "quantity": "plateau_loss", "paper": PAPER_PLATEAU} | _own(fit, "plateau_loss")
    levels = {float(level["level"]): level for level in fit.details.get("levels", ())}
    for key, printed in LINES.items():
        for share, number in printed.items():
            line = (levels.get(share) or {}).get("linear") or {}
            row = {"item": "line", "quantity": key, "level": share, "paper": number, "procedure": line.get(key)}
            yield row | _own(fit, f"exponent_{100 * share:g}")
    sizes = {row["flops"]: row for row in fit.details.get("optimal_sizes", ())}
    polynomial = (levels.get(1.0) or {}).get("polynomial") or {}
    for flops, number in SIZES.items():
        own = sizes.get(flops) or {}
        row = {"item": "size", "quantity": "n_opt", "flops": flops, "paper": number}
        row |= {"procedure": size_of_polynomial(polynomial.get("coefficients", ()), flops)}
        row |= {"value": own.get("n_params"), "low": own.get("n_params_low"), "high": own.get("n_params_high")}
        asked = fit.why if own or fit.status in ("not_identified", "failed") else Reason(NOT_ASKED)
        yield row | {"value_of": "n_opt", "status": own.get("status") or fit.status, "why": asked}


def size_of_polynomial(coefficients: Sequence[float], flops: float) -> float | None:
    """The one positive size at which a polynomial comes to a budget, however far outside the data.

    Parameters
    ----------
    coefficients : sequence of float
        From the constant upward.
    flops : float

    Returns
    -------
    float or None
        None where it does so at no size, or at several.

    Examples
    --------
    >>> size_of_polynomial([0.0, 0.0, 4.0], 1e18), size_of_polynomial([3e14, -2e6], 1e17)
    (500000000.0, None)
    """
    if len(coefficients) < 2:
        return None
    roots = np.polynomial.polynomial.polyroots([coefficients[0] - flops, *coefficients[1:]])
    real = [float(root.real) for root in roots if abs(root.imag) <= 1e-9 * abs(root) and root.real > 0]
    return real[0] if len(real) == 1 else None


def _perplexities(cells: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The lowest holdout perplexity of the study; beside the paper's own, that of a run that stopped at the plateau."""
    scored = [row for row in cells.to_dict("records") if row["holdout_perplexity"] is not None]
    lowest = min(scored, key=lambda row: row["holdout_perplexity"], default=None)
    stopped = [row for row in scored if row["stopped"]]
    nearest = min(
        stopped, key=lambda row: (abs(np.log(row["n_params"] / RUN_SIZE)), row["holdout_perplexity"]), default=None
    )
    for source, printed in PERPLEXITIES.items():
        row: dict[str, Any] = {"item": "perplexity", "quantity": source, "paper": printed, "value_of": "perplexity"}
        if source == "serrano_35m" and nearest is not None:
            row |= _scored(nearest, value="procedure", low="procedure_low", high="procedure_high") | {
                "value_of": "stopped"
            }
        elif lowest is not None:
            row |= _scored(lowest, value="value", low="low", high="high")
        yield row


def _scored(run: Mapping[Any, Any], *, value: str, low: str, high: str) -> dict[str, Any]:
    ends = {low: run["holdout_loss_low"], high: run["holdout_loss_high"]}
    interval = {key: None if loss is None else float(np.exp(loss)) for key, loss in ends.items()}
    return interval | {value: run["holdout_perplexity"], "run": run["run"], "n_params": run["n_params"]}
