"""Write the compute plan, and print its sums."""

from pathlib import Path

from _job import run

from plmscale.plan_report import write_plan
from plmscale.study import Study


def main(*, study: dict, counted: dict, cells: str, summary: str, text: str, **_) -> None:
    print(write_plan(Study.from_json(study), counted, cells=Path(cells), summary=Path(summary), text=Path(text)))


run(main, snakemake)
