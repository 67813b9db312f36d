"""Writing the figures of a study, several at a time."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from ...presentation.figure_style import SizeScale, write_on_pages
from ...results.study_results import Results
from ...study.catalog import figure_names
from .study import DRAWERS, loss_vs_flops


def write_figures(results: Results, folder: Path, *, processes: int = 1) -> None:
    """Write every figure that the study's schedules call for (`catalog.figure_names`) as .svg, .pdf and .png.

    Each is there twice: as wide as a page, and in `column/` as wide as a column of a journal.

    Parameters
    ----------
    results : Results
    folder : Path
        Made if absent. Each file is written atomically; the same results give the same bytes.
    processes : int
        How many figures are drawn at a time.
    """
    names = figure_names(set(results.schedules))
    write = partial(_write, results, SizeScale(results.sizes), folder)
    if processes == 1:
        for name in names:
            write(name)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:  # forks have the imports already
        list(pool.map(write, names))


def _write(results: Results, sizes: SizeScale, folder: Path, name: str) -> None:
    draw = DRAWERS.get(name) or partial(loss_vs_flops, schedule=name.removeprefix("loss_vs_flops_"))
    write_on_pages(partial(draw, results, sizes), folder, name=name)
