"""What notebooks use: runs in, laws out, and answers that refuse where the laws know nothing.

In: tables, exports and folders of runs, or laws that were fitted before. Out: `Runs`, `Laws`, `OptimalSize` and
`PredictedLoss`, whose text and HTML say the verdict. `plmscale` itself exports the names; nothing is computed here that
the rooms below do not compute.
"""
