"""FASTA → token store."""

from pathlib import Path

from _job import run

from plmscale.sequences.store import build_store


def main(*, source: str, tokens: str, retrieval: list[str], **_) -> None:
    build_store(Path(source), Path(tokens).parent, retrieval=Path(retrieval[0]) if retrieval else None)


run(main, snakemake)
