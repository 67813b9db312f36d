"""Recipes: learning rate, batch and weight decay as rules of the size and the tokens of a run.

In: a setting that holds a number, the name of a published rule, a formula, or the file of one's own sweeps. Out: the
numbers of each cell. `rule` reads and evaluates formulas, `published` has those of others, `settings` are the types of
settings, `fitted` reads the rule of a study's sweeps, `resolve` makes cells' numbers of them.
"""
