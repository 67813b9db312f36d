"""Files of runs that came as a table: fits, tables, figures and a summary, without a training study."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ..files import atomic, write_json
from ..presentation.figure_style import SizeScale, write_on_pages
from ..presentation.tables import Table, write_table
from ..provenance import versions
from ..results.analysed import Analysed
from ..results.external import Analysis
from ..runs.curves import to_frame
from ..study.catalog import TABLES
from .external_summary import reached_table, runs_table, summary_text
from .figures.isoflop import isoflop_profiles
from .figures.laws import compute_optimal, parametric_fit
from .figures.learning_rates import rates_figure
from .figures.repeated import repeated_figure
from .figures.study import loss_vs_flops, plateau
from .figures.surface import contours, residuals
from .learning_rates import rates_table
from .sensitivity import forest, sensitivity_table
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


def write(analysis: Analysis, folder: Path) -> list[Path]:
    """Write everything into `folder`, the summary last: where it is, all is.

    Parameters
    ----------
    analysis : Analysis
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
        text = summary_text(analysis.imported, analysis.results, analysis.reached)
        partial_file.write_text(text, encoding="utf-8")
    return figures


def write_figures(analysis: Analysis, folder: Path) -> list[Path]:
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
        drawers["sensitivity"] = forest
        for name, draw in drawers.items():
            path = folder / f"{prefixes[group]}{name}"
            write_on_pages(partial(draw, own, sizes), folder, name=path.name)
            written.append(path)
    return written


def _if_any(own: Analysed) -> dict[str, Any]:
    """Figures of what not every table of runs holds."""
    drawers: dict[str, Any] = {"learning_rates": rates_figure} if own.rates else {}
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


def _tables(analysis: Analysis) -> dict[str, tuple[str, Table]]:
    loss = analysis.request.target_loss
    return {
        "law_parameters": ("Scaling laws: parameters, intervals and verdicts", law_parameters(analysis.results)),
        "optimal_sizes": ("Optimal size per compute budget", optimal_sizes(analysis.results)),
        "runs": ("Runs: size, tokens, FLOPs and final loss", runs_table(analysis.results)),
        "sensitivity": ("Sensitivity of the exponents to choices", sensitivity_table(analysis.results)),
        "learning_rates": (TABLES["learning_rates"].title, rates_table(analysis.results)),
        "repeated_data": (TABLES["repeated_data"].title, repeated_table(analysis.results)),
        "flops_to_reach": (f"FLOPs to reach {loss:g} nats", reached_table(analysis.reached)),
    }


def _record(analysis: Analysis) -> dict[str, Any]:
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
