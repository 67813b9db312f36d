"""Smooth the loss curves."""

from _job import run

from plmscale.runs.curve_files import smooth_file


def main(*, runs: str, curves: str, **_) -> None:
    smooth_file(runs, curves)


run(main, snakemake)
