"""The verdict on the learning rate of the largest size."""

from pathlib import Path

from _job import run

from plmscale.files import atomic, read_object, write_json
from plmscale.plan.bracket import RATES, judge
from plmscale.study.study import Study


def main(*, study: dict, record: str, text: str, **runs) -> None:
    found = judge(Study.from_json(study), {rate: read_object(Path(runs[rate])) for rate in RATES})
    write_json(Path(record), found.to_json())
    with atomic(text) as partial:
        partial.write_text(f"{found.words}\n", encoding="utf-8")


run(main, snakemake)
