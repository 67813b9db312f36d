"""The page report.html: its words, its interactive figures, its template."""
