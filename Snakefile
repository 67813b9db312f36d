# How large a protein language model, on how many tokens, for a compute budget?
# Rules say what depends on what; workflow/scripts open files; the package plmscale computes.
from snakemake.utils import min_version

min_version("9.20")


configfile: workflow.source_path("config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/helpers.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/trunk.smk"
include: "workflow/rules/forecast.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/cells.smk"
include: "workflow/rules/bracket.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/own_runs.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/advise.smk"


onstart:
    owner.begin(Path("results"), rules=started(workflow.dag), **CONFIGURATION)
    set_aside.ask_afresh(Path(job.output[-1]).parent for job in forced_training(workflow.dag))
    for warning in CALIBRATION_WARNINGS:
        print(f"warning: {warning}", file=sys.stderr)
    if "train" in started(workflow.dag):
        hours = job_hours(STUDY, COUNTED, CALIBRATIONS, shared=TRUNKS)
        progress.watch(asked_for(workflow.dag), trunks=TRUNKS, results=Path("results"), hours=hours)


rule all:
    """The whole study: every run, fit, table and figure, and the report."""
    default_target: True
    input:
        rules.summary.output,
        rules.tables.output,
        rules.figures.output,
        rules.report.output,


rule runs:
    """Every cell trained, nothing analysed."""
    input:
        rules.collect_runs.input.runs,
