"""Folders of results beside each other."""

from pathlib import Path

from _job import run

from plmscale.compare.compare import compare
from plmscale.laws.analysis import fit_settings
from plmscale.study.config import Analysis


def main(*, summary: str, folders: list, how: dict, analysis: dict, seed: int, **_) -> None:
    settings = fit_settings(Analysis.model_validate(analysis))
    compare([Path(folder) for folder in folders], Path(summary).parent, settings=settings, seed=seed, **how)


run(main, snakemake)
