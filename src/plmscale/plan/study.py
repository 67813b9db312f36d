"""The compute plan of a study from its configuration, without Snakemake."""

from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

from ..files import check_writable
from ..sets.subsets import counted_tokens
from ..study.study import load_study
from .calibration import read_calibrations
from .grid_choice import within_budget
from .report import write_plan


def plan_study(raw: Mapping[str, Any], *, folder: Path, root: Path) -> str:
    """Write the plan of a study into `results/plan/` of its folder: the files of `plmscale plan`.

    Parameters
    ----------
    raw : mapping
        The configuration, see `plmscale.study.configuration.read_configuration`.
    folder : Path
        The study's folder: relative paths of the configuration begin there. Exact counts of sets and measured speeds in
        its `results/` are used.
    root : Path
        Folder of the workflow, where tables are looked for that are not in `folder`.

    Returns
    -------
    str
        What a terminal shows, see `plmscale.plan.brief.brief`.

    Raises
    ------
    InputError
        For a configuration or table that cannot be used, or a folder that cannot be written to.
    """
    check_writable(folder / "results")
    folder.mkdir(parents=True, exist_ok=True)
    with chdir(folder):
        study = within_budget(load_study(dict(raw), base=root))
        counted = counted_tokens(Path("results/subsets"), {subset.name: subset for subset in study.subsets})
        records, warnings = read_calibrations(study, Path("results/calibration"))
        return write_plan(study, counted, records, folder=Path("results/plan"), warnings=warnings)
