"""Published laws of protein language models, for questions and plans before any run of one's own.

A law is its published constants; its spread are the same constants from other draws of the same runs, and what other
estimators make of them. Losses of masked and causal models are not comparable, so laws of both are never mixed.
"""

import csv
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...runs.extent import Extent

Array = NDArray[np.float64]

CONSTANTS = ("E", "A", "B", "alpha", "beta")
TABLE, RESAMPLES = (Path(__file__).with_name(name) for name in ("protein_laws.tsv", "resamples.tsv"))
DEFAULT = "cheng2024-mlm"
"""The law of masked models, which this package trains."""

CONVENTION = "C = 6ND, N without embeddings"
"""How Cheng et al. count: their D is C / (6N)."""

SEEN = {
    "cheng2024-mlm": Extent((6.291e6, 1.068e10), (1.963e9, 2.690e11), (9.942e17, 1.724e22)),
    "cheng2024-clm": Extent((6.291e6, 7.248e9), (1.572e9, 2.664e11), (9.942e17, 3.401e21)),
}
"""Ends of the runs behind a law: 82 and 123 stored curves of known size (`benchmarks/protein_laws.py`)."""


@dataclass(frozen=True)
class Estimator:
    """A row of the table: what one estimator made of the runs.

    Attributes
    ----------
    name, source, note : str
    constants : tuple of float or None
        `CONSTANTS` of a law of the loss.
    optimum : tuple of float or None
        Factor and exponent of N_opt = factor · C^exponent; the factor is NaN where only the exponent was printed.
    """

    name: str
    source: str
    note: str
    constants: tuple[float, ...] | None
    optimum: tuple[float, float] | None

    @property
    def exponent(self) -> float:
        """Exponent a of N_opt in C; NaN where there is none."""
        if self.constants is not None:
            return self.constants[4] / (self.constants[3] + self.constants[4])
        return math.nan if self.optimum is None else self.optimum[1]


@dataclass(frozen=True)
class ProteinLaw:
    """A published law.

    Attributes
    ----------
    name : str
    objective : str
        "masked" or "causal".
    estimators : tuple of Estimator
        The first is the law; those without a note are its spread.
    seen : Extent
        Of the runs behind it.
    resamples : array, shape (k, 5)
        `CONSTANTS` by the estimator of the law from other draws of the same runs.
    """

    name: str
    objective: str
    estimators: tuple[Estimator, ...]
    seen: Extent
    resamples: Array

    @property
    def constants(self) -> tuple[float, ...]:
        """`CONSTANTS` of the law."""
        found = self.estimators[0].constants
        assert found is not None
        return found


def names() -> list[str]:
    """Laws that answer questions."""
    return list(SEEN)


def is_published(name: str) -> bool:
    """Whether the table has a law of this name, one that answers or not."""
    return any(row["law"] == name for row in _rows(TABLE))


@cache
def protein_law(name: str = DEFAULT) -> ProteinLaw:
    """The law of this name.

    Raises
    ------
    InputError
        If there is none, or what was published gives no answers.

    Examples
    --------
    >>> protein_law().constants
    (0.0, 3.3652, 7.5686, 0.042287, 0.099433)
    """
    rows = [row for row in _rows(TABLE) if row["law"] == name]
    if not rows:
        raise InputError(f"there is no published law {name!r}; choose one of {', '.join(names())}.")
    estimators = tuple(_estimator(row) for row in rows)
    if name not in SEEN:
        said = "; ".join(f"{row['estimator']}: {row['note']}" for row in rows)
        raise InputError(f"{name} gives no answers ({said}). Choose one of {', '.join(names())}.")
    draws = np.array([[float(row[key]) for key in CONSTANTS] for row in _rows(RESAMPLES) if row["law"] == name])
    return ProteinLaw(name, rows[0]["objective"], estimators, SEEN[name], draws)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def _estimator(row: dict[str, str]) -> Estimator:
    constants = tuple(float(row[key]) for key in CONSTANTS) if row["E"] else None
    exponent, factor = row["n_exponent"], row["n_factor"]
    optimum = (float(factor) if factor else math.nan, float(exponent)) if exponent else None
    return Estimator(row["estimator"], row["source"], row["note"] or "", constants, optimum)
