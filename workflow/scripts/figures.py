"""Write all figures of the study."""

from pathlib import Path

from _job import run

from plmscale.report.figures.writing import write_figures
from plmscale.results.study_results import read_results


def main(*, study: dict, folder: Path, science: str, processes: int, **inputs) -> None:
    write_figures(read_results(study, **inputs), folder, processes=processes)


run(main, snakemake, folder=Path(snakemake.output[0]).parent, processes=snakemake.threads)
