# What the study will cost, before any of it is run: no data, no network.


rule plan:
    output:
        cells="results/plan/cells.tsv",
        summary="results/plan/summary.tsv",
        text="results/plan/plan.md",
    log:
        "results/logs/plan.log",
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        study=STUDY.to_json(),
        counted=COUNTED,
        science=science("plan", "plan_report", "grid"),
    script:
        "../scripts/plan.py"
