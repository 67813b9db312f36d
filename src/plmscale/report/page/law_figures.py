"""The report's interactive figures of laws: optimal size and tokens against compute, and the published models."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...estimates import Estimate
from ...laws.fit import Fit
from ...presentation.axis_labels import COMPUTE, OPTIMAL_SIZE, OPTIMAL_TOKENS, RATIO, SIZE
from ...presentation.figure_style import OKABE_ITO
from ...presentation.formats import FIT_TITLES, number, short, sized, standing
from ...presentation.page.interactive import SYMBOLS, Box, Interactive, Plot, thinned
from ...presentation.schedule_words import schedule_words
from ...published.models import CHINCHILLA_RATIO, COUNTS, law_parts
from ...results.analysed import LawResults
from ...results.findings import Published
from ...study.catalog import SIZE_LAWS
from ..law_curves import LawCurve, Quantity, law_curves
from .figures import schedule_boxes

COLOURS: dict[str, str] = dict(zip(SIZE_LAWS, OKABE_ITO, strict=False))
"""Colours of the methods, as in `plmscale.report.figures.laws`."""

POINTS = 120
PANELS: tuple[tuple[Quantity, str], ...] = (("n_params", OPTIMAL_SIZE), ("n_tokens", OPTIMAL_TOKENS))
LOOKS = {"seen": ("circle", OKABE_ITO[0]), "unique": ("square", OKABE_ITO[1]), "325": ("triangle-up", OKABE_ITO[2])}
"""Sign and colour of each count of tokens, as in `plmscale.published.figure`."""


def optimum_figure(results: LawResults) -> Interactive:
    """Optimal size and tokens against compute: points of the fits, used and left out, and the laws with intervals."""
    plot, beyond, asked = Plot(n_panels=2), False, False
    for i, schedule in enumerate(results.schedules):
        for name in SIZE_LAWS:
            fit = results.fits.get(name, {}).get(schedule)
            if fit is None:
                continue
            curves = law_curves(fit, schedule)
            for panel, (key, _) in enumerate(PANELS, start=1):
                meta = {"schedule": schedule, "method": name}
                _point_traces(plot, name, fit, key, panel=panel, meta=meta)
                if curves is not None:
                    curve, sign = curves[key], SYMBOLS[i % len(SYMBOLS)]
                    _law_traces(plot, fit, curve, key, panel=panel, meta=meta | {"kind": "law"}, sign=sign)
                    beyond, asked = beyond or not curve.inside.all(), asked or bool(curve.asked.any())
    for name in ("y", "y2"):
        plot.axis(name, type="log", exponentformat="B")
    methods = [Box(name, FIT_TITLES[name], COLOURS[name]) for name in SIZE_LAWS]
    kinds = [Box("used", "points used"), Box("left out", "points left out"), Box("law", "laws")]
    boxes = {"schedule": schedule_boxes(results, signs=SYMBOLS), "method": methods, "kind": kinds}
    summary = "Optimal size (left) and optimal tokens (right) against training FLOPs, by three methods."
    summary += " Bands: 95 % intervals of the optimum at each compute." * bool(plot.traces)
    summary += " Dashed: beyond the data." * beyond + " Large signs: the budgets asked." * asked
    figure = plot.rendered(x=COMPUTE, y=[title for _, title in PANELS])
    axes = ("xaxis", "xaxis2", "yaxis", "yaxis2")
    return Interactive("compute_optimal", "Optimal size and tokens", summary, figure, boxes, axes)


def _point_traces(plot: Plot, name: str, fit: Fit, key: str, *, panel: int, meta: Mapping[str, str]) -> None:
    if name == "chinchilla":  # its points are the ends of runs, not optima
        return
    left_out = [row for row in fit.excluded if row.get("flops") is not None and row.get(key) is not None]
    for kind, rows in (("used", list(fit.points)), ("left out", left_out)):
        chosen = [rows[i] for i in thinned(len(rows), POINTS)]
        hollow = "-open" if kind == "left out" else ""
        marker = {"symbol": f"{'diamond' if name == 'isoflop' else 'circle'}{hollow}", "size": 7 if hollow else 6}
        if chosen:
            plot.scatter(
                panel=panel,
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
                meta={**meta, "kind": kind},
            )


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


def _law_traces(
    plot: Plot, fit: Fit, curve: LawCurve, key: Quantity, *, panel: int, meta: Mapping[str, str], sign: str
) -> None:
    """The band of a law, its line (dashed beyond the data), and signs at the budgets asked."""
    colour = COLOURS[fit.name]
    known = np.isfinite(curve.low) & np.isfinite(curve.high)
    if known.any():
        at = curve.flops[known]
        plot.scatter(
            panel=panel,
            x=[*at, *at[::-1]],
            y=[*curve.high[known], *curve.low[known][::-1]],
            fill="toself",
            mode="none",
            fillcolor=_faint(colour),
            hoverinfo="skip",
            meta=meta,
        )
    whose = schedule_words(meta["schedule"])
    said = [_interval(curve, i, key) for i in range(len(curve.flops))]
    for inside, part in curve.parts():
        where = "inside the data" if inside else "extrapolated"
        plot.scatter(
            panel=panel,
            x=curve.flops[part],
            y=curve.value[part],
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": "solid" if inside else "dash"},
            marker={"color": colour, "symbol": sign, "size": [9 if one else 0 for one in curve.asked[part]]},
            customdata=said[part],
            hovertemplate=(
                f"<b>{FIT_TITLES[fit.name]}, {whose}</b><br>C = %{{x:.3g}} FLOPs<br>%{{customdata}}<br>"
                f"{standing(fit)}, {where}<extra></extra>"
            ),
            meta=meta,
        )


def _interval(curve: LawCurve, i: int, key: Quantity) -> str:
    low, high = (None if np.isnan(end) else float(end) for end in (curve.low[i], curve.high[i]))
    return f"{'N_opt' if key == 'n_params' else 'D_opt'} = {sized(Estimate(float(curve.value[i]), low, high))}"


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"


def published_figure(published: Published) -> Interactive:
    """Tokens per parameter of the published models by three counts, 20:1, and the optimum of the law."""
    plot, law = Plot(), published.law
    _band_traces(plot, published)
    rows = [{str(key): value for key, value in row.items()} for row in published.models.to_dict("records")]
    for objective in dict.fromkeys(_family(row["objective"]) for row in rows):
        for count in LOOKS:
            own = [r for r in rows if _family(r["objective"]) == objective and r[f"ratio_{count}"]]
            _count_trace(plot, own, count=count, objective=objective)
    ends = [row["n_params"] for row in rows if any(row[f"ratio_{count}"] for count in LOOKS)]
    if ends:
        plot.reference([max(ends), min(ends)], at=CHINCHILLA_RATIO, words=f"{CHINCHILLA_RATIO:g} tokens per parameter")
    plot.axis("y", type="log")
    plot.axis("x", exponentformat="B")
    families = [Box(name, name) for name in dict.fromkeys(_family(row["objective"]) for row in rows)]
    counts = [Box(count, words, LOOKS[count][1], LOOKS[count][0]) for count, words in COUNTS.items()]
    laws = [Box("law", "optimum of the law", "#000000")] if law is not None else []
    summary = f"Tokens per parameter of {len(rows)} published models against their size; hollow where not verified."
    summary += " The law's optimum is dashed beyond the data." if law is not None else ""
    boxes = {"count": [*counts, *laws], "objective": families}
    figure = plot.rendered(x=SIZE, y=[RATIO])
    return Interactive("published_models", "Published models", summary, figure, boxes)


def _family(objective: str) -> str:
    """MLM, CLM or other: the objectives are described freely."""
    return next((name for name in ("MLM", "CLM") if objective.startswith(name)), "other")


def _band_traces(plot: Plot, published: Published) -> None:
    line = published.line
    if not line.middle.size:
        return
    if line.low.size and line.high.size:
        x, y = np.concatenate([line.low, line.high[::-1]]).T
        look: dict[str, Any] = {"fill": "toself", "mode": "none", "fillcolor": "rgba(0,0,0,0.12)", "hoverinfo": "skip"}
        plot.scatter(x=x, y=y, meta={"count": "law"}, **look)
    for inside, points in law_parts(published):
        x, y = points.T
        where = "inside the data" if inside else "extrapolated"
        plot.scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": "#000000", "width": 2, "dash": "solid" if inside else "dash"},
            hovertemplate=(
                "<b>optimum of the law</b><br>N = %{x:.3s}<br>%{y:.3g} tokens per parameter<br>"
                f"{where}<extra></extra>"
            ),
            meta={"count": "law"},
        )


def _count_trace(plot: Plot, rows: Sequence[Mapping[str, Any]], *, count: str, objective: str) -> None:
    if not rows:
        return
    symbol, colour = LOOKS[count]
    plot.scatter(
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
