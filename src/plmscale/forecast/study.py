"""The forecast of a study: which of its cells are predicted, and from which runs."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError
from ..files import read_json
from ..laws.analysis import fit_settings
from ..laws.fit import Fit
from ..runs.collect import collect
from ..runs.curves import smooth
from ..study.flops import count_params
from ..study.grid import Cell, grid
from ..study.study import Study
from .before import rests_on
from .freeze import Asked, freeze
from .frozen import write_forecast
from .score import score_cells, score_sizes


def matching(study: Study, patterns: Iterable[str]) -> list[Cell]:
    """The cells whose path matches one of some patterns, `*/d64/*` for example.

    Raises
    ------
    InputError
        If a pattern matches none.
    """
    cells, found = grid(study), {}
    for pattern in patterns:
        own = [cell for cell in cells if fnmatchcase(cell.path, pattern)]
        if not own:
            raise InputError(f"forecast: no cell of this study matches {pattern!r}; the first is {cells[0].path}.")
        found |= {cell.path: cell for cell in own}
    return list(found.values())


def freeze_study(study: Study, cells: Sequence[Cell], *, results: Path, path: Path) -> None:
    """Predict cells of a study by the laws of the other runs of their schedules, and write the forecast.

    Parameters
    ----------
    study : Study
    cells : sequence of Cell
        What is predicted; those that are trained already are left out.
    results : Path
        The study's folder: runs/ and subsets/.
    path : Path
        The file to be written.

    Raises
    ------
    InputError
        If all cells are trained already, no run of their schedules is, or there is a forecast already.
    """
    if path.exists():
        write_forecast(path, {})
    record = {cell.path: results / "runs" / cell.path / "run.json" for cell in grid(study)}
    asked = [cell for cell in cells if not record[cell.path].is_file()]
    known = [one for cell in rests_on(study, asked) if (one := record[cell.path]).is_file()]
    if not asked:
        names = ", ".join(cell.path for cell in cells[:3])
        raise InputError(
            f"forecast: {names}{' and others' if len(cells) > 3 else ''} are trained already; a forecast comes before. "
            "Name cells that are not, or none."
        )
    if not known:
        schedules = ", ".join(sorted({cell.schedule for cell in asked}))
        raise InputError(
            f"forecast: no other run of {schedules} is finished in {results}/runs, so there is no law to predict by."
        )
    metrics = [one.with_name("metrics.parquet") for one in known]
    analysis = study.config.analysis
    content = freeze(
        collect(known, metrics, convention=analysis.flops, final_loss=analysis.final_loss),
        [_asked(cell, results) for cell in asked],
        data={one.parent.relative_to(results / "runs").as_posix(): _sha256(one) for one in metrics},
        seed=study.config.data_seed,
        settings=fit_settings(analysis),
    )
    write_forecast(path, content)


def _asked(cell: Cell, results: Path) -> Asked:
    tokens = int(read_json(results / f"subsets/{cell.subset}.json")["n_tokens"])
    identity = (cell.path, cell.model.name, cell.subset, cell.schedule, cell.seed)
    return Asked(*identity, count_params(cell.model), tokens)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def score_folder(forecast: Mapping[str, Any], study: Study, *, results: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`score_cells` and `score_sizes` by what lies in a folder of results now."""
    records = {cell.path: results / "runs" / cell.path / "run.json" for cell in grid(study)}
    done = {run: path for run, path in records.items() if path.is_file()}
    ends: dict[str, float] = {}
    if done:
        metrics = [path.with_name("metrics.parquet") for path in done.values()]
        chosen = study.config.analysis
        frame = collect([*done.values()], metrics, convention=chosen.flops, final_loss=chosen.final_loss)
        curves = smooth(frame)
        ends = {curve.run: float(curve.loss[-1]) for curve in curves if curve.flops.size}
    rows = [
        {"run": run, "status": read_json(path)["status"], "final_loss": ends.get(run)} for run, path in done.items()
    ]
    outcomes = pd.DataFrame(rows, columns=["run", "status", "final_loss"], dtype=object)
    fits = {path.stem: read_json(path)["schedules"] for path in sorted((results / "fits").glob("*.json"))}
    laws = {name: {schedule: Fit.from_json(one) for schedule, one in own.items()} for name, own in fits.items()}
    return score_cells(forecast, outcomes), score_sizes(forecast, laws)
