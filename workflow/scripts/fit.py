"""Fit one law to the runs of each schedule."""

from pathlib import Path

import pandas as pd
from _job import run

from plmscale.analysis import fit_settings
from plmscale.config import Analysis
from plmscale.files import write_json
from plmscale.scaling import fit_all


def main(*, runs: str, fit: str, analysis: dict, seed: int, **_) -> None:
    settings = fit_settings(Analysis.model_validate(analysis))
    write_json(fit, fit_all(pd.read_parquet(runs), name=Path(fit).stem, seed=seed, settings=settings))


run(main, snakemake)
