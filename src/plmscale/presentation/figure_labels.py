"""Labels beside points that cover neither each other nor a point: tried in rings about the point, nearest first."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

Box = NDArray[np.float64]
"""Left, bottom, right and top in pixels; shape (4,), or (n, 4) for several."""

RINGS = (7.0, 12.0, 18.0, 26.0, 36.0, 48.0, 64.0)
"""Distances of a label from its point, in points."""

DIRECTIONS = 16
LEADER = 14.0
"""A label further away than this, in points, is joined to its point by a line."""

POINT = 3.5
"""Half the side of the square about a point that no label may cover, in points."""

GAP = 1.0


def place_labels(
    ax: Axes, labels: Sequence[tuple[float, float, str]], *, obstacles: Sequence[tuple[float, float]], size: float
) -> None:
    """Write labels beside their points. Call it last: the limits of the axes must not change afterwards.

    Parameters
    ----------
    ax : Axes
    labels : sequence of (x, y, text)
        In data coordinates; the first ones get the best places.
    obstacles : sequence of (x, y)
        Further points that are not to be covered.
    size : float
        Of the letters, in points.
    """
    figure = ax.get_figure(root=True)
    if figure is None or not isinstance(figure.canvas, FigureCanvasAgg):
        raise TypeError("place_labels needs a figure with an Agg canvas.")
    scale = figure.dpi / 72
    points = np.array([(x, y) for x, y, _ in labels] + list(obstacles), dtype=float)
    taken = list(_about(ax.transData.transform(points), POINT * scale))
    frame = np.asarray(ax.get_window_extent().extents)
    for x, y, text in labels:
        size_of_text = _extent(figure, figure.canvas, text, size)
        at = ax.transData.transform((x, y))
        box, distance = _free(at, size_of_text, np.array(taken), frame=frame, scale=scale)
        taken.append(box)
        _write(ax, (x, y, text), box, size=size, leader=distance > LEADER)


def _extent(figure: Figure, canvas: FigureCanvasAgg, text: str, size: float) -> tuple[float, float]:
    probe = figure.text(0, 0, text, fontsize=size)
    box = probe.get_window_extent(canvas.get_renderer())
    probe.remove()
    return box.width, box.height


def _about(centre: NDArray[np.float64], half: float | NDArray[np.float64]) -> Box:
    """Boxes about points (..., 2), by half their width and height."""
    return np.concatenate([centre - half, centre + half], axis=-1)


def _candidates(at: NDArray[np.float64], size: tuple[float, float], scale: float) -> Box:
    """Boxes about a point, nearest ring first, from the right anticlockwise; shape (rings × directions, 4)."""
    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    ring = np.repeat(RINGS, DIRECTIONS) * scale
    cos, sin = np.tile(np.cos(angle), len(RINGS)), np.tile(np.sin(angle), len(RINGS))
    off = np.stack([cos * (ring + size[0] / 2), sin * (ring + size[1] / 2 * abs(sin))], axis=-1)
    return _about(at + off, np.array(size) / 2)


def _free(
    at: NDArray[np.float64], size: tuple[float, float], taken: Box, *, frame: Box, scale: float
) -> tuple[Box, float]:
    """The first place inside the frame that covers nothing, else the one that covers least, and its distance."""
    boxes = _candidates(at, size, scale)
    inside = np.flatnonzero((boxes[:, :2] >= frame[:2]).all(axis=1) & (boxes[:, 2:] <= frame[2:]).all(axis=1))
    if not inside.size:
        return _about(at, np.full(2, max(size) / 2)), 0.0
    covered = _covered(boxes[inside], taken, gap=GAP * scale)
    best = inside[np.argmin(covered)]  # the first of equals
    return boxes[best], RINGS[best // DIRECTIONS]


def _covered(boxes: Box, taken: Box, *, gap: float) -> NDArray[np.float64]:
    """Area of `taken` that each box covers, with a gap about the box; shape (n,)."""
    low = np.maximum(boxes[:, None, :2] - gap, taken[:, :2])
    high = np.minimum(boxes[:, None, 2:] + gap, taken[:, 2:])
    return np.maximum(high - low, 0.0).prod(axis=-1).sum(axis=-1)


def _write(ax: Axes, label: tuple[float, float, str], box: Box, *, size: float, leader: bool) -> None:
    x, y, text = label
    to_data = ax.transData.inverted()
    centre = to_data.transform((box[:2] + box[2:]) / 2)
    if leader:
        at = ax.transData.transform((x, y))
        end = to_data.transform(np.clip(at, box[:2], box[2:]))
        ax.plot([x, end[0]], [y, end[1]], color="0.6", lw=0.5, zorder=3)
    behind = {"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    ax.text(centre[0], centre[1], text, fontsize=size, ha="center", va="center", color="0.1", zorder=3.5, bbox=behind)
