# Finished folders of results beside each other: other data, schedules, objectives.
#   in   cfg.compare              results/ of studies, or what `snakemake fits` wrote
#   out  results/comparison/      tables/, figures/, report.html, comparison.json, summary.txt


rule compare:
    """snakemake compare --config compare=[results_a,results_b]"""
    input:
        files=compared_files,
    output:
        summary="results/comparison/summary.txt",
        record="results/comparison/comparison.json",
        tables=collect(
            "results/comparison/tables/{table}.{suffix}", table=COMPARISON_TABLES, suffix=["tsv", "md", "tex"]
        ),
        figures=directory("results/comparison/figures"),
        page="results/comparison/report.html",
    log:
        "results/logs/compare.log",
    conda:
        "../../envs/plmscale.yaml"
    params:
        folders=cfg.compare,
        how=cfg.comparison.model_dump(mode="json"),
        analysis=cfg.analysis.model_dump(mode="json"),
        seed=cfg.data_seed,
        science=science("compare.compare"),
    message:
        "Comparing {params.folders}"
    script:
        "../scripts/compare.py"
