"""Write the compute plan, and print it."""

from pathlib import Path

from _job import run

from plmscale.plan.report import write_plan
from plmscale.study.study import Study


def main(*, study: dict, counted: dict, calibrations: dict, warnings: list, text: str, **_) -> None:
    folder = Path(text).parent
    print(write_plan(Study.from_json(study), counted, calibrations, folder=folder, warnings=warnings))


run(main, snakemake)
