# Everything on one page: the answer, figures, tables, choices and provenance.
#   in   what tables and figures are made from, the tables and figures themselves, workflow/report/
#   out  results/report.html


rule report:
    """snakemake report"""
    input:
        **finished_study(),
        tables=rules.tables.output,
        figures=rules.figures.output,
        captions=captions,
        templates=templates,
        retrieval=retrieval,
    output:
        page="results/report.html",
    log:
        "results/logs/report.log",
    conda:
        "../../envs/plmscale.yaml"
    params:
        study=STUDY.to_json(),
        science=science("report.page.page"),
    message:
        "Writing {output.page}"
    script:
        "../scripts/report.py"
