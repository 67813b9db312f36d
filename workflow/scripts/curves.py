"""Smooth the loss curves."""

import pandas as pd
from _job import run

from plmscale.files import atomic
from plmscale.runs.curves import smooth, to_frame


def main(*, runs: str, curves: str, **_) -> None:
    with atomic(curves) as partial:
        to_frame(smooth(pd.read_parquet(runs))).to_parquet(partial, index=False)


run(main, snakemake)
