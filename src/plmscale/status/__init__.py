"""How far a study is: the state of every cell, the progress line, and the removal of a cell.

In: files of runs, SLURM's queue. Out: tables and a page. Others use `status`, `cell_states`, `progress` and `remove`.
"""
