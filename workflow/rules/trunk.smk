# What cells of the schedule wsd that differ in their budget alone have in common, trained once.
#   in   results/subsets/{subset}.npy, the store
#   out  results/trunks/{model}/{subset}/seed{seed}/{cell.json,until_passes.txt,trunk.json}
# checkpoints/, where branches leave it, and metrics.parquet lie beside them undeclared, with what lies beside a run.
# trunk.json is updated in place: Snakemake would delete any other output before a longer budget extends the trunk, and
# an extension that was interrupted would then train all branches again. A finished branch takes it as ancient: what was
# trained from it stands when it grows. One that is not finished does not: Snakemake runs no job whose only input that is
# made again is ancient, not even one whose outputs are missing.


rule freeze_trunk:
    """Freeze the science of a trunk, that of its branches without budget and decay, and how far it is to go."""
    output:
        cell=f"{TRUNK}/cell.json",
        until=f"{TRUNK}/until_passes.txt",
    log:
        "results/logs/trunk_cell/{model}/{subset}/seed{seed}.log",
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        frozen=frozen_trunk,
        until=trunk_until,
    shell:
        "(printf '%s\\n' {params.frozen:q} > {output.cell:q} && echo {params.until} > {output.until:q}) 2> {log:q}"


rule trunk:
    """Train a trunk until its last branch leaves it; it resumes from its own checkpoints."""
    input:
        cell=rules.freeze_trunk.output.cell,
        until=rules.freeze_trunk.output.until,
        store=rules.store.output,
        subset="results/subsets/{subset}.npy",
    output:
        trunk=update(f"{TRUNK}/trunk.json"),
    log:
        "results/logs/trunk/{model}/{subset}/seed{seed}.log",
    benchmark:
        "results/benchmarks/trunk/{model}/{subset}/seed{seed}.tsv"
    priority: planned_trunk("priority")
    conda:
        "../../envs/plmscale.yaml"
    threads: cfg.execution.threads
    resources:
        launcher=planned_trunk("launcher"),
        step=planned_trunk("step"),
        step_tasks=planned_trunk("step_tasks"),
        cpus_per_task=planned_trunk("cpus_per_task"),
        mpi=planned_trunk("mpi"),
        nodes=planned_trunk("nodes"),
        tasks=planned_trunk("tasks"),
        devices=planned_trunk("devices"),
        slurm_extra=planned_trunk("slurm_extra"),
        runtime=planned_trunk("runtime"),
        micro_batch_tokens=planned_trunk("micro_batch_tokens"),
        checkpoint_tokens=SAME["checkpoint_tokens"],
        max_attempts=SAME["max_attempts"],
        engine=SAME["engine"],
        zero_stage=SAME["zero_stage"],
        compile=SAME["compile"],
        monitors=SAME["monitors"],
        wandb_project=SAME["wandb_project"],
        progress_seconds=SAME["progress_seconds"],
        staging=SAME["staging"],
        peak_flops=planned_trunk("peak_flops"),
        flop_convention=SAME["flop_convention"],
        keep_at=keep_at,
    params:
        store=store_folder,
        folder=subpath(output.trunk, parent=True),
    message:
        "Training the trunk of {wildcards.model} on {wildcards.subset}, seed {wildcards.seed}"
    shell:
        "run={params.folder:q}; "
        + ATTEMPT
        + "step={resources.step:q}; ${{step:+$step --nodes={resources.nodes} --ntasks={resources.step_tasks}"
        " --cpus-per-task={resources.cpus_per_task} --kill-on-bad-exit=1}} {resources.launcher}"
        " -m plmscale train --cell {input.cell:q} --store {params.store:q} --subset {input.subset:q}"
        " --metrics {params.folder:q}/metrics.parquet --record {output.trunk:q} --checkpoints {params.folder:q}/checkpoints"
        " --until-passes $(cat {input.until:q}) --keep-at {resources.keep_at:q}"
        " --checkpoint-tokens {resources.checkpoint_tokens} --max-attempts {resources.max_attempts}"
        " --engine {resources.engine} --zero-stage {resources.zero_stage}"
        " --compile {resources.compile} --micro-batch-tokens {resources.micro_batch_tokens} --threads {threads}"
        " --monitors {resources.monitors} --wandb-project {resources.wandb_project:q} --progress-seconds {resources.progress_seconds}"
        " --staging {resources.staging:q}"
        ' --peak-flops {resources.peak_flops} --flop-convention {resources.flop_convention} >> "$kept" 2>&1'
