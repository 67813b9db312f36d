"""Published models on the law of a study, and published numbers computed again.

In: config/published_plms.tsv, fits, published data sets. Out: a table, a figure, and the comparison with what was
printed. Others use `models` and `figure`.
"""
