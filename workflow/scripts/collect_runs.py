"""All runs as one tidy frame."""

from pathlib import Path

from _job import run

from plmscale.files import atomic
from plmscale.runs.collect import collect


def main(*, runs: list[str], metrics: list[str], table: str, convention: str, final_loss: str, **_) -> None:
    files = [Path(p) for p in runs], [Path(p) for p in metrics]
    frame = collect(*files, convention=convention, final_loss=final_loss)
    with atomic(table) as partial:
        frame.to_parquet(partial, index=False)


run(main, snakemake)
