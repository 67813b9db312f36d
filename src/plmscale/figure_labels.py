"""Labels beside points that cover neither each other nor a point: tried in rings about the point, nearest first."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

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
    taken = [_square(pixel[0], pixel[1], POINT * scale) for pixel in ax.transData.transform(points)]
    frame = ax.get_window_extent()
    for x, y, text in labels:
        width, height = _extent(figure, figure.canvas, text, size)
        at = ax.transData.transform((x, y))
        box, distance = _free(at, (width, height), taken, frame=frame, scale=scale)
        taken.append(box)
        _write(ax, (x, y, text), box, size=size, leader=distance > LEADER)


def _extent(figure: Figure, canvas: FigureCanvasAgg, text: str, size: float) -> tuple[float, float]:
    probe = figure.text(0, 0, text, fontsize=size)
    box = probe.get_window_extent(canvas.get_renderer())
    probe.remove()
    return box.width, box.height


def _square(x: float, y: float, half: float) -> Bbox:
    return Bbox.from_extents(x - half, y - half, x + half, y + half)


def _candidates(at: np.ndarray, size: tuple[float, float], scale: float) -> Iterator[tuple[Bbox, float]]:
    """Boxes about a point, nearest ring first, from the right anticlockwise."""
    width, height = size
    for ring in RINGS:
        for k in range(DIRECTIONS):
            angle = 2 * np.pi * k / DIRECTIONS
            centre_x = at[0] + np.cos(angle) * (ring * scale + width / 2)
            centre_y = at[1] + np.sin(angle) * (ring * scale + height / 2 * abs(np.sin(angle)))
            yield (
                Bbox.from_extents(
                    centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2
                ),
                ring,
            )


def _free(
    at: np.ndarray, size: tuple[float, float], taken: Sequence[Bbox], *, frame: Bbox, scale: float
) -> tuple[Bbox, float]:
    """The first place inside the frame that covers nothing, else the one that covers least."""
    best, least = None, np.inf
    for box, ring in _candidates(at, size, scale):
        if box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1:
            continue
        padded = box.padded(GAP * scale)
        covered = sum(_overlap(padded, other) for other in taken)
        if covered == 0:
            return box, ring
        if covered < least:
            best, least = (box, ring), covered
    return best or (_square(at[0], at[1], max(size) / 2), 0.0)


def _overlap(one: Bbox, other: Bbox) -> float:
    shared = Bbox.intersection(one, other)
    return 0.0 if shared is None else shared.width * shared.height


def _write(ax: Axes, label: tuple[float, float, str], box: Bbox, *, size: float, leader: bool) -> None:
    x, y, text = label
    to_data = ax.transData.inverted()
    centre = to_data.transform(((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2))
    if leader:
        at = ax.transData.transform((x, y))
        end = to_data.transform((np.clip(at[0], box.x0, box.x1), np.clip(at[1], box.y0, box.y1)))
        ax.plot([x, end[0]], [y, end[1]], color="0.6", lw=0.5, zorder=3)
    behind = {"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    ax.text(centre[0], centre[1], text, fontsize=size, ha="center", va="center", color="0.1", zorder=3.5, bbox=behind)
