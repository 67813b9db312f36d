"""Count a set that is another one, gone over more or less than once."""

from _job import run

from plmscale.files import read_json, write_json
from plmscale.study.config import Subset
from plmscale.study.pass_rows import pass_counts


def main(*, of, counts, subset) -> None:
    write_json(counts, pass_counts(read_json(of), Subset.model_validate(subset)))


run(main, snakemake)
