"""The compute plan of a study from its configuration, without Snakemake."""

from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

from ..files import check_writable
from ..results import owner
from ..sets.counted import counted_tokens
from ..study.study import load_study, source_file
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
        For a configuration or table that cannot be used, a folder that cannot be written to, or one with the results
        of another study.
    """
    check_writable(folder / "results")
    folder.mkdir(parents=True, exist_ok=True)
    with chdir(folder):
        study = within_budget(load_study(dict(raw), base=root))
        source = source_file(study.config, downloads=Path("resources/download"), base=root)
        owner.refuse_another(Path("results"), study=study, source=source)
        counted = counted_tokens(Path("results"), study=study)
        records, warnings = read_calibrations(study, Path("results/calibration"))
        return write_plan(study, counted, records, folder=Path("results/plan"), warnings=warnings)
