"""Choices of an analysis that no data make, by name; `plmscale.laws.confidence.sensitivity` varies them."""

RECORDED, SIX_N_D = CONVENTIONS = ("as recorded", "6ND")
"""How FLOPs are counted, the usual one first."""

ALL_RUNS, WITHOUT_HIGHEST, WITHOUT_OUTLIERS = OUTLIER_RULES = (
    "all runs",
    "highest losses dropped",
    "beyond 3 sigma dropped",
)
"""Which runs are left out, the usual rule first."""
