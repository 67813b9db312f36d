# Cells that are predicted, before they are trained, by the laws of the others of their schedules.
#   in   results/runs/ of these other cells, results/subsets/*.json
#   out  results/forecast/{forecast.json,made.txt}
# forecast.json is not declared: Snakemake deletes declared outputs before it runs a job again, and a forecast is made once.


rule forecast:
    """snakemake forecast --config forecast='{sets: [large]}'"""
    input:
        runs=ancient(collect("results/runs/{cell}/run.json", cell=fitted_cells())),
        metrics=ancient(collect("results/runs/{cell}/metrics.parquet", cell=fitted_cells())),
        subsets=ancient(collect("results/subsets/{subset}.json", subset=cfg.forecast.sets)),
    output:
        made="results/forecast/made.txt",
    log:
        "results/logs/forecast.log",
    conda:
        "../../envs/plmscale.yaml"
    params:
        study=forecast_study,
    message:
        "Predicting the losses of cells that are not trained yet"
    script:
        "../scripts/forecast.py"
