# Runs that somebody trained, analysed as a study's own are: no data, no training.
#   in   cfg.runs                 a table, an export of a tracker, or a folder
#   out  results/own_runs/        fits/, tables/, figures/, import.json, summary.txt


rule fits:
    """snakemake fits --config runs=path"""
    input:
        runs=own_runs,
    output:
        summary="results/own_runs/summary.txt",
        record="results/own_runs/import.json",
        evaluations="results/own_runs/runs.parquet",
        curves="results/own_runs/curves.parquet",
        fits=collect("results/own_runs/fits/{fit}.json", fit=FITS),
        tables=collect("results/own_runs/tables/{table}.{suffix}", table=OWN_TABLES, suffix=["tsv", "md", "tex"]),
        figures=directory("results/own_runs/figures"),
        page="results/own_runs/report.html",
    log:
        "results/logs/fits.log",
    conda:
        "../../envs/plmscale.yaml"
    params:
        own=cfg.own_runs.model_dump(mode="json"),
        analysis=cfg.analysis.model_dump(mode="json"),
        seed=cfg.data_seed,
        science=science("report.external_runs", "runs.importers"),
    message:
        "Fitting all laws to {input.runs}"
    script:
        "../scripts/own_runs.py"
