"""Keep the holdout candidates that are far from every training sequence."""

from pathlib import Path

from _job import run

from plmscale.config import Holdout
from plmscale.datasets import Files, make_holdout


def main(*, store, candidates, ids, counts, log, settings, max_length, threads) -> None:
    files = Files(Path(store[0]).parent, Path(candidates), Path(ids), Path(counts), Path(log))
    make_holdout(files, settings=Holdout.model_validate(settings), max_length=max_length, threads=threads)


run(main, snakemake, threads=snakemake.threads, log=snakemake.log[0])
