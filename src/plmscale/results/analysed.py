"""Runs with their laws: what figures and tables of laws need, whether a study trained the runs or a table had them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pandas as pd

from ..errors import InputError
from ..files import read_object
from ..laws.fit import Fit
from ..laws.rates.found import RateFindings
from ..runs.curve_files import read_curves
from ..runs.curves import Curve

Fits = Mapping[str, Mapping[str, Fit]]
"""Fit by method and schedule."""


class LawResults(Protocol):
    """What is shown of laws. `plmscale.results.study_results.Results` has it, and so has `Analysed`."""

    @property
    def curves(self) -> Sequence[Curve]:
        """The smoothed runs."""
        ...

    @property
    def fits(self) -> Fits:
        """Fit by method and schedule."""
        ...

    @property
    def schedules(self) -> list[str]:
        """Schedules (or groups) that are fitted apart, in order."""
        ...

    @property
    def sizes(self) -> list[int]:
        """Parameters of every size."""
        ...

    @property
    def sets(self) -> list[str]:
        """Names of the training sets, in order."""
        ...

    @property
    def rates(self) -> Sequence[RateFindings]:
        """Learning rates of the schedules that have a sweep."""
        ...

    @property
    def sensitivity(self) -> pd.DataFrame:
        """Exponents by every combination of choices (`plmscale.laws.confidence.sensitivity.of_curves`)."""
        ...

    @property
    def unigram_entropy(self) -> float | None:
        """Loss of guessing by frequency, nats; None where the data are not at hand."""
        ...


@dataclass(frozen=True)
class Analysed:
    """Runs that came as a table, and their fits.

    Attributes
    ----------
    curves : sequence of Curve
    fits : mapping
        Fit by method and group.
    rates : sequence of RateFindings
        Learning rates of the groups that have a sweep.
    sensitivity : DataFrame
        `plmscale.laws.confidence.sensitivity.of_curves`: exponents by every combination of choices. Empty before the
        choices have been varied.
    """

    curves: Sequence[Curve]
    fits: Fits
    rates: Sequence[RateFindings] = ()
    sensitivity: pd.DataFrame = field(default_factory=pd.DataFrame)
    unigram_entropy: float | None = None

    @property
    def schedules(self) -> list[str]:
        """Groups in order of appearance."""
        return list(dict.fromkeys(curve.schedule for curve in self.curves))

    @property
    def sizes(self) -> list[int]:
        """Parameters of every size, smallest first."""
        return sorted({curve.n_params for curve in self.curves})

    @property
    def sets(self) -> list[str]:
        """Training sets in order of appearance."""
        return list(dict.fromkeys(curve.subset for curve in self.curves))

    def only(self, group: str) -> "Analysed":
        """One group of runs with its fits and findings."""
        own = [curve for curve in self.curves if curve.schedule == group]
        fits = {name: {group: fits[group]} for name, fits in self.fits.items() if group in fits}
        rates = [one for one in self.rates if one.rates.schedule == group]
        return replace(self, curves=own, fits=fits, rates=rates)


def read_analysed(curves: Path, fits: Sequence[Path]) -> Analysed:
    """Runs and laws from the files of a folder of results (`plmscale.results.layout.layout`).

    Raises
    ------
    InputError
        If a file is missing or is not what it should be; the message names it.
    """
    try:
        smoothed = read_curves(curves)
    except (OSError, ValueError) as error:
        raise InputError(f"{curves}: not a table of curves ({error}). Make it again.") from error
    found: dict[str, dict[str, Fit]] = {}
    for path in fits:
        one = read_object(path)
        try:
            found[one["fit"]] = {schedule: Fit.from_json(fit) for schedule, fit in one["schedules"].items()}
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise InputError(f"{path}: not a fit of this package ({error}). Make it again.") from error
    return Analysed(smoothed, found)
