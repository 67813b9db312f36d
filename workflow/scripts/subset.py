"""Choose the sequences of a training set."""

from pathlib import Path

from _job import run

from plmscale.sets.datasets import SetFiles, make_subset
from plmscale.sets.mmseqs_memory import split_memory_limit
from plmscale.study.config import Clustering, Subset


def main(*, subset, clustering, means, same_size_as, max_length, seed, **files) -> None:
    settings = Clustering.model_validate(clustering | means) if clustering else None
    row, sizes = Subset.model_validate(subset), [Path(p) for p in same_size_as]
    here = SetFiles.named(**files)
    make_subset(here, subset=row, clustering=settings, same_size_as=sizes, max_length=max_length, seed=seed)


limit = split_memory_limit(snakemake.resources.mem_mb, limit=snakemake.resources.mmseqs_memory or None)
means = {"threads": snakemake.threads, "memory_limit": limit}
scratch = snakemake.resources.mmseqs_scratch or Path(snakemake.output.ids).parent / ".scratch"
run(main, snakemake, log=snakemake.log[0], scratch=scratch, means=means)
