"""One cell trained: engine, loop, checkpoints, the claim of a job on its cell, the record of what happened.

In: a cell, the store, a set. Out: run.json, metrics.parquet and weights. The loop is in `trainer`, the two engines in
`engine`; why a cell stopped is decided in `health` and `stopping`, and recorded by `attempts` and `run_record`. `lock`,
`attempts`, `checkpoints`, `manifest` and `trunk_files` need no torch: the status of a study reads them.
"""
