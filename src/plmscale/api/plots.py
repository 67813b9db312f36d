"""Figures of laws for a notebook: those of `plmscale.report`, drawn for a page, and shown as they were drawn."""

import io
from collections.abc import Callable
from functools import partial

from matplotlib.figure import Figure

from ..errors import InputError
from ..presentation.figure_style import SizeScale, style
from ..report.external_figures import FIGURES, NEEDED_FITS
from ..report.figures.study import loss_vs_flops
from ..results.analysed import Analysed
from .names import known

DOTS_PER_INCH = 100


def plot(results: Analysed, name: str, *, group: Callable[[], str]) -> Figure:
    """One figure.

    Parameters
    ----------
    results : Analysed
    name : str
        "loss_vs_flops", or a key of `plmscale.report.external_figures.FIGURES`.
    group : callable
        The group of a figure that shows one.
    """
    known(name, ("loss_vs_flops", *FIGURES), what="figure")
    needed = NEEDED_FITS.get(name, ())
    if needed and not any(fit in results.fits for fit in needed):
        raise InputError(f"the figure {name!r} shows laws that were not fitted: {', '.join(needed)}.")
    draw = partial(loss_vs_flops, schedule=group()) if name == "loss_vs_flops" else FIGURES[name]
    with style():
        figure = draw(results, SizeScale(results.sizes))
    # IPython shows figures that pyplot made; this one says itself what it looks like.
    figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
    return figure


def _png(figure: Figure) -> bytes:
    with style(), io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
        return file.getvalue()
