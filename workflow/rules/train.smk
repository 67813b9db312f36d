# One cell of the grid: a size trained on a set with a schedule and a seed.
#   in   results/subsets/{subset}.npy, holdout.npy, the store
#   out  results/runs/{model}/{subset}/{schedule}/seed{seed}/{cell.json,metrics.parquet,run.json}
# model.safetensors, tensorboard/ and, while it runs, checkpoints/ and metrics.jsonl lie beside them undeclared: Snakemake
# deletes declared outputs before it runs an interrupted job again, and these are what it is taken up from.


rule cell:
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
        cell=rules.cell.output.cell,
        store=rules.store.output,
        subset="results/subsets/{subset}.npy",
        holdout=rules.holdout.output.ids,
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
        mpi=planned("mpi"),
        nodes=planned("nodes"),
        tasks=planned("tasks"),
        slurm_extra=planned("slurm_extra"),
        runtime=planned("runtime"),
        micro_batch_tokens=planned("micro_batch_tokens"),
        checkpoint_tokens=planned("checkpoint_tokens"),
        keep_checkpoints=planned("keep_checkpoints"),
        engine=planned("engine"),
        zero_stage=planned("zero_stage"),
    params:
        store=store_folder,
        checkpoints=subpath(output.run, parent=True),
    message:
        "Training {wildcards.model} on {wildcards.subset}, {wildcards.schedule}, seed {wildcards.seed}"
    shell:
        "{resources.launcher} -m plmscale.train --cell {input.cell:q} --store {params.store:q}"
        " --subset {input.subset:q} --holdout {input.holdout:q} --metrics {output.metrics:q} --record {output.run:q}"
        " --checkpoints {params.checkpoints:q}/checkpoints --checkpoint-tokens {resources.checkpoint_tokens}"
        " --keep-checkpoints {resources.keep_checkpoints} --engine {resources.engine} --zero-stage {resources.zero_stage}"
        " --micro-batch-tokens {resources.micro_batch_tokens} --threads {threads} > {log:q} 2>&1"
