"""All laws on runs that somebody trained."""

from pathlib import Path

from _job import run

from plmscale.analysis.external import analyse
from plmscale.laws.analysis import fit_settings
from plmscale.report.external_runs import write
from plmscale.results.external import Request
from plmscale.runs.importers import load
from plmscale.runs.table_files import read_table
from plmscale.runs.tidy import ImportOptions
from plmscale.study.config import Analysis, OwnRuns


def main(*, runs: str, summary: str, own: dict, analysis: dict, seed: int, **_) -> None:
    how = OwnRuns.model_validate(own)
    describe = read_table(Path(how.describe)) if how.describe else None
    options = ImportOptions(flops=how.flops, loss_column=how.loss_column, describe=describe, columns=how.columns)
    settings = fit_settings(Analysis.model_validate(analysis))
    request = Request(seed=seed, target_loss=how.target_loss, settings=settings)
    write(analyse(load(Path(runs), kind=how.format, options=options), request), Path(summary).parent)


run(main, snakemake)
