"""Predict cells before they are trained; a forecast that is there stays."""

from pathlib import Path

from _job import run

from plmscale.files import atomic
from plmscale.forecast.before import of_sets
from plmscale.forecast.frozen import read_forecast
from plmscale.forecast.study import freeze_study
from plmscale.study.study import Study


def main(*, study: dict, made: str, **_) -> None:
    path, this = Path(made).with_name("forecast.json"), Study.from_json(study)
    if not path.exists():
        freeze_study(this, of_sets(this), results=path.parents[1], path=path)
    found = read_forecast(path)
    with atomic(made) as partial:
        partial.write_text(f"{found['made']} {found['checksum']}\n")


run(main, snakemake)
