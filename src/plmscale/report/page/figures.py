"""The report's interactive figure of losses, and what all of its interactive figures share."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from matplotlib.colors import to_hex

from ...presentation.axis_labels import COMPUTE, loss_label
from ...presentation.figure_style import SizeScale
from ...presentation.formats import number, short
from ...presentation.page.interactive import DASHES, SYMBOLS, Box, Interactive, Plot, thinned
from ...presentation.schedule_words import schedule_title
from ...results.analysed import LawResults
from ...runs.curves import Curve
from ..envelope_lines import envelope_line
from ..loss_axis import loss_range, outside

CLOUD, LINE, ENVELOPE = 60, 120, 200
"""Most points of a run's measured losses, of its smoothed line, and of an envelope."""

MOST_POINTS = 5400
"""Points of all runs together: of many runs each has fewer, so that the page stays small."""


def hex_of(sizes: SizeScale, n_params: float) -> str:
    """The colour of a size as plotly.js reads it."""
    return to_hex(sizes[n_params])


def size_boxes(results: LawResults, sizes: SizeScale) -> list[Box]:
    """A box per size, smallest first."""
    names = {float(curve.n_params): curve.model for curve in results.curves}
    return [Box(names[size], names[size], hex_of(sizes, size)) for size in sizes.sizes if size in names]


def schedule_boxes(results: LawResults, *, signs: Sequence[str] = DASHES) -> list[Box]:
    """A box per schedule with the dashes of its lines, or another sign."""
    return [Box(name, schedule_title(name), sign=signs[i % len(signs)]) for i, name in enumerate(results.schedules)]


def loss_figure(results: LawResults, sizes: SizeScale) -> Interactive:
    """Loss of every run against FLOPs: measured (points), smoothed (lines), and the envelope of each schedule."""
    plot = Plot()
    seen = [curve for curve in results.curves if curve.flops.size]
    # The envelope lies below the runs: a run's own point is what the mouse finds.
    for i, schedule in enumerate(results.schedules):
        _envelope_trace(plot, results, schedule, dash=DASHES[i % len(DASHES)])
    share = min(1.0, MOST_POINTS / max(len(seen) * (CLOUD + LINE), 1))
    for curve in seen:
        _run_traces(plot, curve, results, sizes, share=share)
    entropy, beyond = results.unigram_entropy, ""
    if seen:
        span = loss_range(seen)
        shown = np.concatenate([curve.flops[curve.loss <= span[1]] for curve in seen])
        plot.axis("y", range=list(span))
        plot.axis("x", range=np.log10([shown.min() / 1.1, shown.max() * 1.15]))
        if entropy is not None:
            ends = [min(float(curve.flops[0]) for curve in seen), float(shown.max())]
            plot.reference(ends, at=entropy, words=f"unigram entropy, {entropy:.3f} nats")
            beyond = outside(entropy, span)
    sets = [Box(name, name, sign=SYMBOLS[i % len(SYMBOLS)]) for i, name in enumerate(results.sets)]
    kinds = [Box("cloud", "measured"), Box("line", "smoothed"), Box("envelope", "envelope", "#000000")]
    boxes = {"size": size_boxes(results, sizes), "subset": sets, "schedule": schedule_boxes(results), "kind": kinds}
    summary = (
        f"Loss against training FLOPs of {len(seen)} runs. The envelope is the lowest smoothed loss that a budget "
        "reaches, of the sizes and sets that are switched on."
    )
    if beyond:
        summary += f" The unigram entropy, {entropy:.3f} nats, lies {beyond} what is shown."
    figure = plot.rendered(x=COMPUTE, y=[loss_label(masked=entropy is not None)])
    return Interactive("loss_vs_flops", "Loss against training FLOPs", summary, figure, boxes)


def _run_traces(plot: Plot, curve: Curve, results: LawResults, sizes: SizeScale, *, share: float) -> None:
    colour = hex_of(sizes, curve.n_params)
    dash = DASHES[results.schedules.index(curve.schedule) % len(DASHES)]
    symbol = SYMBOLS[results.sets.index(curve.subset) % len(SYMBOLS)] if curve.subset in results.sets else "circle"
    meta = {"size": curve.model, "subset": curve.subset, "schedule": curve.schedule, "run": curve.run}
    for kind, values, most in (("cloud", curve.raw_loss, CLOUD), ("line", curve.loss, LINE)):
        at = thinned(curve.flops.size, max(int(most * share), 2))
        last = at[-1:] if kind == "line" else at
        plot.scatter(
            x=curve.flops[at],
            y=values[at],
            mode="lines+markers" if kind == "line" else "markers",
            line={"color": colour, "width": 1.6, "dash": dash},
            marker={
                "color": colour,
                "symbol": symbol,
                "size": [8 if i in last else 0 for i in at] if kind == "line" else 3,
                "opacity": 1 if kind == "line" else 0.35,
            },
            customdata=[[short(float(curve.n_tokens[i])), number(float(curve.flops[i]))] for i in at],
            hovertemplate=hover(curve.run, n_params=curve.n_params, status=f"{curve.status}, {_KINDS[kind]}"),
            meta={**meta, "kind": kind},
        )


_KINDS = {"cloud": "measured", "line": "smoothed"}


def hover(run: str, *, n_params: float, status: str) -> str:
    """What a point of a run says: cell, N, D, C, loss, status. `customdata` holds D and C as texts."""
    return (
        f"<b>{run}</b><br>N = {short(n_params)} parameters<br>D = %{{customdata[0]}} tokens<br>"
        f"C = %{{customdata[1]}} FLOPs<br>loss %{{y:.4f}} nats<br>{status}<extra></extra>"
    )


def _envelope_trace(plot: Plot, results: LawResults, schedule: str, *, dash: str) -> None:
    """The envelope, a trace for each stretch that the fit uses or leaves out."""
    fit = results.fits.get("envelope", {}).get(schedule)
    line = [] if fit is None else envelope_line(fit)
    chosen = [line[i] for i in thinned(len(line), ENVELOPE)]
    for used, group in groupby(chosen, key=lambda point: point.used):
        rows = list(group)
        plot.scatter(
            x=[row.flops for row in rows],
            y=[row.loss for row in rows],
            mode="lines",
            line={"color": "#000000", "width": 4.5 if used else 2, "dash": dash if used else "dot"},
            opacity=0.8,
            customdata=[[row.run, short(row.n_params), short(row.n_tokens), row.words] for row in rows],
            hovertemplate=(
                "<b>envelope: %{customdata[0]}</b><br>N = %{customdata[1]} parameters<br>D = %{customdata[2]} tokens"
                "<br>C = %{x:.3g} FLOPs<br>loss %{y:.4f} nats<br>%{customdata[3]}<extra></extra>"
            ),
            meta={"schedule": schedule, "kind": "envelope"},
        )
