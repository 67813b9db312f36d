"""One look for all figures: colours, lines, legends, and files that come out the same every time."""

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterMathtext,
    LogFormatterSciNotation,
    LogLocator,
    NullFormatter,
)
from matplotlib.transforms import offset_copy

from ..files import atomic
from .figure_data import figure_csv, has_content
from .figure_page import PAGES, page, printed_on
from .figure_rc import FONT_SIZE, RC
from .formats import given, short
from .schedule_words import schedule_words

MARKERS: tuple[Any, ...] = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", (4, 1, 0), "p", "d", "H")
"""Markers of training sets, in the order of the table; they repeat when it has more than these 14."""

CHARACTERS_PER_INCH = 16.5
"""Characters of `FONT_SIZE` that fit into an inch of running text, a few capitals among them."""

HANDLE = 7
"""Characters that a handle in a legend and the spaces around it take."""

LABEL_HEIGHT = 32.0
"""Points that ticks and label of a horizontal axis take below it."""

LINE_SPACING, POINTS_PER_INCH = 1.3, 72.0

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Colours that colour-blind readers tell apart (Okabe and Ito 2008): methods and levels, never sizes."""


LEFT_OUT = "0.6"
"""Grey of what is shown but not fitted."""

BEYOND: Any = (0, (5, 2.5))
"""Dashes of a law beyond the data."""

FORMATS = ("svg", "pdf", "png")

# Without these, files hold the date and the version of matplotlib.
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


@contextmanager
def style() -> Iterator[None]:
    """The style of every figure, for what is drawn and saved inside."""
    with mpl.rc_context(RC):
        yield


def panels(rows: int, columns: int, *, height: float, sharey: bool = False) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure and its panels; `height` in inches is that of the whole figure."""
    where = page()
    if where.stacked:
        figure = Figure(figsize=(where.one, height * columns * where.shorter), layout="constrained")
        grid = figure.subplots(rows * columns, 1, squeeze=False, sharey=sharey).reshape(rows, columns)
    else:
        figure = Figure(figsize=(where.one if columns == 1 else where.several, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharey="row" if sharey else False)
    FigureCanvasAgg(figure)
    return figure, [list(row) for row in grid]


def leftmost(row: Sequence[Axes]) -> Sequence[Axes]:
    """Panels of a row that have nothing to their left: they name the vertical axis."""
    return row if page().stacked else row[:1]


def write_on_pages(draw: Callable[[], Figure], folder: Path, *, name: str, empty: bool = True) -> bool:
    """Draw a figure for each page and write it (`save`), into `folder` and its folder `column`.

    A figure in which nothing is drawn is written if it may be `empty`. Returns whether it was written.
    """
    for where in PAGES:
        with printed_on(where), style():
            figure = draw()
            if not empty and not has_content(figure):
                return False
            # A layout that is settled is that of a figure whose labels are placed; the others fit any height.
            if figure.get_figheight() > where.tallest and figure.get_layout_engine() is not None:
                figure.set_figheight(where.tallest)
            save(figure, folder / where.folder, name=name)
    return True


def schedule_panels(n: int, *, height: float, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A panel per schedule, at most two side by side, so that titles fit; `height` in inches is that of a row."""
    rows, columns = (n, 1) if page().stacked else (math.ceil(n / 2), min(n, 2))
    figure, grid = panels(rows, columns, height=height * rows, sharey=sharey)
    found = [ax for row in grid for ax in row]
    for spare in found[n:]:
        spare.remove()
    return figure, found[:n]


def save(figure: Figure, folder: Path, *, name: str) -> None:
    """Write {name}.svg, .pdf and .png, each atomically, with nothing in them that changes from run to run.

    Beside them {name}.csv has what is drawn (`plmscale.presentation.figure_data`); it is the same for all pages, and is
    written for one.
    """
    # Laid out once for all formats: it takes longer than drawing.
    if layout := figure.get_layout_engine():
        layout.execute(figure)
    with mpl.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)  # not "none", which stands for another one: then each format is drawn twice
    for suffix in FORMATS:
        with atomic(folder / f"{name}.{suffix}") as partial:
            figure.savefig(partial, metadata=_METADATA[suffix], dpi=SVG_DPI if suffix == "svg" else None)
    if not page().stacked:
        with atomic(folder / f"{name}.csv") as partial:
            partial.write_text(figure_csv(figure), encoding="utf-8")


SVG_DPI = 150
"""Of the clouds of points in an SVG, which are the only pixels in it: SVGs are for screens."""

MOST_SIZE_LABELS = 18
"""Labels that fit side by side along the bar of sizes of the lowest figure."""


class SizeScale:
    """Colour of model sizes: light to dark with log N.

    Parameters
    ----------
    sizes : iterable of int
        Parameters of every model of the study.
    """

    def __init__(self, sizes: Iterable[float]) -> None:
        self.sizes = sorted(set(sizes))
        logs = np.log(self.sizes)
        place = (logs - logs[0]) / (logs[-1] - logs[0]) if len(logs) > 1 else np.array([0.5])
        # Both ends of viridis are left out: the yellow is faint on white, and black belongs to the envelope.
        self.colours = [mpl.colormaps["viridis_r"](0.1 + 0.8 * float(p)) for p in place]

    def __getitem__(self, n_params: float) -> Any:
        return self.colours[self.sizes.index(n_params)]

    def legend(self, figure: Figure, axes: Sequence[Axes]) -> None:
        """A bar with one labelled field per size beside the panels."""
        k = len(self.sizes)
        mappable = ScalarMappable(BoundaryNorm(np.arange(k + 1), k), ListedColormap(self.colours))
        # Labels of many sizes would overlap: every second, third, ... one, the largest among them.
        every = -(-k // MOST_SIZE_LABELS)
        shown = np.arange(k)[::-1][::every][::-1]
        bar = figure.colorbar(mappable, ax=list(axes), ticks=shown + 0.5, fraction=0.05, aspect=22, pad=0.02)
        bar.set_ticklabels([short(self.sizes[i]) for i in shown])
        bar.ax.tick_params(length=0, which="both")
        bar.set_label("N (parameters)")
        bar.outline.set_visible(False)  # type: ignore[operator]


class SetMarks:
    """Marker of each training set, in the order of the table of sets."""

    def __init__(self, names: Sequence[str]) -> None:
        self.markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(names)}

    def __getitem__(self, name: str) -> Any:
        return self.markers[name]

    def handles(self, shown: Iterable[str]) -> list[Line2D]:
        """Entries of a legend for the sets that are shown, in the order of the table."""
        here = set(shown)
        return [marker_entry(marker, label=name) for name, marker in self.markers.items() if name in here]


def marker_entry(marker: Any, *, label: str, **look: Any) -> Line2D:
    """A marker in a legend, grey if `look` says nothing else."""
    return Line2D([], [], **({"color": "0.35", "ls": "", "marker": marker, "ms": 5, "label": label} | look))


def line_entry(*, label: str, **look: Any) -> Line2D:
    """A line in a legend, grey if `look` says nothing else."""
    return Line2D([], [], **({"color": "0.35", "lw": 1.5, "label": label} | look))


def legend_above(figure: Figure, handles: Sequence[Line2D]) -> None:
    """A legend in rows above the panels, where it hides nothing; entries run along the rows."""
    if not handles:
        return
    lengths = [len(str(handle.get_label())) + HANDLE for handle in handles]
    room = figure.get_figwidth() * CHARACTERS_PER_INCH
    columns = max(k for k in range(1, len(lengths) + 1) if k == 1 or _legend_width(lengths, k) <= room)
    # matplotlib fills columns first; a reader reads rows.
    by_row = [handle for column in range(columns) for handle in handles[column::columns]]
    figure.legend(handles=by_row, loc="outside upper left", ncols=columns, columnspacing=1.5, handlelength=1.6)


def legend_below(ax: Axes, handles: Sequence[Line2D], *, columns: int = 1, title: str | None = None) -> None:
    """A legend under the horizontal axis and its label, at the same distance whatever the height of the panel."""
    under = offset_copy(ax.transAxes, ax.get_figure(root=True), y=-LABEL_HEIGHT, units="points")
    room, columns = page().one * CHARACTERS_PER_INCH, min(columns, max(len(handles), 1))
    while columns > 1 and _legend_width([len(str(handle.get_label())) + HANDLE for handle in handles], columns) > room:
        columns -= 1
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "bbox_transform": under}
    ax.legend(handles=list(handles), ncols=columns, title=title, alignment="left", borderaxespad=0, **place)


def _legend_width(lengths: Sequence[int], columns: int) -> int:
    return sum(max(lengths[column::columns]) for column in range(columns))


EVERY_DIGIT = tuple(float(digit) for digit in range(1, 10))
LABELLED = ((2.0, (1.0,)), (0.7, (1.0, 2.0, 5.0)), (0.25, (1.0, 2.0, 3.0, 5.0, 7.0)), (0.0, EVERY_DIGIT))
"""Leading digits that are labelled on an axis of at least so many decades: as many as fit side by side."""
IN_COLUMN = ((1.7, (1.0,)), (1.1, (1.0, 3.0)), *LABELLED[1:])
"""The same for powers of ten along the bottom of a narrow figure."""
PLAIN = (1e-3, 1e5)
"""Ends of a logarithmic axis within which its labels are no powers of ten: tokens per parameter, hours."""


def log_ticks(axis: Axis, *, prefixes: bool = False) -> None:
    """Labelled ticks of a logarithmic axis: powers of ten if it spans two of them, else more; call it last.

    With `prefixes` labels are 200k, 5M and so on, as sizes are called; without, powers of ten, and 20, 50, 100 where
    all of them lie between 0.001 and 100,000.
    """
    low, high = axis.get_view_interval()
    decades = np.log10(high / low)
    plain = not prefixes and PLAIN[0] <= low and high <= PLAIN[1]
    narrow = page().stacked and isinstance(axis, XAxis) and not prefixes and not plain
    subs = next(digits for least, digits in (IN_COLUMN if narrow else LABELLED) if decades >= least)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(LogLocator(subs="auto" if decades >= 2 else EVERY_DIGIT))
    axis.set_minor_formatter(NullFormatter())
    if prefixes or plain:
        words = short if prefixes else given
        axis.set_major_formatter(FuncFormatter(lambda value, _: words(value)))
    elif len(subs) > 1:
        axis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(np.inf, np.inf)))
    else:
        axis.set_major_formatter(LogFormatterMathtext())


def footnote(figure: Figure, sentences: Sequence[str]) -> None:
    """Sentences below the panels; the figure becomes higher by them."""
    per_line = int(figure.get_figwidth() * CHARACTERS_PER_INCH)
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, per_line, subsequent_indent="   ")]
    if lines:
        figure.set_figheight(figure.get_figheight() + len(lines) * FONT_SIZE * LINE_SPACING / POINTS_PER_INCH)
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=FONT_SIZE, color="0.25")


def name_left_out(figure: Figure, what: str, schedules: Iterable[str]) -> None:
    """A sentence below the panels with the schedules that have none; `what` they lack."""
    if names := ", ".join(map(schedule_words, schedules)):
        footnote(figure, [f"{what}: {names}."])


def sentence(ax: Axes, text: str, *, top: bool = False, width: int = 40) -> None:
    """A sentence in the middle or at the top of a panel; `width` in characters."""
    ax.text(
        *(0.5, 0.97 if top else 0.5),
        textwrap.fill(text, width),
        transform=ax.transAxes,
        ha="center",
        va="top" if top else "center",
        fontsize=FONT_SIZE,
        color="0.2",
        bbox={"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": "0.8", "alpha": 0.9},
        zorder=10,
    )


def empty(ax: Axes, text: str) -> None:
    """A panel that has only a sentence: no ticks that would suggest data."""
    ax.set_xticks([])
    ax.set_yticks([])
    sentence(ax, text)
