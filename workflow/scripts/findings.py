"""What is said of the study beside its laws, computed once."""

from pathlib import Path

from _job import run

from plmscale.analysis.study import write_study_findings
from plmscale.results.study_results import read_results


def main(*, study: dict, folder: Path, science: str, **inputs) -> None:
    write_study_findings(read_results(study, **inputs), folder)


run(main, snakemake, folder=Path(snakemake.output[0]).parent)
