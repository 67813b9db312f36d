"""The scaling laws: one module a law, one signature, one result with its verdict.

In: smoothed curves. Out: a `Fit` (estimates, verdict, points used and excluded). A new law is a module here and a line
in `methods.FITS`; numerics are in `solvers`, intervals and verdicts in `confidence`. Others use `methods`, `fit` and
`size_law`.
"""
