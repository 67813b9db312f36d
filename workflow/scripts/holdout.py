"""Keep the holdout candidates that are far from every training sequence."""

from pathlib import Path

from _job import run

from plmscale.sets.datasets import SetFiles, make_holdout
from plmscale.sets.mmseqs_memory import split_memory_limit
from plmscale.study.config import Holdout


def main(*, settings, max_length, means, **files) -> None:
    make_holdout(SetFiles.named(**files), settings=Holdout.model_validate(settings), max_length=max_length, **means)


limit = split_memory_limit(snakemake.resources.mem_mb, limit=snakemake.resources.mmseqs_memory or None)
means = {"threads": snakemake.threads, "memory_limit": limit}
scratch = snakemake.resources.mmseqs_scratch or Path(snakemake.output.ids).parent / ".scratch"
run(main, snakemake, log=snakemake.log[0], scratch=scratch, means=means)
