"""What people read of a study, or of runs that they brought: tables, figures, summary, the page.

In: `Results` or `Analysed` with what `plmscale.analysis` found. Out: files in tables/, figures/, summary.txt and
report.html. Nothing is computed here. `tables` and `figures` have one module a subject, `page` makes report.html,
`external_runs` writes all of it for a table of runs.
"""
