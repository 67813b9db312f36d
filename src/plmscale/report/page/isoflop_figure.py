"""The report's interactive figure of IsoFLOP profiles."""

from collections.abc import Mapping
from typing import Any

from matplotlib import colormaps
from matplotlib.colors import to_hex

from ...presentation.axis_labels import SIZE, loss_label
from ...presentation.formats import number, short
from ...presentation.page.interactive import SYMBOLS, Box, Interactive, Plot
from ...results.analysed import LawResults
from ..figures.isoflop import loss_range, parabola, profiles_of
from .figures import schedule_boxes


def isoflop_figure(results: LawResults) -> Interactive:
    """Loss against size at equal compute, with the parabola of each budget and its vertex."""
    plot, budgets, ranges = Plot(), {}, []
    for i, schedule in enumerate(results.schedules):
        fit = results.fits.get("isoflop", {}).get(schedule)
        profiles = [] if fit is None else profiles_of(fit)
        span = 0.0 if fit is None else float(fit.details.get("span", 0.0))
        ranges += [loss_range(profiles, span=span)] if profiles else []
        for k, profile in enumerate(profiles):
            colour = _plasma(k / max(len(profiles) - 1, 1))
            label = number(profile["flops"], digits=2)
            budgets.setdefault(label, (profile["flops"], colour))
            meta = {"schedule": schedule, "flops": label}
            look = {"colour": colour, "symbol": SYMBOLS[i % len(SYMBOLS)]}
            _profile_traces(plot, profile, span=span, meta=meta, **look)
    plot.axis("x", exponentformat="B")
    if ranges:  # as in the figure for print; zooming out shows the rest
        plot.axis("y", range=[min(low for low, _ in ranges), max(high for _, high in ranges)])
    figure = plot.rendered(x=SIZE, y=[loss_label(masked=results.unigram_entropy is not None)])
    ordered = sorted(budgets.items(), key=lambda item: item[1][0])
    boxes = {
        "schedule": schedule_boxes(results, signs=SYMBOLS),
        "flops": [Box(label, label, one[1]) for label, one in ordered],
    }
    kinds = [Box("run", "runs"), Box("fit", "parabola and vertex")]
    summary = f"Loss against size at {len(budgets)} equal budgets; diamonds mark the lowest point of each parabola."
    return Interactive("isoflop", "IsoFLOP profiles", summary, figure, boxes | {"kind": kinds})


def _plasma(place: float) -> str:
    return to_hex(colormaps["plasma"](0.85 * place))


def _profile_traces(
    plot: Plot, profile: Mapping[str, Any], *, span: float, colour: str, meta: Mapping[str, str], symbol: str
) -> None:
    runs, flops, fitted = profile["runs"], number(profile["flops"]), {**meta, "kind": "fit"}
    plot.scatter(
        x=[run["n_params"] for run in runs],
        y=[run["loss"] for run in runs],
        mode="markers",
        marker={"color": colour, "size": 7, "symbol": symbol},
        customdata=[[run["run"], short(run["n_params"]), short(run["n_tokens"])] for run in runs],
        hovertemplate=(
            "<b>%{customdata[0]}</b><br>N = %{customdata[1]} parameters<br>D = %{customdata[2]} tokens<br>"
            f"C = {flops} FLOPs<br>loss %{{y:.4f}} nats<extra></extra>"
        ),
        meta={**meta, "kind": "run"},
    )
    line = parabola(profile, span=span)
    if line is None:
        return
    x, y = line
    plot.scatter(x=x, y=y, mode="lines", hoverinfo="skip", line={"color": colour, "width": 1.3}, meta=fitted)
    words = f"left out: {profile['reason']}" if profile["reason"] else "used in the fit"
    look = {"color": colour, "symbol": "diamond-open" if profile["reason"] else "diamond", "size": 11}
    vertex = profile["n_params"]
    template = f"<b>optimum at {flops} FLOPs</b><br>N = {short(vertex)} parameters<br>loss %{{y:.4f}} nats<br>{words}"
    plot.scatter(
        x=[vertex],
        y=[profile["loss"]],
        mode="markers",
        marker=look,
        hovertemplate=template + "<extra></extra>",
        meta=fitted,
    )
