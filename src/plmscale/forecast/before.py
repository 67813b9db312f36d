"""Which cells a study's forecast comes before, and which come before it."""

from collections.abc import Sequence
from pathlib import Path

from ..study.grid import Cell, grid
from ..study.study import Study
from .frozen import read_forecast


def of_sets(study: Study) -> list[Cell]:
    """The cells of `forecast.sets`."""
    return [cell for cell in grid(study) if cell.subset in study.config.forecast.sets]


def rests_on(study: Study, predicted: Sequence[Cell]) -> list[Cell]:
    """The cells by whose laws others are predicted: all others of the same schedules, each of which has its own law."""
    paths, schedules = {cell.path for cell in predicted}, {cell.schedule for cell in predicted}
    return [cell for cell in grid(study) if cell.schedule in schedules and cell.path not in paths]


def cells_before(study: Study, *, results: Path) -> set[str]:
    """Paths of the cells that are predicted before they are trained.

    Where the forecast is made, those that it is of; else those of `forecast.sets` that are not trained yet. A cell that
    was trained before there was a forecast does not wait for one, which would train it again.
    """
    asked = {cell.path for cell in of_sets(study)}
    path = results / "forecast/forecast.json"
    if asked and path.exists():
        return asked & {row["run"] for row in read_forecast(path)["cells"]}
    return {one for one in asked if not (results / "runs" / one / "run.json").is_file()}
