# What the study will cost, before any of it is run: no data, no network.
#   in   results/calibration/{model}.json   if `snakemake calibrate` has measured
#   out  results/plan/{report.html,cells.tsv,summary.tsv,plan.md,plan.svg,column/plan.svg}


rule plan:
    input:
        this_study,
    output:
        cells="results/plan/cells.tsv",
        summary="results/plan/summary.tsv",
        text="results/plan/plan.md",
        figures=collect("results/plan/plan.{suffix}", suffix=["svg", "pdf", "png", "csv"]),
        column=collect("results/plan/column/plan.{suffix}", suffix=["svg", "pdf", "png"]),
        page="results/plan/report.html",
    log:
        "results/logs/plan.log",
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        study=STUDY.to_json(),
        counted=COUNTED,
        calibrations=CALIBRATIONS,
        warnings=CALIBRATION_WARNINGS,
        science=science("plan.report"),
    script:
        "../scripts/plan.py"


rule calibrate_size:
    """Time some steps of one size as its cells are trained: same launcher, engine, devices and micro-batch.

    The command ends with `:`. Without it bash would become the timed process, and its age would count as start-up.
    """
    input:
        this_study,
    output:
        record="results/calibration/{model}.json",
    log:
        "results/logs/calibrate/{model}.log",
    conda:
        "../../envs/plmscale.yaml"
    threads: cfg.execution.threads
    resources:
        launcher=planned_for_size("launcher"),
        step=planned_for_size("step"),
        step_tasks=planned_for_size("step_tasks"),
        cpus_per_task=planned_for_size("cpus_per_task"),
        mpi=planned_for_size("mpi"),
        nodes=planned_for_size("nodes"),
        tasks=planned_for_size("tasks"),
        slurm_extra=planned_for_size("slurm_extra"),
        runtime=60,
        devices=planned_for_size("devices"),
        micro_batch_tokens=planned_for_size("micro_batch_tokens"),
        engine=SAME["engine"],
        zero_stage=SAME["zero_stage"],
        compile=SAME["compile"],
        monitors=SAME["monitors"],
        peak_flops=planned_for_size("peak_flops"),
        subset=timed_subset,
    params:
        spec=specification,
        work="results/calibration/work/{model}",
    message:
        "Timing {wildcards.model}"
    shell:
        "(python -m plmscale time-size-data --spec {params.spec:q} --work {params.work:q} --store results/store"
        " --subset {resources.subset:q} --holdout results/subsets/holdout.npy"
        " && step={resources.step:q} && ${{step:+$step --nodes={resources.nodes} --ntasks={resources.step_tasks}"
        " --cpus-per-task={resources.cpus_per_task} --kill-on-bad-exit=1}} {resources.launcher}"
        " -m plmscale time-size --work {params.work:q} --out {output.record:q}"
        " --engine {resources.engine} --zero-stage {resources.zero_stage} --compile {resources.compile}"
        " --micro-batch-tokens {resources.micro_batch_tokens} --threads {threads} --monitors {resources.monitors}"
        " --peak-flops {resources.peak_flops} && :) > {log:q} 2>&1"


rule calibrate:
    """snakemake calibrate: measure what the plan assumes; `snakemake plan` then uses it."""
    input:
        collect("results/calibration/{model}.json", model=TIMED),
