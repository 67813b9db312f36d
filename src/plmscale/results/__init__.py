"""The folder of results of a study: where its files are, what they hold, what came of every cell.

In: results/. Out: `Results` and `Analysed`, which tables, figures and reports draw. Others use `study_results`,
`analysed`, `findings`, `outcomes` and `layout`, and `owner`, which knows whose study a folder holds.
"""
