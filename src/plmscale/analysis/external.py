"""The whole analysis of runs that came as a table: laws, learning rates, choices, and what a loss costs."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from ..laws.cost_to_loss import Reached, flops_to_reach
from ..laws.methods import fit_curves
from ..laws.rates.fitted import rate_findings
from ..report.stages import Progress, silent
from ..results.analysed import Analysed
from ..results.external import ExternalAnalysis, Request
from ..runs.curves import Curve, smooth
from ..runs.tidy import ImportedRuns


def analyse(imported: ImportedRuns, request: Request) -> ExternalAnalysis:
    """`answer`, and then `completed`."""
    return completed(answer(imported, request))


def answer(imported: ImportedRuns, request: Request, *, progress: Progress = silent) -> ExternalAnalysis:
    """Smooth the curves, and fit every law asked for per group: what the first lines of a summary say."""
    curves = smooth(imported.frame)
    fits = {
        name: fit_curves(curves, name=name, seed=request.seed, settings=request.settings)
        for name in progress(request.fits, what="fitting laws")
    }
    results = Analysed(curves, fits, rates=rate_findings(curves))
    reached = {group: _reached(imported.frame, curves, group, request.target_loss) for group in results.schedules}
    return ExternalAnalysis(imported, request, results, reached)


def completed(known: ExternalAnalysis, *, progress: Progress = silent) -> ExternalAnalysis:
    """An answer with what its exponents owe to the choices of the analysis, which takes as long as the laws."""
    from ..laws.confidence.sensitivity import of_curves  # not before the answer is printed

    (choices,) = (
        of_curves(curves, settings=known.request.settings, fits=known.results.fits)
        for curves in progress([known.results.curves], what="varying the choices of the analysis")
    )
    return replace(known, results=replace(known.results, sensitivity=choices))


def _reached(runs: pd.DataFrame, curves: Sequence[Curve], group: str, loss: float) -> Reached:
    own = [curve for curve in curves if curve.schedule == group]
    return flops_to_reach(runs.loc[runs["schedule"] == group], own, loss=loss)
