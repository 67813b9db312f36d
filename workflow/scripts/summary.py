"""The study in numbers, in a few lines of text."""

from pathlib import Path

from _job import run

from plmscale.report.summary import write_summary
from plmscale.results.study_results import read_results


def main(*, study: dict, summary: str, page: str, science: str, **inputs) -> None:
    write_summary(read_results(study, **inputs), Path(summary), page=Path(page))


run(main, snakemake)
