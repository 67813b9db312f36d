"""Published laws of protein language models: constants, where each is from, and how far estimators disagree.

In: two small tables, `protein_laws.tsv` and `resamples.tsv`, which `benchmarks/protein_laws.py` makes. Out: `table`.
"""
