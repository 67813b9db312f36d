"""Tables 1 and 2: the laws that were fitted, and the optimal sizes that follow from them."""

from typing import Any

import pandas as pd

from ...estimates import Estimate
from ...laws.fit import NO_FIT, Fit
from ...presentation.formats import FIT_TITLES, beside, standing, verdict
from ...presentation.schedule_words import schedule_title
from ...presentation.tables import Column, Table
from ...results.analysed import LawResults

SYMBOLS = {
    "n_prefactor": "k in N_opt = k·C^a",
    "d_prefactor": "k in D_opt = k·C^b",
    "a_plus_b": "a + b",
    "a_constrained": "a, if a + b = 1",
    "b_constrained": "b, if a + b = 1",
    "a_all_points": "a, the paper's procedure (edge optima included)",
    "b_all_points": "b, the paper's procedure (edge optima included)",
    "a_plus_b_all_points": "a + b, the paper's procedure (edge optima included)",
    "alpha": "α",
    "beta": "β",
    "alpha_N": "α_N",
    "alpha_D": "α_D",
    "N_c": "N_c (parameters)",
    "D_c": "D_c (tokens)",
    "E": "E (nats)",
    "plateau_loss": "median end of flat runs: plateau loss (nats)",
    "initial_loss": "median first evaluation: initial loss (nats)",
    "r_d": "R_D* (repeats)",
    "r_n": "R_N* (excess sizes)",
    "penalty": "P of P·√R·N/U (nats)",
    "held_out_largest_budget": "error on the largest budget, left out (share)",
    "held_out_largest_size": "error on the largest size, left out (share)",
}
"""Parameters for a reader, where the key is not enough."""

LEVEL_SYMBOLS = {
    "exponent": "p in C = k·N^p",
    "prefactor": "k in C = k·N^p",
    "slope": "slope of C against N (FLOPs)",
    "intercept": "intercept of C against N (FLOPs)",
}
"""The same for parameters that the plateau has for each of its levels; keys end in per cent: `exponent_90`."""


def symbol(parameter: str) -> str:
    """A parameter for a reader.

    Examples
    --------
    >>> symbol("exponent_90"), symbol("alpha_N"), symbol("a")
    ('p in C = k·N^p, 90 %', 'α_N', 'a')
    """
    stem, _, level = parameter.rpartition("_")
    if stem in LEVEL_SYMBOLS:
        return f"{LEVEL_SYMBOLS[stem]}, {level} %"
    return SYMBOLS.get(parameter, parameter)


def fits_of(results: LawResults, schedule: str) -> dict[str, Fit]:
    """Every fit method of the study on one schedule, in the order of the paper; `NO_FIT` where a schedule has none.

    A law of something that no run did (`details["applies"]` is false) is left out.
    """
    found = {name: results.fits[name].get(schedule, NO_FIT) for name in FIT_TITLES if name in results.fits}
    return {name: fit for name, fit in found.items() if fit.details.get("applies", True)}


def law_parameters(results: LawResults, *, groups: str = "Schedule") -> Table:
    """Table 1: one row per schedule, fit and parameter, and the errors of each fit on what it was not shown.

    A law that is not identified has no numbers, but a reason. `groups` is what a reader calls the groups of runs.
    """
    rows, notes = [], []
    for schedule in results.schedules:
        for name, fit in fits_of(results, schedule).items():
            title = f"{schedule_title(schedule)}, {FIT_TITLES[name]}"
            notes.append(f"{title}, {verdict(fit)}")
            notes += [f"{title}, warning: {text}" for text in fit.details.get("warnings", ())]
            rows += [
                {"schedule": schedule, "fit": name}
                | _parameter(key, one)
                | {"status": fit.status, "reason": fit.reason, "caveat": fit.caveat, "standing": standing(fit)}
                for key, one in {**(fit.estimates or {"": Estimate(None)}), **held_out_errors(fit)}.items()
            ]
    names = ("schedule", "fit", "parameter", "value", "low", "high", "status", "reason", "caveat")
    data = pd.DataFrame(rows, columns=pd.Index(names), dtype=object)
    shown = data.assign(
        fit=data["fit"].map(FIT_TITLES.__getitem__),
        status=pd.Series([row["standing"] for row in rows], dtype=object),
        parameter=data["parameter"].map(symbol),
    )
    columns = [
        Column(groups, "schedule", "schedule"),
        Column("Fit", "fit"),
        Column("Parameter", "parameter"),
        Column("Value (95 % interval)", "value", "number", interval=("low", "high")),
        Column("Status", "status"),
    ]
    return Table(data, columns, shown, tuple(dict.fromkeys(notes)), number="value")


def held_out_errors(fit: Fit) -> dict[str, Estimate]:
    """Root mean square errors, as shares, of a fit that stands, on the largest budget and size when not shown them."""
    if fit.status not in ("identified", "weakly_identified"):
        return {}
    errors = fit.details.get("held_out", {})
    return {f"held_out_{key}": Estimate(errors[key]["rms_log_error"]) for key in errors}


def _parameter(key: str, one: Estimate) -> dict[str, Any]:
    return {"parameter": key, "value": one.value, "low": one.low, "high": one.high}


def optimal_sizes(results: LawResults, *, groups: str = "Schedule") -> Table:
    """Table 2: one row per schedule, fit and budget; no number far outside the sizes trained."""
    keys = (
        "n_params",
        "n_params_low",
        "n_params_high",
        "n_tokens",
        "n_tokens_low",
        "n_tokens_high",
        "tokens_per_param",
    )
    names = ("schedule", "fit", "flops", "status", *keys)
    rows = [
        {"schedule": schedule, "fit": name, "flops": row["flops"], "status": row["status"]}
        | {key: row.get(key) for key in keys}
        for schedule in results.schedules
        for name, fit in fits_of(results, schedule).items()
        for row in fit.details.get("optimal_sizes", ())
    ]
    data = pd.DataFrame(rows, columns=pd.Index(names), dtype=object)
    columns = [
        Column(groups, "schedule", "schedule"),
        Column("Fit", "fit"),
        Column("C (FLOPs)", "flops", "compact"),
        Column("Status", "status"),
        Column("N_opt (parameters, 95 % interval)", "n_params", "short", ("n_params_low", "n_params_high")),
        Column("D_opt (tokens, 95 % interval)", "n_tokens", "short", ("n_tokens_low", "n_tokens_high")),
        Column("D/N", "tokens_per_param", "number"),
    ]
    notes = {
        f"{schedule_title(schedule)}, {FIT_TITLES[name]}, {standing(fit)}:{beside(fit)}": None
        for schedule in results.schedules
        for name, fit in fits_of(results, schedule).items()
        if fit.caveat and fit.details.get("optimal_sizes")
    }
    return Table(
        data, columns, data.assign(fit=data["fit"].map(FIT_TITLES.__getitem__)), tuple(notes), number="n_params"
    )
