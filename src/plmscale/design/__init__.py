"""A study from a budget: sizes, token budgets, recipe and expected intervals: `plmscale design`.

In: one budget, a device, a FASTA of proteins, and a law that is expected to hold. Out: a folder with configuration,
models.tsv and subsets.tsv, and what the study is expected to tell. `design.design` is the way in.
"""
