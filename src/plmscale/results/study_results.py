"""The finished parts of a study, read together for tables, figures and summary."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ..files import read_as, read_object
from ..laws.fit import Fit
from ..laws.rates.found import RateFindings
from ..runs.curves import Curve
from ..study.flops import count_params
from ..study.study import Study
from ..study.trunks import Trunk, trunks_of_records
from .analysed import read_analysed
from .findings import Findings
from .findings_files import read_findings


@dataclass(frozen=True)
class Results:
    """A finished study.

    Attributes
    ----------
    study : Study
    curves : list of Curve
        The smoothed runs.
    records : list of dict
        The run records (`run.json`); none in results that are drawn: `findings` has what they say.
    fits : dict of str to dict of str to Fit
        Fit by method and schedule.
    subsets : dict of str to dict
        Counts of every set and of the holdout, by name.
    stats : dict
        Statistics of the store.
    calibrations : dict of str to dict
        Usable measurements of speed by size.
    trunk_records : list of dict
        The records of trunks (`trunk.json`).
    forecast : dict, optional
        What was predicted before it was trained (`plmscale.forecast.frozen`).
    found : Findings, optional
        What was computed of all this; None while it is.
    """

    study: Study
    curves: list[Curve]
    records: list[dict[str, Any]]
    fits: dict[str, dict[str, Fit]]
    subsets: dict[str, dict[str, Any]]
    stats: dict[str, Any]
    calibrations: dict[str, dict[str, Any]] = field(default_factory=dict)
    trunk_records: list[dict[str, Any]] = field(default_factory=list)
    forecast: dict[str, Any] | None = None
    found: Findings | None = None

    @property
    def findings(self) -> Findings:
        """`found`, which whatever draws needs.

        Raises
        ------
        ValueError
            If results were read without them.
        """
        if self.found is None:
            raise ValueError("these results were read without findings: give read_results results/analysis/*.json.")
        return self.found

    @property
    def rates(self) -> Sequence[RateFindings]:
        """Learning rates of the schedules that have a sweep."""
        return self.findings.rates

    @property
    def sensitivity(self) -> pd.DataFrame:
        """Exponents by every combination of choices."""
        return self.findings.sensitivity

    @property
    def schedules(self) -> list[str]:
        """Schedules in the order of the table of sizes."""
        return list(dict.fromkeys(s for model in self.study.models for s in model.schedules))

    @property
    def sizes(self) -> list[int]:
        """Parameters of every size, in the order of the table; rows that differ in their learning rate are one size."""
        return list(dict.fromkeys(count_params(model) for model in self.study.models))

    @property
    def sets(self) -> list[str]:
        """Sets that models are trained on, in the order of the table."""
        return [subset.name for subset in self.study.subsets if subset.train]

    @cached_property
    def trunks(self) -> dict[str, Trunk]:
        """The trunks of the study by their paths, as its records tell (`plmscale.study.trunks.trunks_of_records`)."""
        return trunks_of_records(self.study, self.records)

    @property
    def unigram_entropy(self) -> float:
        """Loss of guessing amino acids by their frequency, nats."""
        return float(self.stats["unigram_entropy"])


def read_results(
    study: dict[str, Any],
    *,
    curves: Path,
    fits: Sequence[Path],
    subsets: Sequence[Path],
    stats: Path,
    records: Sequence[Path] = (),
    calibrations: dict[str, dict[str, Any]] | None = None,
    findings: Sequence[Path] = (),
) -> Results:
    """Read a finished study from its files.

    Parameters
    ----------
    study : dict
        `Study.to_json`.
    curves, stats : Path
    fits, subsets : sequence of Path
    records : sequence of Path, optional
        Of runs (`run.json`) and of trunks (`trunk.json`), for whatever computes.
    calibrations : dict, optional
    findings : sequence of Path, optional
        results/analysis/*.json, for whatever draws.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        If a file is missing or is not what it should be.
    """
    laws = read_analysed(curves, fits)
    read = [read_object(path) for path in records]
    with read_as("a folder of results", where=Path(stats).parent.parent):
        return Results(
            study=Study.from_json(study),
            curves=list(laws.curves),
            records=[record for record in read if "until_passes" not in record],
            fits={name: dict(own) for name, own in laws.fits.items()},
            subsets={d["name"]: d for d in (read_object(path) for path in subsets)},
            stats=read_object(stats),
            calibrations=calibrations or {},
            trunk_records=[record for record in read if "until_passes" in record],
            found=read_findings(findings) if findings else None,
        )
