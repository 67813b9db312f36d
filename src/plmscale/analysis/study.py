"""The findings of a study: one call a kind, each in the room that it belongs to."""

from dataclasses import replace
from pathlib import Path

from ..compare.set_worth import set_worth
from ..forecast.frozen import read_forecast
from ..forecast.score import score_cells, score_sizes
from ..laws.analysis import fit_settings
from ..laws.confidence.sensitivity import of_curves
from ..laws.rates.fitted import rate_findings
from ..laws.size_law import best_law
from ..plan.plan import chosen, whole_plan
from ..plan.planned_actual import planned_and_actual
from ..published.models import law_line, place
from ..published.paper import beside_the_paper
from ..results.findings import Findings, Published
from ..results.findings_files import write_findings
from ..results.outcomes import counted_tokens, outcomes, trunk_outcomes
from ..results.study_results import Results
from ..runs.collect import trained_with
from ..study.jobs import planned_tokens


def find(results: Results) -> Findings:
    """Everything that tables, figures, summary and page show and that no fit holds."""
    study, law = results.study, best_law(results.fits)
    cells, trunks = outcomes(results), trunk_outcomes(results)
    counted, records, trunks_there = counted_tokens(results), results.calibrations, results.trunks
    found = chosen(study, planned_tokens(study, counted), records, shared=trunks_there)
    plan = whole_plan(study, counted, records, shared=trunks_there, found=found).astype(object)
    return Findings(
        cells=cells,
        trunks=trunks,
        plan=plan,
        costs=planned_and_actual(results, plan, found.allocations, done=(cells, trunks)),
        rates=rate_findings(results.curves),
        sensitivity=of_curves(results.curves, settings=fit_settings(study.config.analysis), fits=results.fits),
        set_worth=set_worth(results),
        published=Published(law, place(study.published, law), law_line(law)),
        paper=beside_the_paper(results, cells),
        forecast=score_cells(results.forecast, cells),
        forecast_sizes=score_sizes(results.forecast, results.fits),
        software=trained_with(results.records),
    )


def write_study_findings(results: Results, folder: Path, *, forecast: Path | None = None) -> None:
    """`find`, written to `folder`; `forecast` is the file of one that was made before the study was finished."""
    known = read_forecast(forecast) if forecast is not None else None
    write_findings(find(replace(results, forecast=known)), folder)
