"""The report's interactive figures: Plotly figures whose traces say what they are, and the boxes that switch them.

A trace has a `meta`, for example {"size": "35M", "subset": "sampled20", "schedule": "constant"}; it is shown while the
boxes of all its values are ticked. The boxes have the colours and signs of the traces: they are the legend.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex

from ...presentation.figure_style import SizeScale, schedule_title
from ...presentation.formats import number, short
from ...results.analysed import LawResults
from ...runs.curves import Curve

DASHES = ("solid", "dash", "dot", "dashdot")
"""Lines of the schedules, in their order."""

SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
"""Signs of the training sets, as `plmscale.presentation.figure_style.MARKERS`."""

CLOUD, LINE, ENVELOPE = 60, 120, 200
"""Most points of a run's measured losses, of its smoothed line, and of an envelope."""

HEADROOM = 0.4
UNIGRAM = "#555555"


@dataclass(frozen=True)
class Box:
    """A box to tick: the value that traces name, its words, and the colour and sign of its traces."""

    value: str
    label: str
    colour: str = ""
    sign: str = ""


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
        Data and layout as Plotly reads them.
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


def rendered(figure: go.Figure) -> dict[str, Any]:
    """Data and layout as plain JSON types; NaN becomes null."""
    return {key: figure.to_plotly_json()[key] for key in ("data", "layout")}


def layout(figure: go.Figure, *, x: str, y: str) -> None:
    """The look that all figures share: logarithmic horizontal axis, no legend, nothing that moves."""
    axis = {"showline": True, "linecolor": "#222", "gridcolor": "#e8e8e8", "ticks": "outside", "zeroline": False}
    axis |= {"exponentformat": "power", "automargin": True}
    figure.update_layout(
        template="none",
        showlegend=False,
        hovermode="closest",
        hoverlabel={"bgcolor": "white", "font": {"color": "#111", "size": 13}, "align": "left"},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
        margin={"l": 64, "r": 16, "t": 28, "b": 52},
        paper_bgcolor="white",
        plot_bgcolor="white",
    )
    figure.update_xaxes(type="log", title_text=x, **axis)
    figure.update_yaxes(title_text=y, **axis)


def hex_of(sizes: SizeScale, n_params: float) -> str:
    """The colour of a size as Plotly reads it."""
    return to_hex(sizes[n_params])


def thinned(n: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `n` points, the ends among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int)) if n else np.zeros(0, dtype=int)


def size_boxes(results: LawResults, sizes: SizeScale) -> list[Box]:
    """A box per size, smallest first."""
    names = {float(curve.n_params): curve.model for curve in results.curves}
    return [Box(names[size], names[size], hex_of(sizes, size)) for size in sizes.sizes if size in names]


def schedule_boxes(results: LawResults) -> list[Box]:
    """A box per schedule with the dashes of its lines."""
    return [Box(name, schedule_title(name), sign=DASHES[i % len(DASHES)]) for i, name in enumerate(results.schedules)]


def loss_figure(results: LawResults, sizes: SizeScale) -> Interactive:
    """Loss of every run against FLOPs: measured (points), smoothed (lines), and the envelope of each schedule."""
    figure = go.Figure()
    # The envelope lies below the runs: a run's own point is what the mouse finds.
    for i, schedule in enumerate(results.schedules):
        _envelope_trace(figure, results, schedule, dash=DASHES[i % len(DASHES)])
    for curve in results.curves:
        if curve.flops.size:
            _run_traces(figure, curve, results, sizes)
    layout(figure, x="C (training FLOPs)", y="Loss (nats per masked token)")
    entropy = results.unigram_entropy
    seen = [curve for curve in results.curves if curve.flops.size]
    if seen:
        low, high = _loss_range(seen, entropy)
        shown = np.concatenate([curve.flops[curve.loss <= high] for curve in seen])
        figure.update_yaxes(range=[low, high])
        figure.update_xaxes(range=np.log10([shown.min() / 1.1, shown.max() * 1.15]).tolist())
        if entropy is not None:
            ends = [min(float(curve.flops[0]) for curve in seen), float(shown.max())]
            reference_line(figure, ends, at=entropy, words=f"unigram entropy, {entropy:.3f} nats")
    sets = [Box(name, name, sign=SYMBOLS[i % len(SYMBOLS)]) for i, name in enumerate(results.sets)]
    kinds = [Box("cloud", "measured"), Box("line", "smoothed"), Box("envelope", "envelope", "#000000")]
    boxes = {"size": size_boxes(results, sizes), "subset": sets, "schedule": schedule_boxes(results), "kind": kinds}
    summary = f"Loss against training FLOPs of {len(seen)} runs, with the lowest loss at each budget."
    return Interactive("loss_vs_flops", "Loss against training FLOPs", summary, rendered(figure), boxes)


def reference_line(figure: go.Figure, ends: Sequence[float], *, at: float, words: str) -> None:
    """A dashed line with its name at the second of its ends; a trace, as shapes do not follow log axes."""
    left = ends[1] < ends[0]
    figure.add_scatter(
        x=list(ends),
        y=[at, at],
        mode="lines+text",
        text=["", words],
        textposition="top right" if left else "top left",
        textfont={"size": 12, "color": UNIGRAM},
        line={"color": UNIGRAM, "width": 1, "dash": "dash"},
        hoverinfo="skip",
    )


def _run_traces(figure: go.Figure, curve: Curve, results: LawResults, sizes: SizeScale) -> None:
    colour = hex_of(sizes, curve.n_params)
    dash = DASHES[results.schedules.index(curve.schedule) % len(DASHES)]
    symbol = SYMBOLS[results.sets.index(curve.subset) % len(SYMBOLS)] if curve.subset in results.sets else "circle"
    meta = {"size": curve.model, "subset": curve.subset, "schedule": curve.schedule}
    for kind, values, most in (("cloud", curve.raw_loss, CLOUD), ("line", curve.loss, LINE)):
        at = thinned(curve.flops.size, most)
        last = at[-1:] if kind == "line" else at
        figure.add_scatter(
            x=curve.flops[at].tolist(),
            y=values[at].tolist(),
            mode="lines+markers" if kind == "line" else "markers",
            line={"color": colour, "width": 1.6, "dash": dash},
            marker={
                "color": colour,
                "symbol": symbol,
                "size": [8 if i in last else 0 for i in at] if kind == "line" else 3,
                "opacity": 1 if kind == "line" else 0.35,
            },
            customdata=[[short(d), number(c), number(y, digits=4)] for c, d, y in _rows(curve, values, at)],
            hovertemplate=hover(curve.run, n_params=curve.n_params, status=f"{curve.status}, {_KINDS[kind]}"),
            meta={**meta, "kind": kind},
        )


_KINDS = {"cloud": "measured", "line": "smoothed"}


def _rows(curve: Curve, values: np.ndarray, at: np.ndarray) -> list[tuple[float, float, float]]:
    return [(float(curve.flops[i]), float(curve.n_tokens[i]), float(values[i])) for i in at]


def hover(run: str, *, n_params: float, status: str) -> str:
    """What a point of a run says: cell, N, D, C, loss, status. `customdata` holds D, C and loss as texts."""
    return (
        f"<b>{run}</b><br>N = {short(n_params)} parameters<br>D = %{{customdata[0]}} tokens<br>"
        f"C = %{{customdata[1]}} FLOPs<br>loss %{{customdata[2]}} nats<br>{status}<extra></extra>"
    )


def _envelope_trace(figure: go.Figure, results: LawResults, schedule: str, *, dash: str) -> None:
    fit = results.fits.get("envelope", {}).get(schedule)
    rows = [] if fit is None else [(row, "used in the fit") for row in fit.points]
    if fit is not None:
        rows += [(row, f"left out: {row['reason']}") for row in fit.excluded if row.get("loss") is not None]
    rows.sort(key=lambda pair: pair[0]["flops"])
    chosen = [rows[i] for i in thinned(len(rows), ENVELOPE)]
    if not chosen:
        return
    figure.add_scatter(
        x=[row["flops"] for row, _ in chosen],
        y=[row["loss"] for row, _ in chosen],
        mode="lines",
        line={"color": "#000000", "width": 4.5, "dash": dash},
        opacity=0.8,
        customdata=[[row["run"], short(row["n_params"]), short(row["n_tokens"]), words] for row, words in chosen],
        hovertemplate=(
            "<b>envelope: %{customdata[0]}</b><br>N = %{customdata[1]} parameters<br>D = %{customdata[2]} tokens<br>"
            "C = %{x:.3g} FLOPs<br>loss %{y:.4f} nats<br>%{customdata[3]}<extra></extra>"
        ),
        meta={"schedule": schedule, "kind": "envelope"},
    )


def _loss_range(curves: Sequence[Curve], entropy: float | None) -> list[float]:
    """Where models differ: from the lowest loss to above the unigram entropy; zooming out shows the rest."""
    lowest = min(float(np.nanmin(curve.loss)) for curve in curves)
    guess = lowest if entropy is None else entropy
    highest = max(guess, *(float(curve.loss[-1]) for curve in curves))
    drop = max(highest - min(lowest, guess), 0.02)
    return [min(lowest, guess) - 0.06 * drop, highest + HEADROOM * drop]
