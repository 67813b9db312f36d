# Runs → curves → fits → findings → tables, figures, summary. Cheap: every rule takes the fingerprint of its modules as a parameter.
#   in   results/runs/**/{metrics.parquet,run.json}, results/subsets/*.json
#   out  results/analysis/, results/fits/, results/tables/, results/figures/, results/summary.txt


rule collect_runs:
    input:
        runs=collect("results/runs/{cell}/run.json", cell=CELLS),
        metrics=collect("results/runs/{cell}/metrics.parquet", cell=CELLS),
    output:
        table="results/analysis/runs.parquet",
    log:
        "results/logs/collect_runs.log",
    conda:
        "../../envs/plmscale.yaml"
    params:
        convention=cfg.analysis.flops,
        final_loss=cfg.analysis.final_loss,
        science=science("runs.collect"),
    script:
        "../scripts/collect_runs.py"


rule curves:
    input:
        runs=rules.collect_runs.output.table,
    output:
        curves="results/analysis/curves.parquet",
    log:
        "results/logs/curves.log",
    conda:
        "../../envs/plmscale.yaml"
    params:
        science=science("runs.curves"),
    script:
        "../scripts/curves.py"


rule fit:
    input:
        curves=rules.curves.output.curves,
    output:
        fit="results/fits/{fit}.json",
    log:
        "results/logs/fit/{fit}.log",
    wildcard_constraints:
        fit=one_of(FITS),
    conda:
        "../../envs/plmscale.yaml"
    params:
        analysis=cfg.analysis.model_dump(mode="json"),
        seed=cfg.data_seed,
        science=science("laws.analysis", "laws.methods", "runs.curves"),
    message:
        "Fitting {wildcards.fit}"
    script:
        "../scripts/fit.py"


rule findings:
    """What is said beside the laws, once: outcomes, costs, learning rates, choices, sets, published models."""
    input:
        **fitted_study(),
        forecast=forecast_made(),
    output:
        collect("results/analysis/{finding}.json", finding=FINDINGS),
    log:
        "results/logs/findings.log",
    conda:
        "../../envs/plmscale.yaml"
    params:
        study=STUDY.to_json(),
        calibrations=CALIBRATIONS,
        science=science("analysis.study"),
    script:
        "../scripts/findings.py"


rule tables:
    input:
        **finished_study(),
    output:
        [
            report(
                f"results/tables/{table}.html",
                caption=f"../report/tables/{table}.rst",
                category="Tables",
                labels={"table": product.title},
            )
            for table, product in TABLES.items()
        ],
        collect("results/tables/{table}.{suffix}", table=TABLES, suffix=["tsv", "md", "tex"]),
    log:
        "results/logs/tables.log",
    conda:
        "../../envs/plmscale.yaml"
    params:
        study=STUDY.to_json(),
        science=science("report.tables.study"),
    script:
        "../scripts/tables.py"


rule figures:
    input:
        **finished_study(),
    output:
        [
            report(
                f"results/figures/{figure}.svg",
                caption=f"../report/figures/{figure}.rst",
                category="Figures",
                labels={"figure": FIGURES[figure].title},
            )
            for figure in FIGURES_HERE
        ],
        collect("results/figures/{figure}.{suffix}", figure=FIGURES_HERE, suffix=["pdf", "png", "csv"]),
        collect("results/figures/column/{figure}.{suffix}", figure=FIGURES_HERE, suffix=["pdf", "svg", "png"]),
    log:
        "results/logs/figures.log",
    conda:
        "../../envs/plmscale.yaml"
    threads: 4  # drawing takes longer than all other analysis of a small study
    params:
        study=STUDY.to_json(),
        science=science("report.figures.writing"),
    script:
        "../scripts/figures.py"


rule summary:
    input:
        **finished_study(),
    output:
        summary="results/summary.txt",
        page=report(
            "results/summary.html",
            caption="../report/summary.rst",
            category="Summary",
            labels={"summary": "The study in numbers"},
        ),
    log:
        "results/logs/summary.log",
    conda:
        "../../envs/plmscale.yaml"
    params:
        study=STUDY.to_json(),
        science=science("report.summary"),
    script:
        "../scripts/summary.py"
