# One cell of the grid: a size trained on a set with a schedule and a seed.
#   in   results/subsets/{subset}.npy, holdout.npy, the store
#   out  results/runs/{model}/{subset}/{schedule}/seed{seed}/{cell.json,metrics.parquet,run.json}
# model.safetensors, what monitors write (tensorboard/, metrics.csv, wandb/) and, while it runs, checkpoints/ and
# metrics.jsonl lie beside them undeclared: Snakemake deletes declared outputs before it runs an interrupted job again,
# and these are what it is taken up from. So do lock.*, which names the job that trains the cell, attempts.jsonl and
# attempts.log, finished.json, from which the outputs are written again where Snakemake has deleted them, set-aside/, with
# what is of another cell, and afresh, which has the next job begin anew.


rule freeze:
    """Freeze the science of one run: everything that its result may depend on."""
    output:
        cell=f"{RUN}/cell.json",
    log:
        "results/logs/cell/{model}/{subset}/{schedule}/seed{seed}.log",
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        frozen=frozen,
    shell:
        "printf '%s\\n' {params.frozen:q} > {output.cell:q} 2> {log:q}"


rule train:
    """Train one cell; it resumes from its own checkpoints."""
    input:
        cell=rules.freeze.output.cell,
        store=rules.store.output,
        subset=training_set,
        holdout=rules.holdout.output.ids,
        trunk=trunk_record(finished=False),
        past_trunk=ancient(trunk_record(finished=True)),
        forecast=ancient(forecast_first()),
    output:
        metrics=f"{RUN}/metrics.parquet",
        run=f"{RUN}/run.json",
    log:
        "results/logs/train/{model}/{subset}/{schedule}/seed{seed}.log",
    benchmark:
        "results/benchmarks/train/{model}/{subset}/{schedule}/seed{seed}.tsv"
    priority: planned("priority")
    conda:
        "../../envs/plmscale.yaml"
    threads: cfg.execution.threads
    resources:
        launcher=planned("launcher"),
        step=planned("step"),
        step_tasks=planned("step_tasks"),
        cpus_per_task=planned("cpus_per_task"),
        mpi=planned("mpi"),
        nodes=planned("nodes"),
        tasks=planned("tasks"),
        devices=planned("devices"),
        slurm_extra=planned("slurm_extra"),
        runtime=planned("runtime"),
        cells_per_job=planned("cells_per_job"),
        shared_minutes=planned("shared_minutes"),
        micro_batch_tokens=planned("micro_batch_tokens"),
        checkpoint_tokens=SAME["checkpoint_tokens"],
        keep_checkpoints=SAME["keep_checkpoints"],
        max_attempts=SAME["max_attempts"],
        engine=SAME["engine"],
        zero_stage=SAME["zero_stage"],
        compile=SAME["compile"],
        monitors=SAME["monitors"],
        wandb_project=SAME["wandb_project"],
        progress_seconds=SAME["progress_seconds"],
        staging=SAME["staging"],
        peak_flops=planned("peak_flops"),
        flop_convention=SAME["flop_convention"],
        trunk=trunk_checkpoints(),
    params:
        store=store_folder,
        checkpoints=subpath(output.run, parent=True),
    message:
        "Training {wildcards.model} on {wildcards.subset}, {wildcards.schedule}, seed {wildcards.seed}"
    shell:
        "run={params.checkpoints:q}; "
        + ATTEMPT
        + "step={resources.step:q}; ${{step:+$step --nodes={resources.nodes} --ntasks={resources.step_tasks}"
        " --cpus-per-task={resources.cpus_per_task} --kill-on-bad-exit=1}} {resources.launcher}"
        " -m plmscale train --cell {input.cell:q} --store {params.store:q}"
        " --subset {input.subset:q} --holdout {input.holdout:q} --metrics {output.metrics:q} --record {output.run:q}"
        " --checkpoints {params.checkpoints:q}/checkpoints --checkpoint-tokens {resources.checkpoint_tokens} --trunk {resources.trunk:q}"
        " --keep-checkpoints {resources.keep_checkpoints} --max-attempts {resources.max_attempts} --engine {resources.engine} --zero-stage {resources.zero_stage}"
        " --compile {resources.compile} --micro-batch-tokens {resources.micro_batch_tokens} --threads {threads}"
        " --monitors {resources.monitors} --wandb-project {resources.wandb_project:q} --progress-seconds {resources.progress_seconds}"
        " --staging {resources.staging:q}"
        ' --peak-flops {resources.peak_flops} --flop-convention {resources.flop_convention} >> "$kept" 2>&1'
