"""Numbers as words, tables in four formats, and the look of figures and pages.

In: plain numbers, `Estimate`s and data frames. Out: text, `Table`s (tsv, Markdown, LaTeX, HTML) and matplotlib's
settings. Others use `formats`, `tables`, `figure_style` and `labels`. To change how all figures look: `figure_style`.
"""
