"""One law, one number: headline, tables, static and interactive figures say the same of it."""

import re
from html import unescape

import numpy as np
import pytest

from plmscale.estimates import Estimate
from plmscale.laws.size_law import best_law
from plmscale.presentation.figure_style import SizeScale, style
from plmscale.presentation.formats import FIT_TITLES, sized
from plmscale.report.envelope_lines import envelope_line
from plmscale.report.figures.laws import compute_optimal
from plmscale.report.figures.study import loss_vs_flops
from plmscale.report.headline import headline_table
from plmscale.report.law_curves import law_curves
from plmscale.report.page.figures import loss_figure
from plmscale.report.page.law_figures import PANELS, optimum_figure
from plmscale.report.page.words import ratio_sentence
from plmscale.report.tables.laws import optimal_sizes
from plmscale.study.catalog import SIZE_LAWS
from results_data import make_results, make_study

KEYS = {key: (key, f"{key}_low", f"{key}_high") for key in ("n_params", "n_tokens")}


@pytest.fixture(scope="module")
def results():
    study = make_study(
        schedules=("constant",), widths=("w32", "w48", "w80", "w128", "w192"), sets=("all_20k", "half", "tenth")
    )
    return make_results(study)


@pytest.fixture(scope="module")
def static(results):
    with style():
        return compute_optimal(results, SizeScale(results.sizes))


@pytest.fixture(scope="module")
def moving(results):
    return optimum_figure(results).figure["data"]


def rows_of_table(results, name: str) -> list[dict]:
    data = optimal_sizes(results).data
    return data.loc[(data["fit"] == name) & data["n_params"].notna()].to_dict("records")


def at(x, y, flops: float) -> float:
    """The value of a line at one of its points."""
    found = np.flatnonzero(np.isclose(np.asarray(x, dtype=float), flops, rtol=1e-5))
    assert found.size, f"no point at {flops:g}"
    return float(np.asarray(y, dtype=float)[found[0]])


def static_lines(figure, panel: int, name: str):
    ax = figure.axes[panel]
    return [line for line in ax.get_lines() if (line.get_gid() or "").startswith(f"{FIT_TITLES[name]}, law")]


def moving_lines(traces, panel: int, name: str):
    axis = {0: None, 1: "x2"}[panel]
    own = [t for t in traces if t["meta"].get("method") == name and t["meta"]["kind"] == "law"]
    own = [t for t in own if t.get("xaxis") == axis]
    return [t for t in own if t["mode"] == "lines+markers"], [t for t in own if t.get("fill")]


@pytest.mark.parametrize("name", SIZE_LAWS)
@pytest.mark.parametrize("panel", [0, 1])
def test_table_static_and_interactive_figure_agree_on_value_and_interval(results, static, moving, name, panel):
    key, rows = PANELS[panel][0], rows_of_table(results, name)
    assert rows
    gid = f"{FIT_TITLES[name]}, 95 % interval"
    band = next(c for c in static.axes[panel].collections if c.get_gid() == gid)
    vertices = band.get_paths()[0].vertices
    lines, bands = moving_lines(moving, panel, name)
    for row in rows:
        value, low, high = (row[one] for one in KEYS[key])
        drawn = [at(*line.get_data(), row["flops"]) for line in static_lines(static, panel, name) if _has(line, row)]
        assert drawn == pytest.approx([value] * len(drawn), rel=1e-9) and drawn
        shown = [at(t["x"], t["y"], row["flops"]) for t in lines if np.isclose(t["x"], row["flops"], rtol=1e-5).any()]
        assert shown == pytest.approx([value] * len(shown), rel=1e-5) and shown
        here = np.isclose(vertices[:, 0], row["flops"], rtol=1e-9)
        assert min(vertices[here, 1]) == pytest.approx(low, rel=1e-9)
        assert max(vertices[here, 1]) == pytest.approx(high, rel=1e-9)
        ends = np.array(bands[0]["y"])[np.isclose(bands[0]["x"], row["flops"], rtol=1e-5)]
        assert sorted(ends) == pytest.approx([low, high], rel=1e-5)


def _has(line, row) -> bool:
    return bool(np.isclose(np.asarray(line.get_xdata(), dtype=float), row["flops"], rtol=1e-9).any())


@pytest.mark.parametrize("name", SIZE_LAWS)
def test_static_and_interactive_figure_draw_the_same_range_and_dash_it_beyond_the_data(static, moving, results, name):
    curve = law_curves(results.fits[name]["constant"], "constant")["n_params"]
    lines = static_lines(static, 0, name)
    traces, _ = moving_lines(moving, 0, name)
    assert len(lines) == len(traces) == len(list(curve.parts()))
    for line, trace, (inside, _) in zip(lines, traces, curve.parts(), strict=True):
        x = np.asarray(line.get_xdata(), dtype=float)
        assert [trace["x"][0], trace["x"][-1]] == pytest.approx([x[0], x[-1]], rel=1e-5)
        assert (line.get_linestyle() == "-") == (trace["line"]["dash"] == "solid") == inside
    # No further than the runs and the budgets that were asked.
    asked = [row["flops"] for row in rows_of_table(results, name)]
    assert curve.flops[-1] <= max([*asked, max(c.flops[-1] for c in results.curves)]) * (1 + 1e-9)


def test_the_headline_is_a_row_of_its_table_and_of_the_table_of_sizes(results):
    law = best_law(results.fits)
    table = headline_table(results.fits, masked=True)
    text = unescape(ratio_sentence(law))
    said = [cells for cells in table.cells if all(cell in text for cell in cells[:4])]
    assert len(said) == 1
    for row in rows_of_table(results, law.fit):
        own = table.data.loc[np.isclose(table.data["flops"].astype(float), row["flops"])].to_dict("records")[0]
        for key in (*KEYS["n_params"], *KEYS["n_tokens"]):
            assert own[key] == pytest.approx(row[key], rel=1e-9)


def test_hovering_the_law_says_what_the_table_says(results, moving):
    for row in rows_of_table(results, "envelope"):
        lines, _ = moving_lines(moving, 0, "envelope")
        said = [
            t["customdata"][i] for t in lines for i, c in enumerate(t["x"]) if np.isclose(c, row["flops"], rtol=1e-5)
        ]
        estimate = Estimate(*(row[key] for key in KEYS["n_params"]))
        assert set(said) == {f"N_opt = {sized(estimate)}"}


def test_the_envelope_never_rises_and_is_the_same_in_both_figures(results):
    fit = results.fits["envelope"]["constant"]
    line = envelope_line(fit)
    losses = [point.loss for point in line]
    assert losses == sorted(losses, reverse=True)
    measured = [row["loss"] for row in (*fit.points, *fit.excluded) if row.get("loss") is not None]
    assert min(losses) == min(measured)
    with style():
        figure = loss_vs_flops(results, SizeScale(results.sizes), schedule="constant")
    static = [one for one in figure.axes[0].get_lines() if (one.get_gid() or "").startswith("envelope")]
    drawn = {(x, y) for one in static for x, y in zip(*one.get_data(), strict=True) if np.isfinite(y)}
    assert drawn == {(point.flops, point.loss) for point in line}
    traces = [t for t in loss_figure(results, SizeScale(results.sizes)).figure["data"] if "kind" in t.get("meta", {})]
    shown = [pair for t in traces if t["meta"]["kind"] == "envelope" for pair in zip(t["x"], t["y"], strict=True)]
    known = np.array(sorted(drawn))
    for flops, loss in shown:
        i = int(np.argmin(abs(known[:, 0] / flops - 1)))
        assert (flops, loss) == pytest.approx(tuple(known[i]), rel=1e-5)


def test_axes_have_the_same_words_in_both_figures(static, results):
    labels = optimum_figure(results).figure["layout"]
    plain = {re.sub(r"[${}_\\]|mathrm", "", ax.get_ylabel()) for ax in static.axes}
    assert plain == {re.sub(r"</?sub>", "", labels[axis]["title"]["text"]) for axis in ("yaxis", "yaxis2")}
    assert {ax.get_xlabel() for ax in static.axes} == {labels["xaxis"]["title"]["text"]}
