"""The whole analysis on runs that came as a table: fits, tables, figures and a summary, without a training study."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ..errors import InputError
from ..files import atomic, write_json
from ..laws.confidence.sensitivity import of_curves
from ..laws.cost_to_loss import PAPER_PLATEAU, Reached, flops_to_reach
from ..laws.fit import Fit, FitSettings
from ..laws.learning_rates import learning_rates
from ..laws.methods import fit_curves
from ..presentation.figure_style import SizeScale, write_on_pages
from ..presentation.tables import Table, write_table
from ..provenance import versions
from ..results.analysed import Analysed
from ..runs.curves import Curve, smooth, to_frame
from ..runs.tidy import ImportedRuns
from ..study.catalog import FITS, TABLES
from .external_summary import reached_table, runs_table, summary_text
from .figures.isoflop import isoflop_profiles
from .figures.laws import compute_optimal, parametric_fit
from .figures.learning_rates import rates_figure
from .figures.repeated import repeated_figure
from .figures.study import loss_vs_flops, plateau
from .figures.surface import contours, residuals
from .learning_rates import rates_table
from .sensitivity import forest_of, table_of
from .tables.laws import law_parameters, optimal_sizes
from .tables.repeated import repeated_table

FIGURES = {
    "compute_optimal": compute_optimal,
    "isoflop": isoflop_profiles,
    "contours": contours,
    "residuals": residuals,
    "parametric_fit": parametric_fit,
    "plateau": plateau,
}
"""Figures of a group besides its loss against FLOPs. Those of laws that were not fitted are left out."""

NEEDED_FITS = {
    "isoflop": ("isoflop",),
    "contours": ("chinchilla",),
    "residuals": ("chinchilla", "kaplan"),
    "parametric_fit": ("chinchilla", "kaplan"),
    "plateau": ("plateau",),
    "compute_optimal": ("envelope",),
}


@dataclass(frozen=True)
class Request:
    """What is asked of the runs.

    Attributes
    ----------
    fits : tuple of str
        Keys of `plmscale.laws.methods.FITS`.
    seed : int
        Seed of the resamples.
    target_loss : float
        Loss (nats) for which the FLOPs to reach it are told, by size.
    settings : FitSettings
    """

    fits: tuple[str, ...] = FITS
    seed: int = 0
    target_loss: float = PAPER_PLATEAU
    settings: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        unknown = [name for name in self.fits if name not in FITS]
        if unknown or not self.fits:
            raise InputError(f"there are no fits {unknown}; choose among {', '.join(FITS)}.")
        if not self.target_loss > 0:
            raise InputError(f"the target loss is {self.target_loss}; it must be positive (nats).")


@dataclass(frozen=True)
class ExternalAnalysis:
    """Imported runs with everything that was found in them.

    Attributes
    ----------
    imported : ImportedRuns
    request : Request
    results : Analysed
        Curves and fits of all groups.
    fit_json : dict
        What the files of the fits hold, by method.
    reached : mapping of str to Reached
        By group.
    sensitivity : DataFrame
        `plmscale.laws.confidence.sensitivity.of_curves`: exponents by every combination of choices.
    """

    imported: ImportedRuns
    request: Request
    results: Analysed
    fit_json: Mapping[str, dict[str, Any]]
    reached: Mapping[str, Reached]
    sensitivity: pd.DataFrame


def analyse(imported: ImportedRuns, request: Request) -> ExternalAnalysis:
    """Smooth the curves, fit every law asked for per group, and vary the choices of the analysis."""
    curves = smooth(imported.frame)
    found = {n: fit_curves(curves, name=n, seed=request.seed, settings=request.settings) for n in request.fits}
    fits = {n: {group: Fit.from_json(fit) for group, fit in one["schedules"].items()} for n, one in found.items()}
    results = Analysed(curves, fits)
    reached = {group: _reached(imported.frame, curves, group, request.target_loss) for group in results.schedules}
    return ExternalAnalysis(imported, request, results, found, reached, of_curves(curves, settings=request.settings))


def write(analysis: ExternalAnalysis, folder: Path) -> list[Path]:
    """Write everything into `folder`, the summary last: where it is, all is.

    Parameters
    ----------
    analysis : ExternalAnalysis
    folder : Path
        Made if absent. `runs.parquet`, `curves.parquet`, `fits/`, `tables/`, `figures/`, `import.json`, `summary.txt`.

    Returns
    -------
    list of Path
        The figures, without suffix.
    """
    summary = folder / "summary.txt"
    summary.unlink(missing_ok=True)
    for name, frame in (("runs", analysis.imported.frame), ("curves", to_frame(analysis.results.curves))):
        with atomic(folder / f"{name}.parquet") as partial_file:
            frame.to_parquet(partial_file, index=False)
    for name, found in analysis.fit_json.items():
        write_json(folder / "fits" / f"{name}.json", found)
    for name, (title, table) in _tables(analysis).items():
        write_table(table, folder / "tables", name=name, title=title)
    figures = write_figures(analysis, folder / "figures")
    write_json(folder / "import.json", _record(analysis))
    with atomic(summary) as partial_file:
        text = summary_text(analysis.imported, analysis.results, analysis.reached, choices=analysis.sensitivity)
        partial_file.write_text(text, encoding="utf-8")
    return figures


def write_figures(analysis: ExternalAnalysis, folder: Path) -> list[Path]:
    """Every figure of every group as .svg, .pdf and .png; with several groups the group's name stands in front."""
    results = analysis.results
    written, groups = [], results.schedules
    prefixes = dict(zip(groups, file_prefixes(groups), strict=True))
    for group in groups:
        own = results.only(group)
        sizes = SizeScale(own.sizes)
        drawers: dict[str, Any] = {"loss_vs_flops": partial(loss_vs_flops, schedule=group)}
        drawers |= {name: draw for name, draw in FIGURES.items() if any(fit in own.fits for fit in NEEDED_FITS[name])}
        drawers |= _if_any(own)
        drawers["sensitivity"] = partial(_forest, choices=analysis.sensitivity)
        for name, draw in drawers.items():
            path = folder / f"{prefixes[group]}{name}"
            write_on_pages(partial(draw, own, sizes), folder, name=path.name)
            written.append(path)
    return written


def _if_any(own: Analysed) -> dict[str, Any]:
    """Figures of what not every table of runs holds."""
    drawers: dict[str, Any] = {"learning_rates": rates_figure} if learning_rates(own.curves) else {}
    if any(fit.details.get("applies") for fit in own.fits.get("repeated", {}).values()):
        drawers["repeated_data"] = repeated_figure
    return drawers


def file_prefixes(groups: Sequence[str]) -> list[str]:
    """Beginnings of file names by group, no two alike; none where there is one group.

    Examples
    --------
    >>> file_prefixes(["MLM", "CLM 2"]), file_prefixes(["all runs"])
    (['MLM_', 'CLM-2_'], [''])
    """
    if len(groups) == 1:
        return [""]
    plain = [re.sub(r"[^A-Za-z0-9.]+", "-", group).strip("-.")[:60] or "group" for group in groups]
    return [f"{name}{f'-{i}' if plain.count(name) > 1 else ''}_" for i, name in enumerate(plain)]


def _forest(own: Analysed, sizes: SizeScale, *, choices: pd.DataFrame) -> Figure:
    del sizes  # sizes are not shown
    return forest_of(own, choices)


def _reached(runs: pd.DataFrame, curves: Sequence[Curve], group: str, loss: float) -> Reached:
    own = [curve for curve in curves if curve.schedule == group]
    return flops_to_reach(runs.loc[runs["schedule"] == group], own, loss=loss)


def _tables(analysis: ExternalAnalysis) -> dict[str, tuple[str, Table]]:
    loss = analysis.request.target_loss
    return {
        "law_parameters": ("Scaling laws: parameters, intervals and verdicts", law_parameters(analysis.results)),
        "optimal_sizes": ("Optimal size per compute budget", optimal_sizes(analysis.results)),
        "runs": ("Runs: size, tokens, FLOPs and final loss", runs_table(analysis.results)),
        "sensitivity": ("Sensitivity of the exponents to choices", table_of(analysis.results, analysis.sensitivity)),
        "learning_rates": (TABLES["learning_rates"].title, rates_table(analysis.results)),
        "repeated_data": (TABLES["repeated_data"].title, repeated_table(analysis.results)),
        "flops_to_reach": (f"FLOPs to reach {loss:g} nats", reached_table(analysis.reached)),
    }


def _record(analysis: ExternalAnalysis) -> dict[str, Any]:
    """What was read and how: enough to say where every number is from."""
    imported, request = analysis.imported, analysis.request
    return {
        "source": imported.source,
        "format": imported.format,
        "notes": list(imported.notes),
        "n_runs": imported.n_runs,
        "n_rows": len(imported.frame),
        "request": asdict(request),
        "versions": versions(),
    }
