"""Losses of runs that are not trained yet: predicted and frozen, and scored once they are.

In: fitted runs and the cells that are asked for. Out: `forecast.json`, checksummed and dated, and the table of its
score.
"""
