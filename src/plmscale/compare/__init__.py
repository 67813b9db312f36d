"""Studies, schedules or sets side by side: differences of exponents, losses of matched runs, cost.

In: folders of results. Out: tables, figures and a summary in which two sides differ only if the interval of the
difference excludes 0. Others use `compare`.
"""
