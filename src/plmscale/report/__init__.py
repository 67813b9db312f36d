"""What people read of a study, or of runs that they brought: tables, figures, summary, the page.

In: `Results` or `Analysed`. Out: files in tables/, figures/, summary.txt and report.html. `tables` and `figures` have
one module a subject, `page` makes report.html. `external_runs` does all of it for a table of runs.
"""
