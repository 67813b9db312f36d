"""Fit one law to the runs of each schedule."""

from pathlib import Path

from _job import run

from plmscale.files import write_json
from plmscale.laws.analysis import fit_settings
from plmscale.laws.fit import fits_json
from plmscale.laws.methods import fit_curves
from plmscale.runs.curve_files import read_curves
from plmscale.study.config import Analysis


def main(*, curves: str, fit: str, analysis: dict, seed: int, **_) -> None:
    settings = fit_settings(Analysis.model_validate(analysis))
    name = Path(fit).stem
    write_json(fit, fits_json(name, fit_curves(read_curves(curves), name=name, seed=seed, settings=settings)))


run(main, snakemake)
