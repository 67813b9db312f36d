"""The report's words follow the fits, and its page holds everything that it is made from."""

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from plmscale.estimates import Estimate
from plmscale.laws.budgets import INSIDE, OUTSIDE
from plmscale.laws.fit import Fit
from plmscale.laws.size_law import best_law
from plmscale.presentation import figure_style
from plmscale.presentation.page.text import mathematics
from plmscale.presentation.reasons import words as reason_words
from plmscale.presentation.symbols import marked
from plmscale.published.models import law_line, place
from plmscale.reasons import Reason
from plmscale.report.figures.writing import write_figures
from plmscale.report.page import parts as report_parts
from plmscale.report.page.page import PageFiles, to_html, write_report
from plmscale.report.page.words import answer, comparison, grows, remedy
from plmscale.report.tables.study import write_tables
from plmscale.results.findings import Published
from plmscale.study.catalog import IF_ANY
from plmscale.study.config import Config
from results_data import make_results, make_study, no_learning, with_findings

CAPTIONS = sorted((Path(__file__).parents[1] / "workflow/report").rglob("*.rst"))
EDGE = Reason.of("few_hand_overs", n_used=0, n_pairs=4, needed=3, most=Reason("smaller_always_better"))


def row(flops: float, size: float, tokens: float) -> dict:
    found = {"flops": flops, "status": INSIDE, "n_params": size, "n_tokens": tokens}
    for key, value in (("n_params", size), ("n_tokens", tokens)):
        found |= {f"{key}_low": value / 2, f"{key}_high": value * 2}
    return found


def fitted(a: tuple, b: tuple, *, status="identified", name="envelope") -> dict[str, dict[str, Fit]]:
    """One fit with exponents (value, low, high), sizes known from 1e15 to 1e17 FLOPs."""
    numbers = status in ("identified", "weakly_identified")
    law = {"rows": [row(1e15, 1e6, 1e8), row(1e17, 1e7, 1e9)], "flops": [1e15, 1e17]} if numbers else None
    estimates = {"a": Estimate(*a), "b": Estimate(*b)} if numbers else {"a": Estimate(None), "b": Estimate(None)}
    why = Reason.in_words("the interval of a is narrow.") if numbers else EDGE
    return {name: {"constant": Fit(name, status, why, estimates, details={"size_law": law})}}


@pytest.mark.parametrize(
    ("exponent", "words"),
    [
        ((0.71, 0.69, 0.73), "grows sublinearly"),
        ((1.20, 1.05, 1.35), "grows superlinearly"),
        ((0.95, 0.80, 1.10), "grows in a way compatible with linear growth"),
        ((0.05, -0.10, 0.20), "is not shown to grow"),
        ((-0.3, -0.40, -0.2), "falls"),
        ((0.5, None, None), "grows, but how fast has no interval"),
    ],
)
def test_growth_is_worded_by_the_whole_interval(exponent, words):
    assert grows(Estimate(*exponent)) == words
    first = answered(fitted((0.27, 0.22, 0.31), exponent))[0]
    assert f"the optimal number of tokens {words}" in first
    assert "The compute-optimal size grows sublinearly, N_opt ∝ C^0.270 (0.220–0.310)" in first


def test_the_paper_s_0_71_is_never_called_superlinear():
    text = " ".join(answered(fitted((0.27, 0.25, 0.29), (0.71, 0.69, 0.73))))
    assert "superlinear" not in text
    assert "tokens grow faster than size" in text


def test_without_a_law_there_is_no_number_but_a_remedy():
    fits = fitted((0, 0, 0), (0, 0, 0), status="not_identified")
    placed = published_under(fits, place(make_study().published, best_law(fits)))
    size, ratio, published = answer(fits, placed)
    assert "do not identify" in size
    assert reason_words(EDGE) in size
    assert "What would identify it: sizes smaller than the smallest, or more tokens for the larger ones" in size
    assert not re.search(r"C\^|sublinear|superlinear", size + ratio + published)
    assert "none can be judged without a law" in published
    assert "not identified" in comparison(fits)[0]


def test_remedies_follow_the_reasons():
    largest = Fit("envelope", "not_identified", Reason("largest_size_best"), {})
    assert "sizes larger than the largest" in remedy({"envelope": {"constant": largest}})


def test_a_weak_law_says_so_and_its_ratio_has_an_interval():
    fits = fitted((0.5, 0.4, 0.6), (0.5, 0.4, 0.6), status="weakly_identified")
    size, ratio, _ = answered(fits)
    assert "only weakly identified" in size
    # 1e9 tokens (half to double) on 1e7 parameters (half to double): 100, from 25 to 400.
    assert "At 10¹⁷ FLOPs the optimum is 10M (5–20M) parameters on 1.00B (0.50–2.00B) tokens, " in ratio
    assert "100 (25–400) tokens per parameter;" in ratio


def test_a_law_without_an_optimum_inside_gives_no_ratio():
    fits = fitted((0.5, 0.4, 0.6), (0.5, 0.4, 0.6))
    fit = fits["envelope"]["constant"]
    rows = [
        dict.fromkeys(one, None) | {"flops": one["flops"], "status": OUTSIDE} for one in fit.details["size_law"]["rows"]
    ]
    fits["envelope"]["constant"] = replace(fit, details={"size_law": {"rows": rows, "flops": [1e15, 1e17]}})
    assert "no optimum, so no ratio is given" in answered(fits)[1]


def published_under(fits, models: pd.DataFrame) -> Published:
    law = best_law(fits)
    return Published(law, models, law_line(law))


def answered(fits) -> list[str]:
    """The answer where no published model is listed."""
    return answer(fits, published_under(fits, pd.DataFrame()))


def test_verdicts_are_counted():
    placed = pd.DataFrame(
        {
            "verdict": [
                "over-trained",
                "near-optimal",
                "near-optimal",
                "tokens seen not published",
                "outside the law's range",
            ]
        }
    )
    fits = fitted((0.5, 0.4, 0.6), (0.5, 0.4, 0.6))
    text = answer(fits, published_under(fits, placed))[2]
    assert "Of 5 published models, 4 with a known number of tokens seen" in text
    assert "1 is over-trained, 2 are near-optimal, 0 are under-trained under this law, and 1 lie" in text


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A page of a small study with a diverged run; static figures as svg alone."""
    folder = tmp_path_factory.mktemp("report") / "results"
    study = make_study(schedules=("constant",), widths=("w32", "w48", "w80", "w128"), sets=("half", "tenth"))
    results = make_results(study, diverged=("w48/tenth/constant/seed0",))
    return results, write_page(results, folder)


def write_page(results, folder: Path) -> Path:
    write_tables(results, folder / "tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure_style, "FORMATS", ("svg",))
        write_figures(results, folder / "figures")
    write_report(results, PageFiles(folder / "tables", folder / "figures", CAPTIONS), folder / "report.html")
    return folder / "report.html"


class Page(HTMLParser):
    """What a page refers to, its headings and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.headings, self.ids, self.sources = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.links += [found["href"]] if "href" in found else []
        self.sources += [found["src"]] if "src" in found else []
        self.ids += [found["id"]] if "id" in found else []
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            assert found.get("alt")


def test_the_page_is_whole_and_refers_to_nothing_elsewhere(made):
    results, path = made
    text = path.read_text()
    page = Page(text)
    assert all(source.startswith("data:") for source in page.sources)
    inside = [link for link in page.links if link.startswith("#")]
    assert {link[1:] for link in inside} <= set(page.ids)
    files = [link for link in page.links if not link.startswith(("#", "data:", "https://arxiv.org/"))]
    # What no run did has an empty table and figure, and no place on the page.
    data = {path.stem: path.read_text() for path in (path.parent / "figures").glob("*.csv")}
    names = {name for name, csv in data.items() if csv.count("\n") > 1} - set(IF_ANY)
    bare = set(data) - names - set(IF_ANY)
    assert bare and not {f"figure-{name}" for name in bare} & set(page.ids)
    assert "Figures without content, which are not shown: " in text
    assert not {f"{kind}-{name}" for name in IF_ANY for kind in ("table", "figure")} & set(page.ids)
    assert {f"figures/{name}.{suffix}" for name in names for suffix in ("pdf", "svg", "png")} <= set(files)
    assert all((path.parent / link).is_file() for link in files if link.startswith("tables/") or link.endswith(".svg"))
    assert len(page.ids) == len(set(page.ids))
    assert page.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    for sentence in comparison(results.fits):
        assert str(mathematics(sentence)) in text


def test_a_size_trained_off_its_best_rate_is_warned_of_beside_the_answer(made):
    results, path = made
    slow = [replace(curve, learning_rate=1e-3 * factor) for curve in results.curves for factor in (0.1, 1.0)]
    slow = [
        replace(curve, run=f"{curve.run}/{curve.learning_rate:g}", loss=curve.loss + 0.1 * (curve.learning_rate < 1e-3))
        for curve in slow
    ]
    three = [*slow, *(replace(c, run=f"{c.run}/low", learning_rate=1e-5, loss=c.loss + 0.3) for c in results.curves)]
    files = PageFiles(path.parent / "tables", path.parent / "figures", CAPTIONS)
    text = to_html(with_findings(replace(results, curves=three)), files, folder=path.parent)
    assert "the highest rate tried, 0.001, is the best; its fitted runs may be off." in text


def test_failures_exclusions_choices_and_provenance_are_on_the_page(made):
    results, path = made
    text = path.read_text()
    assert "1 of 8 runs did not finish" in text
    assert "<code>w48/tenth/constant/seed0</code>: diverged, the loss was nan at step 1" in text
    reasons = {str(one["reason"]) for fits in results.fits.values() for fit in fits.values() for one in fit.excluded}
    assert reasons
    for reason in reasons:
        assert marked(reason) in text
    assert re.search(r'class="differs"><td><code>max_length</code>.*?<code>256</code>.*?<code>1024</code>', text)
    assert results.subsets["holdout"]["sha256"] in text


def test_the_data_of_interactive_figures_are_those_of_the_runs(made):
    results, path = made
    packed = re.search(r'id="figures-data">(.*?)</script>', path.read_text())[1]
    data = json.loads(gzip.decompress(base64.b64decode(packed)))
    lines = [t for t in data["loss_vs_flops"]["data"] if (t.get("meta") or {}).get("kind") == "line"]
    ends = {t["hovertemplate"].split("<b>")[1].split("</b>")[0]: (t["x"][-1], t["y"][-1]) for t in lines}
    assert ends == {c.run: pytest.approx((c.flops[-1], c.loss[-1]), rel=1e-5) for c in results.curves}
    diverged = next(t for t in lines if "w48/tenth" in t["hovertemplate"])
    assert "diverged" in diverged["hovertemplate"]


def test_other_results_give_other_words(made, tmp_path):
    results, path = made
    flat = make_results(results.study, law=no_learning)
    text = to_html(flat, PageFiles(path.parent / "tables", path.parent / "figures", CAPTIONS), folder=path.parent)
    assert "do not identify" in text
    assert "do not identify" not in path.read_text()


def test_names_are_escaped(made):
    results, path = made
    study = replace(results.study, published=(results.study.published[0].model_copy(update={"name": "</script><b>x"}),))
    files = PageFiles(path.parent / "tables", path.parent / "figures", CAPTIONS)
    text = to_html(with_findings(replace(results, study=study)), files, folder=path.parent)
    assert "</script><b>x" not in text
    assert text.count("<script") == path.read_text().count("<script")


def test_choices_are_complete_and_marked():
    rows = report_parts.choices(Config(max_length=256))
    assert [one["key"] for one in rows if one["differs"]] == ["max_length"]
    assert len(rows) > 60


def test_versions_have_the_number_of_their_runs_where_they_differ(made):
    results, _ = made
    first, second, *rest = results.records
    first = first | {"versions": {"plmscale": "0.0.9", "torch": None}}
    second = second | {"versions": {"plmscale": "0.1.0", "torch": "2.13.0"}}
    rows = report_parts.software(with_findings(replace(results, records=[first, second, *rest])))
    trained = {row["name"]: row["trained"] for row in rows}
    n = len(results.records)
    assert trained["plmscale"] == f"0.1.0 ({n - 1} runs), 0.0.9 (1 runs)"
    assert trained["torch"] == f"unknown ({n - 1} runs), 2.13.0 (1 runs)"
    assert trained["numpy"] == "" and {row["name"]: row["page"] for row in rows}["numpy"]
