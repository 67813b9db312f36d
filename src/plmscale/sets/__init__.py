"""Which sequences are trained on: holdout, MMseqs2 clusters, random samples, and their order in batches.

In: the token store. Out: sorted ids of each set with exact counts, and batches of masked tokens. The masking of
training is decided in `masking`, the holdout in `holdout`. Others use `datasets`, `subsets` and `batches`.
"""
