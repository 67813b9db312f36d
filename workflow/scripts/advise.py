"""Write which cells to train next, and print it."""

from pathlib import Path

import pandas as pd
from _job import run

from plmscale.advise.study import advise_study
from plmscale.study.study import Study


def main(*, runs: str, study: dict, counted: dict, calibrations: dict, tsv: str, md: str, **_) -> None:
    table, whole = pd.read_parquet(runs), Study.from_json(study)
    print(advise_study(table, whole, counted=counted, records=calibrations, tsv=Path(tsv), md=Path(md)), end="")


run(main, snakemake)
