# The checked configuration, the grid, and what wildcards may be.
import json
import re
import sys
from pathlib import Path

from plmscale import files, plan, progress, provenance
from plmscale.catalog import (
    FIGURE_MODULES,
    FIGURES,
    FIT_MODULES,
    FITS,
    SUMMARY_MODULES,
    TABLE_MODULES,
    TABLES,
    figure_names,
)
from plmscale.errors import InputError
from plmscale.grid import grid
from plmscale.study import load_study, source_file
from plmscale.subsets import counted_tokens

try:
    files.check_writable(Path("results"))
    STUDY = load_study(config, base=Path(workflow.basedir))
    CELLS = {cell.path: cell for cell in grid(STUDY)}
    SUBSETS = {subset.name: subset for subset in STUDY.subsets}
    COUNTED = counted_tokens(Path("results/subsets"), SUBSETS)
    RESOURCES = plan.grid_resources(STUDY, COUNTED)
    SOURCE = source_file(STUDY.config, downloads=Path("resources/download"), base=Path(workflow.basedir))
except InputError as error:
    sys.exit(f"error: {error}")  # Snakemake's own report would bury the message, and --quiet all drops it

cfg = STUDY.config
FIGURES_HERE = figure_names({cell.schedule for cell in CELLS.values()})
RUN = "results/runs/{model}/{subset}/{schedule}/seed{seed}"


def one_of(names):
    """A wildcard constraint that admits these names and no other."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    model=one_of(model.name for model in STUDY.models),
    subset=one_of(SUBSETS),
    schedule=one_of({cell.schedule for cell in CELLS.values()}),
    seed=r"\d+",
