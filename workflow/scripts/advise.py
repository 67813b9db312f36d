"""Write which cells to train next, and print it."""

from pathlib import Path

from _job import run

from plmscale.advise.study import advise_study
from plmscale.runs.curve_files import read_curves
from plmscale.study.study import Study


def main(*, curves: str, study: dict, counted: dict, calibrations: dict, tsv: str, md: str, **_) -> None:
    smoothed, whole = read_curves(curves), Study.from_json(study)
    print(advise_study(smoothed, whole, counted=counted, records=calibrations, tsv=Path(tsv), md=Path(md)), end="")


run(main, snakemake)
