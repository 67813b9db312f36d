"""Figures of runs that came as a table."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..presentation.figure_style import SizeScale, write_on_pages
from ..results.analysed import Analysed
from .figures.isoflop import isoflop_profiles
from .figures.laws import compute_optimal, parametric_fit
from .figures.learning_rates import rates_figure
from .figures.repeated import repeated_figure
from .figures.study import loss_vs_flops, plateau
from .figures.surface import contours, residuals
from .sensitivity import forest
from .stages import Progress, silent

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


def write_figures(results: Analysed, folder: Path, *, progress: Progress = silent) -> list[Path]:
    """Every figure of every group as .svg, .pdf and .png; with several groups the group's name stands in front.

    Parameters
    ----------
    results : Analysed
    folder : Path
    progress : Progress

    Returns
    -------
    list of Path
        What was written, without suffix: a figure in which nothing is drawn is not.
    """
    drawers, written = drawers_of(results), []
    for name, draw in progress(list(drawers.items()), what="drawing figures"):
        if write_on_pages(draw, folder, name=name, empty=False):
            written.append(folder / name)
    return written


def drawers_of(results: Analysed) -> dict[str, Callable[[], Figure]]:
    """What draws each figure, by the beginning of its file's name."""
    found, groups = {}, results.schedules
    for group, prefix in zip(groups, file_prefixes(groups), strict=True):
        own = results.only(group)
        sizes = SizeScale(own.sizes)
        drawers: dict[str, Any] = {"loss_vs_flops": partial(loss_vs_flops, schedule=group)}
        drawers |= {name: draw for name, draw in FIGURES.items() if any(fit in own.fits for fit in NEEDED_FITS[name])}
        drawers |= _if_any(own)
        drawers["sensitivity"] = forest
        found |= {f"{prefix}{name}": partial(draw, own, sizes) for name, draw in drawers.items()}
    return found


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
