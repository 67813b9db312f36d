"""What a figure draws, as data: every line, point and band with its numbers."""

import csv
import io
import re
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

HEAD = ("panel", "series", "kind", "x_axis", "y_axis", "x", "y")

_MATHEMATICS = re.compile(r"\$|\\mathrm|[{}]")
"""What makes a label mathematics."""

Drawn = tuple[str, str, NDArray[np.float64]]
"""Series, kind ("points", "line", "band" or "contour"), and its points of shape (n, 2)."""


def drawn(ax: Axes) -> Iterator[Drawn]:
    """What is drawn in the data coordinates of a panel; lines of reference across it are not."""
    for line in ax.get_lines():
        if line.get_transform() != ax.transData:
            continue
        points = np.column_stack([np.asarray(one, dtype=float) for one in line.get_data()])
        yield _series(line), "points" if line.get_linestyle() in ("None", "", " ") else "line", points
    for one in ax.collections:
        if isinstance(one, PathCollection):
            yield _series(one), "points", np.asarray(one.get_offsets(), dtype=float)
        elif one.get_transform() == ax.transData:
            kind = "contour" if type(one).__name__ == "QuadContourSet" else "band"
            for path in one.get_paths():
                yield _series(one), kind, np.asarray(path.vertices, dtype=float)
    for patch in ax.patches:
        if patch.get_gid():
            yield _series(patch), "band", np.asarray(patch.get_path().vertices, dtype=float)
    for image in ax.images:
        values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
        yield (
            "values by row and column",
            "points",
            np.column_stack([np.arange(values.size, dtype=float), values.ravel()]),
        )


def _series(artist: object) -> str:
    name = artist.get_gid() or str(artist.get_label())  # type: ignore[attr-defined]
    return "" if name.startswith("_") else name


def has_content(figure: Figure) -> bool:
    """Whether anything is drawn in any panel."""
    return any(np.isfinite(points).any() for ax in figure.axes for _, _, points in _of_panel(ax))


def _of_panel(ax: Axes) -> Iterator[Drawn]:
    """What a panel draws; a bar of colours is none."""
    return iter(()) if ax.get_label() == "<colorbar>" else drawn(ax)


def figure_csv(figure: Figure) -> str:
    """All panels as comma-separated values, at full precision; only a head where nothing is drawn.

    Columns: panel (its title), series, kind, the labels of both axes, x and y.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEAD)
    for ax in figure.axes:
        panel = ax.get_title(loc="left") or ax.get_title(loc="right")
        labels = [_MATHEMATICS.sub("", label) for label in (ax.get_xlabel(), ax.get_ylabel())]
        for series, kind, points in _of_panel(ax):
            known = points[np.isfinite(points).all(axis=1)].tolist()
            writer.writerows((panel, series, kind, *labels, x, y) for x, y in known)
    return out.getvalue()
