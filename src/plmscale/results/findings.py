"""What is said of a study beside its laws, computed once (`plmscale.analysis`): what drawing code draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..laws.rates.found import RateFindings
from ..laws.size_law import SizeLaw


class LawLine(NamedTuple):
    """The law in the plane of size and tokens per parameter: optima at rising compute, columns of shape (n, 2).

    `low` and `high` are the same for the ends of the interval of the size; empty without.
    """

    middle: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Published:
    """The published models on the study's law.

    Attributes
    ----------
    law : SizeLaw or None
        The law with the best verdict.
    models : DataFrame
        `plmscale.published.models.place`.
    line : LawLine
    """

    law: SizeLaw | None
    models: pd.DataFrame
    line: LawLine


@dataclass(frozen=True)
class Findings:
    """Everything that tables, figures, summary and page show and that no fit holds.

    Attributes
    ----------
    cells, trunks : DataFrame
        What came of every cell and trunk (`plmscale.results.outcomes`).
    plan : DataFrame
        The plan with the tokens as counted (`plmscale.plan.plan.whole_plan`).
    costs : DataFrame
        Planned against actual (`plmscale.plan.planned_actual`).
    rates : sequence of RateFindings
        Learning rates of the schedules that have a sweep.
    sensitivity : DataFrame
        Exponents by every combination of choices (`plmscale.laws.confidence.sensitivity`).
    set_worth : DataFrame
        What the tokens of a set are worth in those of another (`plmscale.compare.set_worth`); `why` is a `Reason`.
    published : Published
    paper : DataFrame
        What the paper prints beside its procedures on these runs (`plmscale.published.paper`); `why` is a `Reason`.
    forecast, forecast_sizes : DataFrame
        The cells and optimal sizes that were forecast, and what came (`plmscale.forecast.score`).
    software : DataFrame
        The versions that trained the runs (`plmscale.runs.collect.trained_with`).
    """

    cells: pd.DataFrame
    trunks: pd.DataFrame
    plan: pd.DataFrame
    costs: pd.DataFrame
    rates: Sequence[RateFindings]
    sensitivity: pd.DataFrame
    set_worth: pd.DataFrame
    published: Published
    paper: pd.DataFrame
    forecast: pd.DataFrame
    forecast_sizes: pd.DataFrame
    software: pd.DataFrame

    @property
    def trained(self) -> tuple[float, float]:
        """Tokens and FLOPs, by the study's convention, that all jobs together have trained: those of trunks once."""
        rows = [*self.cells.to_dict("records"), *self.trunks.to_dict("records")]
        tokens, flops = (sum(float(row[key] or 0) for row in rows) for key in ("tokens_trained", "flops_trained"))
        return tokens, flops
