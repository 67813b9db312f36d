"""Choose the sequences of a training set."""

from pathlib import Path

from _job import run

from plmscale.config import Clustering, Subset
from plmscale.datasets import Files, make_subset


def main(*, store, candidates, ids, counts, log, subset, clustering, same_size_as, **rest) -> None:
    files = Files(Path(store[0]).parent, Path(candidates), Path(ids), Path(counts), Path(log))
    settings = Clustering.model_validate(clustering) if clustering else None
    sizes = [Path(p) for p in same_size_as]
    make_subset(files, subset=Subset.model_validate(subset), clustering=settings, same_size_as=sizes, **rest)


run(main, snakemake, threads=snakemake.threads, log=snakemake.log[0])
