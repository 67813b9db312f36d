"""The report's interactive figure of IsoFLOP profiles."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib import colormaps
from matplotlib.colors import to_hex

from ...presentation.formats import number, short
from ...results.analysed import LawResults
from .figures import (
    LINE,
    SYMBOLS,
    Box,
    Interactive,
    layout,
    rendered,
    schedule_boxes,
)


def isoflop_figure(results: LawResults) -> Interactive:
    """Loss against size at equal compute, with the parabola of each budget and its vertex."""
    figure, budgets = go.Figure(), {}
    for i, schedule in enumerate(results.schedules):
        fit = results.fits.get("isoflop", {}).get(schedule)
        profiles = [] if fit is None else [p for p in fit.details.get("profiles", ()) if p["runs"]]
        for k, profile in enumerate(profiles):
            colour = _plasma(k / max(len(profiles) - 1, 1))
            label = number(profile["flops"], digits=2)
            budgets.setdefault(label, (profile["flops"], colour))
            meta = {"schedule": schedule, "flops": label}
            _profile_traces(figure, profile, colour=colour, meta=meta, symbol=SYMBOLS[i % len(SYMBOLS)])
    layout(figure, x="N (parameters)", y="Loss (nats per masked token)")
    figure.update_xaxes(exponentformat="B")
    ordered = sorted(budgets.items(), key=lambda item: item[1][0])
    boxes = {"schedule": schedule_boxes(results), "flops": [Box(label, label, one[1]) for label, one in ordered]}
    kinds = [Box("run", "runs"), Box("fit", "parabola and vertex")]
    summary = f"Loss against size at {len(budgets)} equal budgets; diamonds mark the lowest point of each parabola."
    return Interactive("isoflop", "IsoFLOP profiles", summary, rendered(figure), boxes | {"kind": kinds})


def _plasma(place: float) -> str:
    return to_hex(colormaps["plasma"](0.85 * place))


def _profile_traces(
    figure: go.Figure, profile: Mapping[str, Any], *, colour: str, meta: Mapping[str, str], symbol: str
) -> None:
    runs, flops = profile["runs"], number(profile["flops"])
    figure.add_scatter(
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
    floor, vertex = profile["loss"], profile["n_params"]
    if floor is None or vertex is None or not np.isfinite(floor):
        return
    sizes = [run["n_params"] for run in runs]
    x = np.geomspace(min(sizes), max(sizes), LINE // 2)
    line = floor + profile["curvature"] * np.log(x / vertex) ** 2
    highest = max(run["loss"] for run in runs)
    words = f"left out: {profile['reason']}" if profile["reason"] else "used in the fit"
    look = {"color": colour, "symbol": "diamond-open" if profile["reason"] else "diamond", "size": 11}
    inside = line <= highest
    figure.add_scatter(
        x=x[inside].tolist(), y=line[inside].tolist(), mode="lines", hoverinfo="skip",
        line={"color": colour, "width": 1.3}, meta={**meta, "kind": "fit"},
    )  # fmt: skip
    template = f"<b>optimum at {flops} FLOPs</b><br>N = {short(vertex)} parameters<br>loss %{{y:.4f}} nats<br>{words}"
    figure.add_scatter(
        x=[vertex], y=[floor], mode="markers", marker=look,
        hovertemplate=template + "<extra></extra>", meta={**meta, "kind": "fit"},
    )  # fmt: skip
