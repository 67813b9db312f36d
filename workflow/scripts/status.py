"""Print and write how far the study is."""

from pathlib import Path

from _job import run

from plmscale.status.status import write_status
from plmscale.study.study import Study


def main(*, study: dict, **_) -> None:
    print(write_status(Study.from_json(study), results=Path("results")))


run(main, snakemake)
