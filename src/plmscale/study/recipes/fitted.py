"""The rule of the learning rate that the sweeps of a study gave (`plmscale.laws.learning_rates`)."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...files import read_as, read_object

OWN = Path("results")
"""Where the results of the study itself lie."""


def fitted_formula(path: str) -> str:
    """The rule of sweeps as a formula.

    Parameters
    ----------
    path : str
        `analysis/learning_rates.json` of the results of another study.

    Raises
    ------
    InputError
        If there is no such file, no rule in it, or one for each of several schedules; or if it is of the study itself:
        its rule changes with every cell, and each change would train all of them again.
    """
    file = Path(path)
    if file.resolve().is_relative_to(OWN.resolve()):
        raise InputError(
            f"training.learning_rate: {path} is of this study itself, and changes with every cell of it. Name that of "
            "another study, or copy it out of results/."
        )
    found = read_object(file)
    with read_as("what sweeps of the learning rate gave", where=file):
        rules = {one["rates"]["schedule"]: one["rates"]["rule"] for one in found["schedules"]}
        known = {str(name): _formula(rule) for name, rule in rules.items() if rule}
    if len(known) != 1:
        what = f"rules of several schedules ({', '.join(known)})" if known else "no rule: too few sweeps had an optimum"
        raise InputError(
            f"training.learning_rate: {path} holds {what}. Write a formula; the table learning_rates has the rules."
        )
    return next(iter(known.values()))


def _formula(rule: Mapping[str, Any]) -> str:
    """lr = k N^-c D^-d."""
    k, c, d = float(rule["k"]), float(rule["c"]["value"]), float(rule["d"]["value"] or 0.0)
    if not (all(map(isfinite, (k, c, d))) and k > 0):
        raise ValueError("its rule has no numbers")
    return f"{k!r} * N^{-c!r}" + (f" * D^{-d!r}" if d else "")
