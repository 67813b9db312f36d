"""Figures: every study gets all of them, the same every time, and they show the numbers of the fits."""

import itertools
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from matplotlib.markers import MarkerStyle
from matplotlib.text import Text

from plmscale.presentation import figure_style
from plmscale.presentation.figure_page import PAGES, printed_on
from plmscale.presentation.figure_style import FONT_SIZE, FORMATS, MARKERS, SetMarks, SizeScale, style
from plmscale.presentation.formats import with_interval
from plmscale.presentation.page.interactive import SIGNS, SYMBOLS
from plmscale.presentation.schedule_words import SCHEDULE_TITLES
from plmscale.report.figures.laws import chinchilla_of, kaplan_loss, predicted
from plmscale.report.figures.study import DRAWERS, loss_vs_flops
from plmscale.report.figures.writing import write_figures
from plmscale.study.catalog import figure_names
from plmscale.study.flops import count_params
from plmscale.study.schedule_settings import Schedule
from results_data import make_results, make_study, no_learning, with_findings

SIGNATURES = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.fixture(scope="module")
def results():
    return make_results(make_study(widths=("w32", "w48", "w80", "w128", "w192")), diverged=("w32/half/constant/seed0",))


@pytest.fixture(scope="module")
def small():
    """One schedule, two sizes."""
    return make_results(make_study(schedules=("constant",), widths=("w32", "w80"), sets=("half", "tenth")))


def sizes_of(study) -> SizeScale:
    return SizeScale(count_params(model) for model in study.study.models)


def texts(figure) -> str:
    return " ".join(" ".join(t.get_text().split()) for t in figure.findobj(Text))


def check_files(folder: Path, schedules: set[str]) -> None:
    files = {f"{name}.{suffix}" for name in figure_names(schedules) for suffix in figure_style.FORMATS}
    data = {f"{name}.csv" for name in figure_names(schedules)}
    assert {path.name for path in folder.iterdir()} == files | data | {"column"}
    assert {path.name for path in (folder / "column").iterdir()} == files
    for path in folder.glob("*.csv"):
        assert path.read_text().startswith("panel,series,kind,x_axis,y_axis,x,y\n")
    for path in (one for one in folder.rglob("*.*") if one.suffix != ".csv"):
        content = path.read_bytes()
        assert content.startswith(SIGNATURES[path.suffix[1:]])
        if path.suffix == ".png":
            ink = float((imread(path)[..., :3] < 0.95).any(axis=-1).mean())
            assert ink > 0.002, f"{path.name} is all but blank"
        if path.suffix == ".svg":
            assert b"</text>" in content, path.name


def test_figures_of_two_schedules(results, tmp_path):
    write_figures(results, tmp_path)
    check_files(tmp_path, {"token_decay", "constant"})
    # Text stays text, and the exponents are those of the fit.
    exponent = with_interval(results.fits["envelope"]["constant"].estimates["a"])
    assert f"a = {exponent}" in (tmp_path / "compute_optimal.svg").read_text()
    assert "unigram entropy, 2.900 nats" in (tmp_path / "loss_vs_flops_constant.svg").read_text()
    # What is drawn is there as data: the ends of the runs' smoothed curves, for example.
    data = pd.read_csv(tmp_path / "loss_vs_flops_constant.csv")
    for curve in (one for one in results.curves if one.schedule == "constant" and one.flops.size > 1):
        own = data.loc[data["series"] == f"{curve.run}, smoothed"]
        assert (own["x"].iloc[-1], own["y"].iloc[-1]) == (curve.flops[-1], curve.loss[-1])


def test_figures_of_a_column_fit_a_page_of_a_journal(results, tmp_path, monkeypatch):
    monkeypatch.setattr(figure_style, "FORMATS", ("svg",))
    for name in ("compute_optimal", "residuals"):
        figure_style.write_on_pages(partial(DRAWERS[name], results, sizes_of(results)), tmp_path, name=name)
        size = re.search(r'<svg[^>]* height="([0-9.]+)pt"', (tmp_path / "column" / f"{name}.svg").read_text())
        assert float(size[1]) <= 9 * 72


def test_the_same_results_give_the_same_bytes(small, tmp_path):
    for folder, processes in (("one", 1), ("two", 2)):
        write_figures(small, tmp_path / folder, processes=processes)
    paths = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(paths) == (2 * len(FORMATS) + 1) * len(figure_names({"constant"}))
    for path in paths:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path
    svg = (tmp_path / "one" / "plateau.svg").read_text()
    assert not re.search(r"<dc:date>|20\d\d-\d\d-\d\d", svg)


@pytest.mark.usefixtures("as_svg")
def test_a_study_with_one_run_has_every_figure(tmp_path):
    one = make_results(make_study(schedules=("constant",), widths=("w32",), sets=("tenth",)))
    write_figures(one, tmp_path)
    check_files(tmp_path, {"constant"})


@pytest.mark.usefixtures("as_svg")
def test_a_study_whose_only_run_diverged_has_every_figure_with_a_sentence(tmp_path):
    study = make_study(schedules=("constant",), widths=("w32",), sets=("tenth",))
    diverged = make_results(study, diverged=("w32/tenth/constant/seed0",))
    write_figures(diverged, tmp_path)
    check_files(tmp_path, {"constant"})
    for name, sentence in (
        ("plateau", "Plateau: failed"),
        ("compute_optimal", "No point"),
        ("parametric_fit", "failed"),
    ):
        assert sentence in (tmp_path / f"{name}.svg").read_text(), name


@pytest.mark.usefixtures("as_svg")
def test_a_schedule_without_a_single_curve_is_an_empty_panel(tmp_path):
    study = make_study(schedules=("token_decay", "constant"), widths=("w32", "w80"), sets=("tenth",))
    results = make_results(study, interrupted=("w32/tenth/constant/seed0", "w80/tenth/constant/seed0"))
    assert "constant" not in results.fits["envelope"]
    write_figures(results, tmp_path)
    check_files(tmp_path, {"token_decay", "constant"})
    assert "No run of this schedule" in (tmp_path / "loss_vs_flops_constant.svg").read_text()
    assert "No run of this schedule" in (tmp_path / "holdout_perplexity.svg").read_text()


@pytest.mark.parametrize("name", ["isoflop", "residuals", "sensitivity"])
def test_a_schedule_of_which_nothing_is_drawn_has_no_panel_and_is_named(results, name):
    fits = {law: {s: fit for s, fit in found.items() if s != "constant"} for law, found in results.fits.items()}
    with style():
        figure = DRAWERS[name](replace(results, fits=fits), sizes_of(results))
    titled = [ax for ax in figure.axes if ax.get_title(loc="left")]
    titles = " ".join(ax.get_title(loc="left") for ax in titled)
    assert "tokens" in titles and "onstant" not in titles
    assert ": constant learning rate." in texts(figure)
    assert all(ax.has_data() for ax in titled)


@pytest.mark.usefixtures("as_svg")
def test_laws_that_are_not_identified_are_named_and_not_drawn(tmp_path):
    barren = make_results(make_study(widths=("w32", "w80", "w192")), law=no_learning)
    assert {fit.status for fits in barren.fits.values() for fit in fits.values()} <= {"not_identified", "failed"}
    write_figures(barren, tmp_path)
    check_files(tmp_path, {"token_decay", "constant"})
    with style():
        figure = DRAWERS["compute_optimal"](barren, sizes_of(barren))
    assert re.search(r"Not identified, no line: .*\(Envelope.*, Chinchilla\)", texts(figure))
    assert not [ax for ax in figure.axes if ax.get_legend()]
    # Why is in the tables: a figure for print says no more than that.
    assert barren.fits["chinchilla"]["constant"].reason not in texts(figure)
    for ax in figure.axes:
        assert not [line for line in ax.get_lines() if line.get_linestyle() == "-"]


def test_loss_axis_shows_the_entropy_and_the_lowest_loss_but_not_the_start(results):
    with style():
        figure = loss_vs_flops(results, sizes_of(results), schedule="token_decay")
    low, high = figure.axes[0].get_ylim()
    curves = [curve for curve in results.curves if curve.schedule == "token_decay"]
    assert low < min(curve.loss.min() for curve in curves)
    assert 2.9 < high < min(curve.initial_loss for curve in curves)
    assert "The axis is cut" in texts(figure)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (6, 3000, ["10", "100", "1,000"]),
        (18, 260, ["20", "50", "100", "200"]),
        (0.002, 0.03, ["0.002", "0.005", "0.01", "0.02"]),
        (0.9e10, 6e13, [f"$\\mathdefault{{10^{{{power}}}}}$" for power in (10, 11, 12, 13)]),
    ],
)
def test_labels_are_powers_of_ten_only_where_numbers_are_large_or_small(low, high, expected):
    with style():
        figure, ((ax,),) = figure_style.panels(1, 1, height=3)
        ax.set_xscale("log")
        ax.set_xlim(low, high)
        figure_style.log_ticks(ax.xaxis)
        figure.draw_without_rendering()
    shown = [t for t in ax.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
    assert [tick.label1.get_text() for tick in shown] == expected


def test_a_column_shows_schedules_with_a_law_only_and_leaves_no_room_for_panels_that_are_not_there(results):
    with_law = {"token_decay": results.fits["chinchilla"]["token_decay"]}
    one = replace(results, fits={"chinchilla": with_law})
    drawn = {}
    for where in PAGES:
        with printed_on(where), style():
            drawn[where.stacked] = len(DRAWERS["compute_optimal"](one, sizes_of(one)).axes)
    assert drawn == {False: 4, True: 2}
    with printed_on(PAGES[1]), style():
        figure, axes = figure_style.schedule_panels(3, height=3.0)
        figure.draw_without_rendering()
    assert min(ax.get_position().y0 for ax in axes) < 0.12


@pytest.mark.parametrize("where", PAGES, ids=lambda where: where.name)
def test_no_text_is_smaller_than_eight_points_or_outside_the_page(results, where):
    drawers = DRAWERS | {"loss": partial(loss_vs_flops, schedule="constant")}
    for name, draw in drawers.items():
        with printed_on(where), style():
            figure = draw(results, sizes_of(results))
            figure.draw_without_rendering()
        assert figure.get_figwidth() <= where.several
        page = figure.get_tightbbox()
        assert page.x0 >= 0 and page.x1 <= figure.get_figwidth(), name
        assert page.y0 >= 0 and page.y1 <= figure.get_figheight(), name
        for text in figure.findobj(Text):
            assert text.get_fontsize() >= FONT_SIZE, (name, text.get_text())


def test_predictions_of_chinchilla_are_those_of_the_known_law(results):
    fit = results.fits["chinchilla"]["token_decay"]
    assert fit.status in ("identified", "weakly_identified")
    n_params, loss, law = predicted("chinchilla", fit, optimum=False)
    n_tokens = np.array([point["n_tokens"] for point in fit.points])
    # The law that the runs were made by; their noise is 0.003 nats.
    np.testing.assert_allclose(law, 2.0 + 20.0 * n_params**-0.30 + 60.0 * n_tokens**-0.35, atol=0.006)
    assert chinchilla_of(fit, optimum=True) is not None


def test_kaplan_loss_by_hand():
    # N = N_c / 100 and D = D_c: (100^(0.1 / 0.2) + 1)^0.2 = 11^0.2.
    constants = {"alpha_N": 0.1, "alpha_D": 0.2, "log10_N_c": 8.0, "log10_D_c": 7.0}
    assert kaplan_loss([1e6], [1e7], constants=constants)[0] == pytest.approx(11**0.2, rel=1e-12)
    huge = {"alpha_N": 0.0063, "alpha_D": 0.0074, "log10_N_c": 400.0, "log10_D_c": 1.0}
    assert kaplan_loss([1e6], [1e9], constants=huge)[0] == pytest.approx(10 ** (0.0063 * 394), rel=1e-12)


def test_sizes_have_colours_in_their_order():
    scale = SizeScale([1_000_000, 10_000, 100_000, 10_000])
    assert scale.sizes == [10_000, 100_000, 1_000_000]
    # Light to dark, so that order survives grey print and colour-blind eyes.
    lightness = [np.dot(scale[size][:3], (0.2126, 0.7152, 0.0722)) for size in scale.sizes]
    assert lightness == sorted(lightness, reverse=True)
    assert len(SizeScale([5]).colours) == 1


@pytest.mark.parametrize("name", ["plateau", "holdout_perplexity"])
def test_titles_of_four_schedules_do_not_run_into_each_other(name):
    schedules = get_args(Schedule)
    study = make_study(schedules=schedules, widths=("w32", "w80", "w192"), sets=("half", "tenth"))
    results = with_findings(make_results(study, fits=False))
    with style():
        figure = DRAWERS[name](results, sizes_of(results))
        figure.draw_without_rendering()
        titled = [ax for ax in figure.axes if ax.get_title(loc="left")]
        assert [ax.get_title(loc="left") for ax in titled] == [SCHEDULE_TITLES[s] for s in schedules]
        boxes = [ax._left_title.get_window_extent() for ax in titled]
    assert not [1 for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_fourteen_sets_have_fourteen_markers_and_signs():
    """No two sets look the same, in static and interactive figures alike."""
    names = [f"set{i}" for i in range(14)]
    marks = SetMarks(names)
    styles = [MarkerStyle(marks[name]) for name in names]
    shapes = [one.get_transform().transform_path(one.get_path()).vertices for one in styles]
    outlines = {tuple(np.round(np.asarray(shape), 6).ravel()) for shape in shapes}
    assert len(outlines) == 14 == len(set(SYMBOLS)) == len({SIGNS[symbol] for symbol in SYMBOLS}) == len(MARKERS)
    assert [entry.get_label() for entry in marks.handles(["set3", "set1"])] == ["set1", "set3"], "only those shown"
