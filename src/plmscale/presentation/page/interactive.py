"""Interactive figures: traces and layout as plotly.js reads them, and the boxes that switch them.

A trace has a `meta`, for example {"size": "35M", "subset": "sampled20", "schedule": "constant"}; it is shown while the
boxes of all its values are ticked. The boxes have the colours and signs of the traces: they are the legend.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

DASHES = ("solid", "dash", "dot", "dashdot")
"""Lines of the schedules, in their order."""

SYMBOLS = (
    "circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x",
    "triangle-left", "triangle-right", "star", "star-diamond", "pentagon", "diamond-tall", "hexagon2",
)  # fmt: skip
"""Signs of the training sets, as `plmscale.presentation.figure_style.MARKERS`."""

SIGNS = {
    "solid": "—", "dash": "╌", "dot": "┈", "dashdot": "–·",
    "circle": "●", "square": "■", "triangle-up": "▲", "diamond": "◆", "triangle-down": "▼", "cross": "✚", "x": "✖",
    "triangle-left": "◀", "triangle-right": "▶", "star": "★", "star-diamond": "✦", "pentagon": "⬟", "diamond-tall": "♦",
    "hexagon2": "⬢",
}  # fmt: skip
"""Lines and signs of traces as letters."""

REFERENCE = "#555555"

DIGITS = 6
"""Significant digits of the numbers of a trace: more than a screen or a hover box can tell apart."""

GAP = 0.12
"""Between two panels, as a share of the width."""


@dataclass(frozen=True)
class Box:
    """A box to tick: the value that traces name, its words, the colour and sign of its traces, whether it is ticked."""

    value: str
    label: str
    colour: str = ""
    sign: str = ""
    ticked: bool = True


@dataclass(frozen=True)
class Interactive:
    """A figure with its boxes.

    Attributes
    ----------
    name : str
        Also the `id` of its element.
    title, summary : str
        What it is; and what it shows, for those who cannot see it.
    figure : dict
        Data and layout as plotly.js reads them.
    boxes : mapping of str to sequence of Box
        By the key of `meta` that they switch, in the order in which they are shown.
    log : sequence of str
        Axes that can be switched between logarithmic and linear.
    """

    name: str
    title: str
    summary: str
    figure: Mapping[str, Any]
    boxes: Mapping[str, Sequence[Box]]
    log: Sequence[str] = ("xaxis", "yaxis")

    @property
    def log_y(self) -> bool:
        """Whether the vertical axis begins logarithmic."""
        return self.figure["layout"]["yaxis"].get("type") == "log"


TITLES = {
    "size": "Sizes",
    "subset": "Sets",
    "schedule": "Schedules",
    "kind": "What",
    "flops": "C (FLOPs)",
    "method": "Methods",
    "count": "Tokens",
    "objective": "Objectives",
}
"""Headings of the boxes, by key."""


@dataclass
class Plot:
    """Traces and axes of a figure with one panel, or two side by side."""

    n_panels: int = 1
    traces: list[dict[str, Any]] = field(default_factory=list)
    axes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def scatter(self, *, panel: int = 1, **trace: Any) -> None:
        """Add points or a line to a panel."""
        where = {} if panel == 1 else {"xaxis": f"x{panel}", "yaxis": f"y{panel}"}
        self.traces.append({"type": "scatter", **where, **trace})

    def axis(self, name: str, **look: Any) -> None:
        """Change an axis: "x" or "y" of the first panel, "x2" or "y2" of the second."""
        self.axes.setdefault(f"{name[0]}axis{name[1:]}", {}).update(look)

    def reference(self, ends: Sequence[float], *, at: float, words: str) -> None:
        """A dashed line with its name at the second of its ends; a trace, as shapes do not follow log axes."""
        self.scatter(
            x=list(ends),
            y=[at, at],
            mode="lines+text",
            text=["", words],
            textposition="top right" if ends[1] < ends[0] else "top left",
            textfont={"size": 12, "color": REFERENCE},
            line={"color": REFERENCE, "width": 1, "dash": "dash"},
            hoverinfo="skip",
        )

    def rendered(self, *, x: str, y: Sequence[str]) -> dict[str, Any]:
        """Data and layout as plain JSON types: logarithmic horizontal axes, no legend, nothing that moves.

        Parameters
        ----------
        x : str
            Label of the horizontal axes.
        y : sequence of str
            Labels of the vertical axes, one a panel.
        """
        axis = {"showline": True, "linecolor": "#222", "gridcolor": "#e8e8e8", "ticks": "outside", "zeroline": False}
        axis |= {"exponentformat": "power", "automargin": True}
        layout: dict[str, Any] = {
            "showlegend": False,
            "hovermode": "closest",
            "hoverlabel": {"bgcolor": "white", "font": {"color": "#111", "size": 13}, "align": "left"},
            "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
            "margin": {"l": 64, "r": 16, "t": 20, "b": 52},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
        }
        width = (1 - GAP * (self.n_panels - 1)) / self.n_panels
        for i, title in enumerate(y):
            suffix = "" if i == 0 else str(i + 1)
            domain = [round(i * (width + GAP), 4), round(i * (width + GAP) + width, 4)]
            own = {"type": "log", "title": {"text": _subscripts(x)}, "domain": domain, "anchor": f"y{suffix}"}
            layout[f"xaxis{suffix}"] = axis | own | self.axes.get(f"xaxis{suffix}", {})
            own = {"title": {"text": _subscripts(title)}, "anchor": f"x{suffix}"}
            layout[f"yaxis{suffix}"] = axis | own | self.axes.get(f"yaxis{suffix}", {})
        return {"data": _plain(self.traces), "layout": _plain(layout)}


def _subscripts(label: str) -> str:
    return label.replace("_opt", "<sub>opt</sub>")


def _plain(value: Any) -> Any:
    """JSON types: numbers to `DIGITS` digits, NaN as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value.item()


def thinned(n: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `n` points, the ends among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int)) if n else np.zeros(0, dtype=int)
