"""The whole analysis of runs that came as a table: laws, learning rates, choices, and what a loss costs."""

from collections.abc import Sequence

import pandas as pd

from ..laws.confidence.sensitivity import of_curves
from ..laws.cost_to_loss import Reached, flops_to_reach
from ..laws.fit import Fit
from ..laws.methods import fit_curves
from ..laws.rates.fitted import rate_findings
from ..results.analysed import Analysed
from ..results.external import Analysis, Request
from ..runs.curves import Curve, smooth
from ..runs.tidy import ImportedRuns


def analyse(imported: ImportedRuns, request: Request) -> Analysis:
    """Smooth the curves, fit every law asked for per group, and find what is said beside them, once."""
    curves = smooth(imported.frame)
    found = {n: fit_curves(curves, name=n, seed=request.seed, settings=request.settings) for n in request.fits}
    fits = {n: {group: Fit.from_json(fit) for group, fit in one["schedules"].items()} for n, one in found.items()}
    choices = of_curves(curves, settings=request.settings)
    results = Analysed(curves, fits, rates=rate_findings(curves), sensitivity=choices)
    reached = {group: _reached(imported.frame, curves, group, request.target_loss) for group in results.schedules}
    return Analysis(imported, request, results, found, reached)


def _reached(runs: pd.DataFrame, curves: Sequence[Curve], group: str, loss: float) -> Reached:
    own = [curve for curve in curves if curve.schedule == group]
    return flops_to_reach(runs.loc[runs["schedule"] == group], own, loss=loss)
