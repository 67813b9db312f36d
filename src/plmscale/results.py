"""The finished parts of a study, read together for tables, figures and summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .curves import Curve, from_frame
from .files import read_json
from .fits import Fit
from .study import Study


@dataclass(frozen=True)
class Results:
    """A finished study.

    Attributes
    ----------
    study : Study
    runs : pandas.DataFrame
        All runs, one row per (run, evaluation); see `plmscale.runs.collect`.
    curves : list of Curve
        The smoothed runs.
    records : list of dict
        The run records (`run.json`).
    fits : dict of str to dict of str to Fit
        Fit by method and schedule.
    subsets : dict of str to dict
        Counts of every set and of the holdout, by name.
    stats : dict
        Statistics of the store.
    """

    study: Study
    runs: pd.DataFrame
    curves: list[Curve]
    records: list[dict[str, Any]]
    fits: dict[str, dict[str, Fit]]
    subsets: dict[str, dict[str, Any]]
    stats: dict[str, Any]

    @property
    def schedules(self) -> list[str]:
        """Schedules in the order of the table of sizes."""
        return list(dict.fromkeys(s for model in self.study.models for s in model.schedules))


def read_results(
    study: dict[str, Any],
    *,
    runs: Path,
    curves: Path,
    records: Sequence[Path],
    fits: Sequence[Path],
    subsets: Sequence[Path],
    stats: Path,
) -> Results:
    """Read a finished study from its files; `study` is `Study.to_json`."""
    read_fits = [read_json(path) for path in fits]
    return Results(
        study=Study.from_json(study),
        runs=pd.read_parquet(runs),
        curves=from_frame(pd.read_parquet(curves)),
        records=[read_json(path) for path in records],
        fits={f["fit"]: {s: Fit.from_json(fit) for s, fit in f["schedules"].items()} for f in read_fits},
        subsets={d["name"]: d for d in (read_json(path) for path in subsets)},
        stats=read_json(stats),
    )
