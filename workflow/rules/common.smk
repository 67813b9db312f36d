# The checked configuration, the grid, and what wildcards may be.
import gc
import inspect
import json
import re
import sys
from pathlib import Path

from snakemake.scheduling.job_scheduler import JobScheduler

from plmscale import files, provenance
from plmscale.cluster import scheduler
from plmscale.errors import InputError
from plmscale.forecast.before import cells_before, of_sets, rests_on
from plmscale.plan import calibration, plan
from plmscale.plan.bracket import RATES, bracket_cell, bracket_run
from plmscale.plan.grid_choice import within_budget
from plmscale.plan.job_hours import job_hours
from plmscale.results import owner
from plmscale.results.layout import layout
from plmscale.sets import mmseqs_memory
from plmscale.sets.counted import counted_tokens
from plmscale.status import markers, progress, remove
from plmscale.study import jobs, trunks
from plmscale.study.catalog import COMPARISON_TABLES, FIGURES, FINDINGS, FITS, OWN_TABLES, TABLES, figure_names
from plmscale.study.grid import grid
from plmscale.study.study import load_study, source_file
from plmscale.study.workflow_files import workflow_root
from plmscale.training import set_aside, trunk_files

# A graph of thousands of jobs has no cycles to find, and Python would look through all of it again and again.
gc.set_threshold(100_000, 20, 100)
scheduler.look_once_a_second(JobScheduler)

# From this file, not from `workflow.basedir`: as a module of another workflow, that is the folder of the other one. A
# module that Snakemake fetches itself has the files of the installed package.
HERE = Path(str(workflow.current_basedir))
ROOT = HERE.parents[1] if HERE.is_dir() else workflow_root()

if workflow.modifier.is_module and workflow.modifier.modify_path("results/store") != "results/store":
    sys.exit("error: plmscale as a module takes no prefix: its files are in results/. Run it in a folder of its own.")

CHOSEN = config.pop("cell", None)  # no setting of the study: which cell `snakemake cell` is about

try:
    files.check_writable(Path("results"))
    STUDY = within_budget(load_study(config, base=ROOT))
    CELLS = {cell.path: cell for cell in grid(STUDY)}
    SUBSETS = {subset.name: subset for subset in STUDY.subsets}
    SOURCE = source_file(STUDY.config, downloads=Path("resources/download"), base=ROOT)
    # Jobs of this study are refused by `this_study`, not here: `fits` and `compare` may run beside any study.
    ANOTHER = owner.another(Path("results"), study=STUDY, source=SOURCE)
    OURS = Path("results/.another" if ANOTHER else "results")  # of another study nothing is read, and nothing touched
    COUNTED = counted_tokens(OURS, study=STUDY)
    TIMED = calibration.timed_cells(STUDY)
    CALIBRATIONS, CALIBRATION_WARNINGS = calibration.read_calibrations(STUDY, OURS / "calibration")
    TRUNKS = trunk_files.trunks_here(STUDY, results=OURS)
    RESOURCES = plan.grid_resources(STUDY, COUNTED, CALIBRATIONS, shared=TRUNKS)
    ALIKE = plan.alike(RESOURCES[cell] for cell in CELLS)
    SAME = plan.same_resources(STUDY.config)
    BRANCHES = trunks.trunk_of_each(TRUNKS)
    FORECAST = cells_before(STUDY, results=OURS)
    COUNTED_TRUNKS = trunk_files.to_count(TRUNKS, results=OURS)
except InputError as error:
    sys.exit(f"error: {error}")  # Snakemake's own report would bury the message, and --quiet all drops it

trunk_files.ask_again(TRUNKS, results=OURS)
markers.forget_finished(OURS / "runs" / cell for cell in CELLS)

GIVEN = workflow.config_settings
CONFIGURATION = {
    "study": STUDY,
    "source": SOURCE,
    "configfiles": owner.named(GIVEN.configfiles or [ROOT / "config/config.yaml"], base=ROOT),
    "settings": dict(GIVEN.config),
}

cfg = STUDY.config


container: cfg.execution.container


FIGURES_HERE = figure_names({cell.schedule for cell in CELLS.values()})
RUN = "results/runs/{model}/{subset}/{schedule}/seed{seed}"
TRUNK = "results/trunks/{model}/{subset}/seed{seed}"
BRACKET = "results/bracket/{rate}/{model}/{subset}/{schedule}/seed{seed}"


# Before the command of a job that trains in the folder $run. Snakemake deletes the log of a job before it begins, also
# one that another job writes: so all attempts append to attempts.log in the folder, and the log is another name of it.
ATTEMPT = (
    'kept="$run/attempts.log"; '
    'echo "=== attempt of $(date -u +%FT%TZ) on $(uname -n)${{SLURM_JOB_ID:+, SLURM job $SLURM_JOB_ID}} ===" >> "$kept"; '
    'ln -f "$kept" {log:q} 2> /dev/null || ln -sf "$PWD/$kept" {log:q}; '
    # srun fails at once where SLURM's controller does not answer; what runs already needs none.
    'away=; until [ -z {resources.step:q} ] || [ -z "${{SLURM_JOB_ID:-}}" ] || ! command -v sinfo > /dev/null'
    " || sinfo --summarize > /dev/null 2>&1; do "
    '[ -n "$away" ] || echo "SLURM does not answer: srun waits for its controller." >> "$kept"; away=yes; sleep 10; done; '
)


def one_of(names):
    """A wildcard constraint that admits these names and no other."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    model=one_of(model.name for model in STUDY.models),
    subset=one_of(SUBSETS),
    schedule=one_of({cell.schedule for cell in CELLS.values()}),
    seed=r"\d+",
    rate=one_of(RATES),
