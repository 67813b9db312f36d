"""Which cells to train next: how much each would narrow the answer for its cost.

In: runs, their law, a budget. Out: a ranking and a sequence within the budget. Others use `advice` and `study`.
"""
