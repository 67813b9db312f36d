"""What is said of the study beside its laws, computed once."""

from pathlib import Path

from _job import run

from plmscale.analysis.study import write_study_findings
from plmscale.results.study_results import read_results


def main(*, study: dict, folder: Path, science: str, forecast: list[str], **inputs) -> None:
    made = Path(forecast[0]).with_name("forecast.json") if forecast else None
    write_study_findings(read_results(study, **inputs), folder, forecast=made)


run(main, snakemake, folder=Path(snakemake.output[0]).parent)
