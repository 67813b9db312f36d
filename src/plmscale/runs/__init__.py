"""Runs as one tidy frame, whoever trained them, and one smooth curve a run.

In: run records of this workflow, tables, exports of trackers, published data. Out: a data frame with one row per
evaluation, and `Curve`s. Others use `collect`, `importers`, `curves` and `selection`.
"""
