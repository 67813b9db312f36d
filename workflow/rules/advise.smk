# Which cells to train next, by what the study's runs know and what its plan says of cost.
#   in   results/analysis/curves.parquet, cfg.advice
#   out  results/tables/advice.{tsv,md}


rule advise:
    """snakemake advise --config advice='{budget_gpu_hours: 500}'"""
    input:
        curves=advised_curves,
    output:
        tsv="results/tables/advice.tsv",
        md="results/tables/advice.md",
    log:
        "results/logs/advise.log",
    localrule: True
    conda:
        "../../envs/plmscale.yaml"
    params:
        study=STUDY.to_json(),
        counted=COUNTED,
        calibrations=CALIBRATIONS,
        science=science("advise.study"),
    message:
        "Ranking the cells that could be trained next"
    script:
        "../scripts/advise.py"
