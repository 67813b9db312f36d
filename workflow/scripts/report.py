"""Write the report's page."""

from pathlib import Path

from _job import run

from plmscale.files import read_json
from plmscale.report.page.page import PageFiles, write_report
from plmscale.results.study_results import read_results


def main(*, study, page, tables, figures, captions, retrieval, templates, science, **inputs) -> None:
    known = read_json(retrieval[0]) if retrieval else {}
    files = PageFiles(Path(tables[0]).parent, Path(figures[0]).parent, captions, known)
    results = read_results(study, **{key: inputs[key] for key in ("curves", "fits", "subsets", "stats", "findings")})
    write_report(results, files, Path(page))


run(main, snakemake)
