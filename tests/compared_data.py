"""Folders of results as a finished study leaves them, with runs of a known law (`results_data`)."""

import json
from pathlib import Path

import pandas as pd

from plmscale.laws.methods import FITS
from plmscale.results.study_results import Results
from plmscale.runs.curve_files import to_frame


def write_results(results: Results, folder: Path) -> Path:
    """The files that a comparison reads, where the workflow puts them."""
    _write_json(folder / "subsets/holdout.json", results.subsets["holdout"])
    for record in results.records:
        cell = record["cell"]
        path = folder / "runs" / cell["model"]["name"] / cell["subset"] / cell["schedule"] / f"seed{cell['seed']}"
        _write_json(path / "run.json", record)
    (folder / "analysis").mkdir(parents=True, exist_ok=True)
    to_frame(results.curves).to_parquet(folder / "analysis/curves.parquet", index=False)
    for name in FITS:
        fit = {"fit": name, "schedules": {s: one.to_json() for s, one in results.fits[name].items()}}
        _write_json(folder / f"fits/{name}.json", fit)
    return folder


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def as_imported(results: Path, folder: Path, *, group: str) -> Path:
    """The same runs as `plmscale fit` leaves a table of them: no records, one group."""
    (folder / "fits").mkdir(parents=True)
    frame = pd.read_parquet(results / "analysis/curves.parquet").assign(schedule=group)
    frame.to_parquet(folder / "curves.parquet", index=False)
    for path in (results / "fits").glob("*.json"):
        fit = json.loads(path.read_text())
        _write_json(folder / "fits" / path.name, fit | {"schedules": {group: fit["schedules"]["constant"]}})
    return folder
