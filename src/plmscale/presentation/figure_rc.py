"""Settings of matplotlib for all figures."""

from typing import Any

FONT_SIZE = 8.0
"""Smallest text in points, at the size at which the figure is printed."""

INK = ".15"
"""Grey of text, axes and ticks: softer than black."""

RC: dict[Any, Any] = {
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "savefig.dpi": 300,
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "axes.labelsize": FONT_SIZE + 1,
    "axes.titlesize": FONT_SIZE + 1,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "white",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.6,
    "legend.fontsize": FONT_SIZE,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": FONT_SIZE,
    "ytick.color": INK,
    "ytick.labelsize": FONT_SIZE,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "mathtext.default": "it",
    "pdf.fonttype": 42,  # TrueType: text stays text
    "svg.fonttype": "none",
    "svg.hashsalt": "plmscale",  # ids of SVG elements are otherwise random
}
