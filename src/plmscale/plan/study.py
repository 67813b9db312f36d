"""The compute plan of a study from its configuration, without Snakemake."""

from pathlib import Path
from typing import NamedTuple

from ..files import check_writable
from ..sets.token_counts import counted_tokens
from ..study.config_file import read_config
from ..study.study import load_study
from .calibration import read_calibrations
from .grid_choice import within_budget
from .report import write_plan

FILES = ("cells.tsv", "summary.tsv", "plan.md", "plan.svg", "plan.pdf", "plan.png")
"""What a plan consists of, in `results/plan/`."""


class StudyPlan(NamedTuple):
    """A written plan: its text, that of plan.md, and its files."""

    text: str
    files: list[Path]


def plan_study(configfile: Path, *, results: Path, base: Path) -> StudyPlan:
    """Write the plan of a study: the files of `snakemake plan`.

    Parameters
    ----------
    configfile : Path
    results : Path
        Folder of the results. Exact counts of its sets and measured speeds of its sizes are used where it has them; the
        plan goes into its folder `plan`. Need not exist.
    base : Path
        Folder of the workflow (`plmscale.study.workflow_files.workflow_root`): a table that the configuration names is
        looked for in the working directory, and then there.

    Raises
    ------
    InputError
        For a configuration or table that cannot be used, or a folder that cannot be written to.
    """
    check_writable(results, option="--results")
    study = within_budget(load_study(read_config(configfile), base=base))
    counted = counted_tokens(results / "subsets", [subset.name for subset in study.subsets])
    records, warnings = read_calibrations(study, results / "calibration")
    folder = results / "plan"
    text = write_plan(study, counted, records, folder=folder, warnings=warnings)
    return StudyPlan(text, [folder / name for name in FILES])
