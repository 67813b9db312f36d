"""Download the source."""

from pathlib import Path

from _job import run

from plmscale.sequences.retrieve import DownloadRequest, retrieve


def main(*, fasta: str, record: str, **request) -> None:
    retrieve(DownloadRequest(**request), Path(fasta), record=Path(record))


run(main, snakemake)
