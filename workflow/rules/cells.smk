# One cell at a time: `snakemake cell --config cell=35M/sampled20/constant/seed0`, and how far all of them are.


rule cell:
    """Train one cell."""
    input:
        chosen("results/runs/{cell}/run.json"),


rule remove:
    """Delete a cell, unless it is being trained."""
    log:
        "results/logs/remove.log",
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        cell=chosen("{cell}"),
    shell:
        "python -m plmscale remove {params.cell:q} --results results 2>&1 | tee {log:q}"


rule status:
    """Print and write how far the study is, without a configuration the one that lies there; with --nolock while it runs."""
    log:
        "results/logs/status.log",
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        study=shown_study,
    script:
        "../scripts/status.py"
