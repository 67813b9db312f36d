"""Pages that people read: one template, style and script for studies, fits, comparisons, advice and plans.

In: a `contents.Page` with its sections, tables and figures. Out: one HTML file that needs no network. `interactive` has
the figures that answer the mouse; plotly.js, in its smallest bundle, is carried along with its licence.
"""
