"""Draw the map of the workflow from its rules: `python docs/generators/workflow_map.py` writes docs/workflow.svg.

Snakemake says which rules the small study has and which takes what another makes; a rule stands in the column of its
file. An arrow that follows from others is left out. A test draws the map again.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from plmscale.files import atomic

ROOT = Path(__file__).parents[2]
MAP = "docs/workflow.svg"
TARGETS = ("all", "plan")

STAGES = {
    "Proteins to sets": ("data",),
    "Cells": ("plan", "train", "trunk", "forecast"),
    "Laws": ("analysis",),
    "What you read": ("report",),
}
"""Columns of the map, and the files of rules in each."""

READ = ("tables", "figures", "summary")
"""Rules of the analysis that make what is read."""

SAID = {
    "retrieve": "downloads the proteins",
    "store": "FASTA to tokens, once",
    "holdout_candidates": "drawn before any set",
    "holdout": "no near relative of a set",
    "subset": "all, clusters, samples",
    "passes": "parts and repeats of a set",
    "plan": "cost, before anything runs",
    "freeze": "all that a cell depends on",
    "freeze_trunk": "what its cells share",
    "trunk": "the shared part, once",
    "train": "one cell of the grid",
    "forecast": "losses, before their training",
    "collect_runs": "all runs as one table",
    "curves": "one smooth curve a run",
    "fit": "laws, intervals, verdicts",
    "findings": "everything else that is said",
    "tables": "tsv, md, tex, html",
    "figures": "pdf, svg, png, csv",
    "summary": "the study in a page of text",
    "report": "report.html",
}
"""What a rule does, in as few words as its box holds."""

BOX, GAP, TOP, LEFT, COLUMN = (182, 44), 22, 58, 20, 226
"""Pixels: a box, the gap below it, the first row, the first column, from column to column."""

COLOURS = ("#e8f1fa", "#eaf5ea", "#fdf2e1", "#f3ecf8")
Edge = tuple[str, str]
Place = tuple[int, int]


def rule_graph(folder: Path, *, run: Callable[..., Any] = subprocess.run) -> list[Edge]:
    """Which rule of the small study takes what another makes, in Snakemake's words."""
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    words += ["--configfile", str(ROOT / "config/toy.yaml"), "--rulegraph", "dot", "--", *TARGETS]
    done = run(words, capture_output=True, text=True) if run is subprocess.run else run(words)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    names = dict(re.findall(r'(\d+)\[label ?= ?"(\w+)"', done.stdout))
    pairs = [(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", done.stdout)]
    return sorted({(a, b) for a, b in pairs if a != b and "all" not in (a, b)} | {(n, n) for n in names.values()})


def columns_of(names: Sequence[str]) -> list[list[str]]:
    """Rules by column, in the order of their files."""
    where: dict[str, tuple[str, int]] = {}
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for order, name in enumerate(re.findall(r"^rule (\w+):", file.read_text(encoding="utf-8"), re.M)):
            where[name] = (file.stem, order)
    columns = []
    for files in STAGES.values():
        own = [n for n in names if where[n][0] in files and n not in READ]
        columns.append(sorted(own, key=lambda name: (files.index(where[name][0]), where[name][1])))
    columns[-1] = [name for name in READ if name in names] + columns[-1]
    return columns


def without_detours(edges: Sequence[Edge], order: dict[str, int]) -> list[Edge]:
    """The forward edges that no path of others stands for, and those that lead back."""
    forward = {(a, b) for a, b in edges if order[a] < order[b]}
    back = [(a, b) for a, b in edges if order[a] > order[b]]

    def reached(start: str, goal: str) -> bool:
        return any(b == goal or reached(b, goal) for a, b in forward if a == start and order[b] <= order[goal])

    kept = [e for e in sorted(forward) if not any(reached(b, e[1]) for a, b in forward if a == e[0] and b != e[1])]
    return kept + back


def drawn(graph: Sequence[Edge]) -> str:
    """The map as SVG."""
    names = sorted({name for edge in graph for name in edge} - {"all"})
    columns = columns_of(names)
    places = {name: (i, j) for i, column in enumerate(columns) for j, name in enumerate(column)}
    order = {name: 100 * i + j for name, (i, j) in places.items()}
    edges = without_detours([edge for edge in graph if edge[0] != edge[1]], order)
    height = TOP + max(map(len, columns)) * (BOX[1] + GAP)
    width = 2 * LEFT + len(columns) * COLUMN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" font-family="sans-serif">',
        "<title>The workflow: which rule takes what another makes</title>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for i, title in enumerate(STAGES):
        parts.append(
            f'<rect x="{LEFT + i * COLUMN - 12}" y="8" width="{BOX[0] + 24}" height="{height - 16}" rx="8" '
            f'fill="{COLOURS[i]}"/><text x="{LEFT + i * COLUMN}" y="36" font-size="16" font-weight="bold" '
            f'fill="#223">{escape(title)}</text>'
        )
    parts += [_arrow(places[a], places[b]) for a, b in edges]
    parts += [_box(name, place) for name, place in places.items()]
    return "\n".join([*parts, "</svg>", ""])


def _corner(place: Place) -> tuple[int, int]:
    return LEFT + place[0] * COLUMN, TOP + place[1] * (BOX[1] + GAP)


def _box(name: str, place: Place) -> str:
    x, y = _corner(place)
    return (
        f'<rect x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="5" fill="#fff" stroke="#445"/>'
        f'<text x="{x + 10}" y="{y + 19}" font-size="14" font-weight="bold" fill="#112">{escape(name)}</text>'
        f'<text x="{x + 10}" y="{y + 35}" font-size="10.5" fill="#445">{escape(SAID[name])}</text>'
    )


def _arrow(start: Place, end: Place) -> str:
    """Down to the next box of a column, by the side to another one of it, and across to another column."""
    (x, y), (u, v), middle = _corner(start), _corner(end), BOX[1] // 2
    if start[0] == end[0] and end[1] == start[1] + 1:
        path = f"M{x + 30} {y + BOX[1]}L{u + 30} {v}"
    elif start[0] == end[0]:
        right, bend = x + BOX[0], 14 + 4 * abs(end[1] - start[1])
        far, goal = right + bend, v + middle + 6
        path = f"M{right} {y + middle}C{far} {y + middle} {far} {goal} {right} {goal}"
    else:
        right, half = x + BOX[0], (u - x - BOX[0]) // 2
        path = f"M{right} {y + middle}C{right + half} {y + middle} {u - half} {v + middle} {u} {v + middle}"
    dashes = ' stroke-dasharray="4 3"' if end < start else ""
    return f'<path d="{path}" fill="none" stroke="#667" stroke-width="1.3"{dashes} marker-end="url(#arrow)"/>'


def main() -> None:
    """Write the map."""
    with tempfile.TemporaryDirectory() as folder:
        text = drawn(rule_graph(Path(folder)))
    with atomic(ROOT / MAP) as partial:
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
