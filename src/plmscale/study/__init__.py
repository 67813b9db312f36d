"""What a study asks for: its settings, its grid of cells, and what they cost in FLOPs.

In: a configuration and two tables (models.tsv, subsets.tsv). Out: a checked `Study`, its `Cell`s with their learning
rates, their jobs and trunks. Nothing here opens a file of results. Others use `study.load_study`, `grid`, `flops`,
`config`, `jobs`, `trunks` and the names of all outputs in `catalog`.
"""
