"""Download the source."""

from pathlib import Path

from _job import run

from plmscale.sequences.retrieve import Wanted, retrieve


def main(*, fasta: str, record: str, **wanted) -> None:
    retrieve(Wanted(**wanted), Path(fasta), record=Path(record))


run(main, snakemake)
