# Half and twice the learning rate at the largest size and the longest run, over a beginning of it: before the expensive cells.
#   in   results/subsets/{subset}.npy, holdout.npy, the store
#   out  results/bracket/{half,same,double}/{model}/{subset}/{schedule}/seed{seed}/{cell.json,metrics.parquet,run.json},
#        results/bracket/{bracket.json,bracket.txt}
# The runs are trained as cells are, beside the same undeclared files, and are none of the study's.


use rule freeze as freeze_bracket with:
    output:
        cell=f"{BRACKET}/cell.json",
    log:
        "results/logs/bracket_cell/{rate}/{model}/{subset}/{schedule}/seed{seed}.log",
    params:
        frozen=frozen_bracket,


use rule train as bracket_run with:
    input:
        cell=rules.freeze_bracket.output.cell,
        store=rules.store.output,
        subset=training_set,
        holdout=rules.holdout.output.ids,
    output:
        metrics=f"{BRACKET}/metrics.parquet",
        run=f"{BRACKET}/run.json",
    log:
        "results/logs/bracket/{rate}/{model}/{subset}/{schedule}/seed{seed}.log",
    benchmark:
        "results/benchmarks/bracket/{rate}/{model}/{subset}/{schedule}/seed{seed}.tsv"
    message:
        "Training {wildcards.model} on a beginning of {wildcards.subset}, learning rate: {wildcards.rate}"


rule bracket:
    """snakemake bracket: is the learning rate of the largest size too high?"""
    input:
        **{rate: bracketed(rate) for rate in RATES},
    output:
        record="results/bracket/bracket.json",
        text="results/bracket/bracket.txt",
    log:
        "results/logs/bracket.log",
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        study=STUDY.to_json(),
        science=science("plan.bracket"),
    message:
        "Comparing learning rates at the largest size"
    script:
        "../scripts/bracket.py"
