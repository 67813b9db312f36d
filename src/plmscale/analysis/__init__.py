"""What is said of a study, or of runs that somebody brought, beside their laws: computed once, drawn by `report`.

In: curves, records, fits. Out: `plmscale.results.findings.Findings` (results/analysis/*.json), or the whole analysis of
a table of runs (`external`).
"""
