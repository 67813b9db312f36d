"""Which cells a study's forecast comes before."""

from pathlib import Path

from ..study.grid import grid
from ..study.study import Study
from .frozen import read_forecast


def cells_before(study: Study, *, results: Path) -> set[str]:
    """Paths of the cells that are predicted before they are trained.

    Where the forecast is made, those that it is of; else those of `forecast.sets` that are not trained yet. A cell that
    was trained before there was a forecast does not wait for one, which would train it again.
    """
    asked = {cell.path for cell in grid(study) if cell.subset in study.config.forecast.sets}
    path = results / "forecast/forecast.json"
    if asked and path.exists():
        return asked & {row["run"] for row in read_forecast(path)["cells"]}
    return {one for one in asked if not (results / "runs" / one / "run.json").is_file()}
