"""The report's interactive figures of laws: optimal size and tokens against compute, and the published models."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ...laws.fit import Fit
from ...presentation.figure_style import OKABE_ITO
from ...presentation.formats import FIT_TITLES, number, short, standing
from ...published.models import CHINCHILLA_RATIO, COUNTS
from ...results.analysed import LawResults
from ...results.findings import LawLine, Published
from ...study.catalog import SIZE_LAWS
from .figures import (
    DASHES,
    Box,
    Interactive,
    layout,
    reference_line,
    rendered,
    schedule_boxes,
    thinned,
)

COLOURS: dict[str, str] = dict(zip(SIZE_LAWS, OKABE_ITO, strict=False))
"""Colours of the methods, as in `plmscale.report.figures.laws`."""

POINTS = 120
PANELS = (("n_params", "N_opt (parameters)"), ("n_tokens", "D_opt (tokens)"))
LOOKS = {"seen": ("circle", OKABE_ITO[0]), "unique": ("square", OKABE_ITO[1]), "325": ("triangle-up", OKABE_ITO[2])}
"""Sign and colour of each count of tokens, as in `plmscale.published.figure`."""


def optimum_figure(results: LawResults) -> Interactive:
    """Optimal size and tokens against compute: points of the fits, used and left out, and the laws with intervals."""
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
    for i, schedule in enumerate(results.schedules):
        for name in SIZE_LAWS:
            fit = results.fits.get(name, {}).get(schedule)
            if fit is None:
                continue
            for column, (key, _) in enumerate(PANELS, start=1):
                meta = {"schedule": schedule, "method": name}
                for trace in [*_point_traces(name, fit, key), *_line_traces(name, fit, key, dash=DASHES[i % 4])]:
                    figure.add_trace(trace.update(meta=meta | dict(trace.meta or {})), row=1, col=column)
    layout(figure, x="C (training FLOPs)", y="")
    figure.update_yaxes(type="log")
    for column, (_, title) in enumerate(PANELS, start=1):
        figure.update_yaxes(title_text=title, row=1, col=column)
    methods = [Box(name, FIT_TITLES[name], COLOURS[name]) for name in SIZE_LAWS]
    kinds = [Box("used", "points used"), Box("left out", "points left out"), Box("law", "laws")]
    boxes = {"schedule": schedule_boxes(results), "method": methods, "kind": kinds}
    summary = "Optimal size (left) and optimal tokens (right) against training FLOPs, by three methods."
    axes = ("xaxis", "xaxis2", "yaxis", "yaxis2")
    return Interactive("compute_optimal", "Optimal size and tokens", summary, rendered(figure), boxes, axes)


def _point_traces(name: str, fit: Fit, key: str) -> list[Any]:
    if name == "chinchilla":  # its points are the ends of runs, not optima
        return []
    left_out = [row for row in fit.excluded if row.get("flops") is not None and row.get(key) is not None]
    traces = []
    for kind, rows in (("used", list(fit.points)), ("left out", left_out)):
        chosen = [rows[i] for i in thinned(len(rows), POINTS)]
        hollow = "-open" if kind == "left out" else ""
        marker = {"symbol": f"{'diamond' if name == 'isoflop' else 'circle'}{hollow}", "size": 7 if hollow else 6}
        if chosen:
            traces.append(
                go.Scatter(
                    x=[row["flops"] for row in chosen],
                    y=[row[key] for row in chosen],
                    mode="markers",
                    marker=marker | {"color": COLOURS[name], "opacity": 0.7},
                    customdata=[_said(row) for row in chosen],
                    hovertemplate=(
                        f"<b>{FIT_TITLES[name]}: %{{customdata[0]}}</b><br>N = %{{customdata[1]}} parameters<br>"
                        "D = %{customdata[2]} tokens<br>C = %{x:.3g} FLOPs<br>loss %{customdata[3]} nats<br>"
                        "%{customdata[4]}<extra></extra>"
                    ),
                    meta={"kind": kind},
                )
            )
    return traces


def _said(row: Mapping[str, Any]) -> list[str]:
    reason = row.get("reason")
    tokens, loss = row.get("n_tokens"), row.get("loss")
    return [
        str(row.get("run", "vertex")),
        short(row["n_params"]) if row.get("n_params") else "–",
        short(tokens) if tokens else "–",
        number(loss, digits=4),
        f"left out: {reason}" if reason else "used in the fit",
    ]


def _line_traces(name: str, fit: Fit, key: str, *, dash: str) -> list[Any]:
    law = fit.details.get("size_law")
    rows = [row for row in (law or {}).get("rows", ()) if row[key] is not None]
    if not rows:
        return []
    words = [f"{standing(fit)}, {row['status']}" for row in rows]
    x = [row["flops"] for row in rows]
    line = go.Scatter(
        x=x,
        y=[row[key] for row in rows],
        mode="lines",
        line={"color": COLOURS[name], "width": 2, "dash": dash},
        customdata=[[_interval(row, key), text] for row, text in zip(rows, words, strict=True)],
        hovertemplate=(
            f"<b>{FIT_TITLES[name]}</b><br>C = %{{x:.3g}} FLOPs<br>%{{customdata[0]}}<br>"
            "%{customdata[1]}<extra></extra>"
        ),
        meta={"kind": "law"},
    )
    known = [row for row in rows if row[f"{key}_low"] is not None and row[f"{key}_high"] is not None]
    at = [row["flops"] for row in known]
    ends = [row[f"{key}_high"] for row in known] + [row[f"{key}_low"] for row in reversed(known)]
    band = go.Scatter(
        x=[*at, *reversed(at)],
        y=ends,
        fill="toself",
        mode="none",
        fillcolor=_faint(COLOURS[name]),
        hoverinfo="skip",
        meta={"kind": "law"},
    )
    return [band, line] if known else [line]


def _interval(row: Mapping[str, Any], key: str) -> str:
    ends = [row[f"{key}_{end}"] for end in ("low", "high")]
    said = "" if None in ends else f" ({short(ends[0])} to {short(ends[1])})"
    return f"{'N_opt' if key == 'n_params' else 'D_opt'} = {short(row[key])}{said}"


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def published_figure(published: Published) -> Interactive:
    """Tokens per parameter of the published models by three counts, 20:1, and the optimum of the law."""
    figure, law = go.Figure(), published.law
    _band_traces(figure, published.line)
    rows = [{str(key): value for key, value in row.items()} for row in published.models.to_dict("records")]
    for objective in dict.fromkeys(_family(row["objective"]) for row in rows):
        for count in LOOKS:
            own = [r for r in rows if _family(r["objective"]) == objective and r[f"ratio_{count}"]]
            _count_trace(figure, own, count=count, objective=objective)
    ends = [row["n_params"] for row in rows if any(row[f"ratio_{count}"] for count in LOOKS)]
    if ends:
        reference_line(
            figure, [max(ends), min(ends)], at=CHINCHILLA_RATIO, words=f"{CHINCHILLA_RATIO:g} tokens per parameter"
        )
    layout(figure, x="N (parameters)", y="D/N (tokens per parameter)")
    figure.update_yaxes(type="log")
    families = [Box(name, name) for name in dict.fromkeys(_family(row["objective"]) for row in rows)]
    counts = [Box(count, words, LOOKS[count][1], LOOKS[count][0]) for count, words in COUNTS.items()]
    laws = [Box("law", "optimum of the law", "#000000")] if law is not None else []
    summary = f"Tokens per parameter of {len(rows)} published models against their size; hollow where not verified."
    boxes = {"count": [*counts, *laws], "objective": families}
    return Interactive("published_models", "Published models", summary, rendered(figure), boxes)


def _family(objective: str) -> str:
    """MLM, CLM or other: the objectives are described freely."""
    return next((name for name in ("MLM", "CLM") if objective.startswith(name)), "other")


def _band_traces(figure: go.Figure, line: LawLine) -> None:
    if not line.middle.size:
        return
    if line.low.size and line.high.size:
        band = [*line.low.tolist(), *line.high[::-1].tolist()]
        x, y = zip(*band, strict=True)
        look = {"fill": "toself", "mode": "none", "fillcolor": "rgba(0,0,0,0.12)", "hoverinfo": "skip"}
        figure.add_scatter(x=x, y=y, meta={"count": "law"}, **look)
    x, y = line.middle.T.tolist()
    template = "<b>optimum of the law</b><br>N = %{x:.3s}<br>%{y:.3g} tokens per parameter<extra></extra>"
    black = {"color": "#000000", "width": 2}
    figure.add_scatter(x=x, y=y, mode="lines", line=black, hovertemplate=template, meta={"count": "law"})


def _count_trace(figure: go.Figure, rows: Sequence[Mapping[str, Any]], *, count: str, objective: str) -> None:
    if not rows:
        return
    symbol, colour = LOOKS[count]
    figure.add_scatter(
        x=[row["n_params"] for row in rows],
        y=[row[f"ratio_{count}"] for row in rows],
        mode="markers",
        marker={
            "color": colour,
            "size": 9,
            "symbol": [f"{symbol}-open" if row[f"unverified_{count}"] else symbol for row in rows],
        },
        customdata=[_model_said(row, count) for row in rows],
        hovertemplate=(
            "<b>%{customdata[0]}</b><br>N = %{customdata[1]} parameters<br>D = %{customdata[2]}<br>"
            "D/N = %{customdata[3]}<br>C = %{customdata[4]}<br>%{customdata[5]}<extra></extra>"
        ),
        meta={"count": count, "objective": objective},
    )


def _model_said(row: Mapping[str, Any], count: str) -> list[str]:
    doubt = ", not verified" if row[f"unverified_{count}"] else ""
    optimum = f", N_opt {short(row['n_opt'])}" if row["n_opt"] else ""
    return [
        row["name"],
        short(row["n_params"]),
        f"{short(row[f'tokens_{count}'])} tokens ({COUNTS[count]}{doubt})",
        number(row[f"ratio_{count}"]),
        f"{number(row['flops'])} FLOPs" if row["flops"] else "not known",
        f"{row['verdict']}{optimum}",
    ]
