"""The report in a real browser: it asks for nothing, draws, answers the mouse and the keyboard, and can be read."""

import re
import shutil
import time

import pytest

from plmscale.presentation.page.files import data_uri, rounded, short
from results_data import make_results, make_study
from test_report import write_page

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: apt-get install chromium"),
    pytest.mark.xdist_group("chromium"),
]
FIGURES = ("compute_optimal", "published_models", "loss_vs_flops", "isoflop")
READY = "document.querySelectorAll('.plot[data-ready]').length === 4"
HEAVIEST = 2_000_000
"""Bytes of the page of a study of 30 runs: while it has no more, that of the small study with its 145 runs has at most
the 3 MB that a page may have (1.9 and 2.6 MB)."""


def wait_until(page, true: str, *, seconds: float = 120) -> None:
    """Wait for an expression; the page's policy does not let Playwright's own waiting evaluate one."""
    end = time.monotonic() + seconds
    while not page.evaluate(true):
        assert time.monotonic() < end, true
        page.wait_for_timeout(20)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    widths = ("w32", "w48", "w80", "w128", "w192")
    results = make_results(make_study(widths=widths), diverged=("w32/half/constant/seed0",))
    return write_page(results, tmp_path_factory.mktemp("browser") / "results")


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def opened(browser, path, *, width: int, **more):
    """The page at a width, with everything that it says and asks for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **more)
    page.set_default_timeout(20_000)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.route(re.compile(r"^(?!file:|data:|blob:)"), lambda route: route.abort())
    page.goto(path.as_uri())
    return page, said, asked


@pytest.fixture(scope="module")
def desk(browser, path):
    page, said, asked = opened(browser, path, width=1280)
    wait_until(page, READY)
    yield page, said, asked
    page.close()


def traces(page, figure: str) -> int:
    """Traces of a figure that are drawn."""
    return page.evaluate(f"document.getElementById('plot-{figure}').data.filter((t) => t.visible !== false).length")


def test_nothing_is_asked_for_and_nothing_goes_wrong(desk, path):
    _, said, asked = desk
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [path.as_uri()]


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_draws_its_points(desk, figure):
    page = desk[0]
    assert page.locator(f"#plot-{figure} .scatterlayer .point").count() > 10
    box = page.locator(f"#plot-{figure} svg.main-svg").first.bounding_box()
    assert box["width"] > 500
    assert box["height"] > 300


END = """(run) => {
  const plot = document.getElementById("plot-loss_vs_flops"), { xaxis, yaxis } = plot._fullLayout;
  plot.scrollIntoView();
  const trace = plot.data.find((t) => t.meta && t.meta.kind === "line" && t.hovertemplate.includes(run));
  const box = plot.getBoundingClientRect();
  return [box.x + xaxis._offset + xaxis.d2p(trace.x.at(-1)), box.y + yaxis._offset + yaxis.d2p(trace.y.at(-1))];
}"""
"""Where the last point of a run is on the screen."""


def test_hovering_a_point_names_its_cell(desk):
    page, run = desk[0], "w128/half/constant/seed0"
    x, y = page.evaluate(END, run)
    page.mouse.move(x - 30, y - 30)
    page.mouse.move(x, y)
    label = page.locator("#plot-loss_vs_flops .hoverlayer .hovertext", has_text=run)  # not of what lay on the way
    label.first.wait_for()
    text = " ".join(label.first.text_content().split())
    for word in (run, "N = ", "D = ", "C = ", "loss ", "done"):
        assert word in text


def test_zooming_places_the_labels_anew(desk):
    page = desk[0]
    ticks = "document.getElementById('plot-loss_vs_flops')._fullLayout.xaxis.tickmode"
    assert page.evaluate(ticks) == "array"
    page.evaluate("Plotly.relayout('plot-loss_vs_flops', {'xaxis.range': [12.1, 12.4]})")
    assert page.evaluate(ticks) == "auto"
    page.evaluate("Plotly.relayout('plot-loss_vs_flops', {'xaxis.autorange': true})")
    assert page.evaluate(ticks) == "array"


def test_boxes_hide_and_show_by_keyboard(desk):
    page = desk[0]
    before = traces(page, "loss_vs_flops")
    for key, value, share in (("size", "w80", 4), ("schedule", "constant", 2), ("subset", "tenth", 2)):
        box = page.locator(f"[data-figure=loss_vs_flops] fieldset[data-key={key}] input[value={value}]")
        box.focus()
        page.keyboard.press("Space")
        left = traces(page, "loss_vs_flops")
        assert before - left >= 16 // share, key  # measured and smoothed of 5 sizes x 3 sets x 2 schedules
        page.keyboard.press("Space")
        assert traces(page, "loss_vs_flops") == before


def test_none_and_all(desk):
    page = desk[0]
    before = traces(page, "published_models")
    buttons = page.locator("[data-figure=published_models] fieldset[data-key=objective]")
    buttons.locator(".none").click()
    assert traces(page, "published_models") < before
    buttons.locator(".all").click()
    assert traces(page, "published_models") == before


def test_axes_turn_linear_and_back(desk):
    page = desk[0]
    button = page.locator("[data-figure=compute_optimal] button.log[data-axis=y]")
    for kind in ("linear", "log"):
        button.click()
        layout = "document.getElementById('plot-compute_optimal')._fullLayout"
        assert page.evaluate(f"[{layout}.yaxis.type, {layout}.yaxis2.type]") == [kind, kind]
        assert button.get_attribute("aria-pressed") == str(kind == "log").lower()


def serious(page) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found if one["impact"] in ("serious", "critical")
    ]


def test_axe_finds_no_serious_violation(desk):
    assert serious(desk[0]) == []


def test_on_a_phone_nothing_overflows_and_axe_is_content(browser, path):
    page, said, _ = opened(browser, path, width=390)
    wait_until(page, READY)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious(page) == []
    assert said == []
    panels = page.evaluate("document.getElementById('plot-compute_optimal')._fullLayout.yaxis2.domain")
    assert panels[1] < 0.5  # the second panel is below the first
    page.close()


def test_the_first_screen_has_question_verdict_table_and_figure(browser, path):
    page, _, _ = opened(browser, path, width=1440)
    wait_until(page, READY)
    shown = ["h1", ".badge", "#table-headline table", "#plot-compute_optimal", "nav"]
    bottoms = [page.locator(one).first.bounding_box() for one in shown]
    assert max(box["y"] + box["height"] for box in bottoms) <= 900
    # The navigation stays where it is.
    page.mouse.wheel(0, 5000)
    wait_until(page, "window.scrollY > 4000")
    assert page.locator("nav").bounding_box()["y"] == 0
    page.close()


CUT = """() => [...document.querySelectorAll(".scroll")].filter((one) => one.checkVisibility())
  .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.getAttribute("aria-label"))"""
"""Tables whose columns do not fit."""

SMALL = """(least) => [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility())
  .filter((one) => [...one.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()))
  .filter((one) => !one.closest("sub, sup, svg, code") && parseFloat(getComputedStyle(one).fontSize) < least)
  .map((one) => `${one.tagName} ${getComputedStyle(one).fontSize} ${one.textContent.slice(0, 40)}`)"""
"""Words in type smaller than so many pixels."""


def test_no_column_is_cut_at_a_desk(browser, path):
    page, _, _ = opened(browser, path, width=1440)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate(CUT) == []
    page.close()


def test_every_figure_and_table_has_a_number(desk):
    page = desk[0]
    numbers = page.evaluate(
        "[...document.querySelectorAll('.interactive figcaption b, .always figcaption b')].map((b) => b.textContent)"
    )
    found = [int(re.match(r"Figure (\d+)\. ", one)[1]) for one in numbers]
    assert found == list(range(1, len(found) + 1))
    tables = page.locator(".table > summary > b, .table > .title > b").all_text_contents()
    assert tables == [f"Table {i}." for i in range(1, len(tables) + 1)]


def test_rows_without_a_number_are_folded(desk):
    page = desk[0]
    folded = page.locator("#table-law_parameters .folded")
    n = int(re.match(r"(\d+) of \d+ rows have no number: show", folded.locator("summary").text_content())[1])
    assert folded.locator("tbody tr").count() == n > 0
    kept = page.locator("#table-law_parameters > .scroll tbody tr td:nth-child(4)").all_text_contents()
    assert kept and "–" not in kept


ENVELOPE = """() => document.getElementById("plot-loss_vs_flops").data
  .filter((t) => t.meta && t.meta.kind === "envelope" && t.meta.schedule === "constant" && t.x.length)
  .flatMap((t) => t.x.map((x, i) => [x, t.y[i], t.customdata[i][0]]))"""


def test_the_envelope_is_that_of_the_sizes_switched_on_and_never_rises(desk):
    page = desk[0]
    before = page.evaluate(ENVELOPE)
    box = page.locator("[data-figure=loss_vs_flops] fieldset[data-key=size] input[value=w128]")
    box.uncheck()
    without = page.evaluate(ENVELOPE)
    box.check()
    assert any("w128" in run for _, _, run in before)
    assert without and not any("w128" in run for _, _, run in without)
    for line in (before, without):
        losses = [loss for _, loss, _ in sorted(line)]
        assert losses == sorted(losses, reverse=True)
    assert page.evaluate(ENVELOPE) == before


def test_on_a_phone_figures_are_readable(browser, path):
    page, _, _ = opened(browser, path, width=390)
    wait_until(page, READY)
    assert page.evaluate(SMALL, 12) == []
    ticks = "[...document.querySelectorAll('.plot text')].map((t) => parseFloat(getComputedStyle(t).fontSize))"
    assert min(page.evaluate(ticks)) >= 9
    # Static figures are those for a column of 3.42 inches, whose type is 8 points at least.
    scales = page.evaluate(
        "[...document.querySelectorAll('.always img')].map((i) => i.getBoundingClientRect().width / i.naturalWidth)"
    )
    assert scales and min(8 * 96 / 72 * one for one in scales) >= 9
    page.close()


@pytest.mark.parametrize(("width", "tables"), [(703, "section:not(.wide)"), (1016, "section.wide")])
def test_paper_is_readable(browser, path, width, tables):
    """At the width of the paper: A4 upright, and on its side where a table has many columns."""
    page, _, _ = opened(browser, path, width=width)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(SMALL, 9 * 96 / 72 - 0.01) == []
    cut = f"""() => [...document.querySelectorAll("{tables} .scroll")].filter((one) => one.checkVisibility())
      .filter((one) => one.querySelector("table").getBoundingClientRect().right > {width} + 1)
      .map((one) => one.getAttribute("aria-label"))"""
    assert page.evaluate(cut) == []
    assert page.evaluate(BROKEN) == []
    page.close()


BROKEN = """() => [...document.querySelectorAll(".many td:not(.number), .many:not(.crowded) th")]
  .filter((cell) => cell.checkVisibility() && !cell.matches(".wide, .long")).flatMap((cell) => {
    const text = cell.firstChild, found = [];
    if (!text || text.nodeType !== 3) return found;
    for (const word of text.data.matchAll(/[A-Za-z0-9]{3,12}/g)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((one) => Math.round(one.top))).size > 1) found.push(word[0]);
    }
    return found;
  })"""
"""Words of tables with many columns that are cut in two."""


def test_a_long_table_that_is_folded_is_not_printed_and_says_where_it_is(desk):
    page = desk[0]
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    left = page.locator("details.unprinted")
    assert left.count() > 0
    for i in range(left.count()):
        assert re.search(
            r"\d{3} rows, not printed: see .+\.tsv$", left.nth(i).locator("summary").text_content().strip()
        )
        assert left.nth(i).get_attribute("open") is None
    assert page.locator("details.table:not(.unprinted):not([open])").count() == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.table:not([open])").count() > left.count()


def test_pages_of_paper_are_as_many_as_tables_need(browser, path):
    page, _, _ = opened(browser, path, width=1280)
    wait_until(page, READY)
    pdf = page.pdf(prefer_css_page_size=True)
    page.close()
    n_pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 10 <= n_pages <= 40


SHORTENED = ("compute_optimal", "contours", "loss_vs_flops_constant")


@pytest.mark.parametrize("figure", SHORTENED)
def test_figures_of_the_page_are_short_and_look_the_same(browser, path, figure):
    """Pixel by pixel as the file that matplotlib wrote, its coordinates rounded; and word by word as that file."""
    written = (path.parent / "figures" / f"{figure}.svg").read_text()
    texts, pictures = (rounded(written), short(rounded(written))), []
    page = browser.new_page(viewport={"width": 700, "height": 1000})
    for text in texts:
        address = data_uri(text.encode(), "image/svg+xml")
        page.set_content(f'<img src="{address}" onload="document.title = this.naturalWidth">')
        wait_until(page, "Number(document.title) > 300")
        pictures.append(page.screenshot())
    page.close()
    assert len(texts[1]) < 0.85 * len(texts[0])
    assert pictures[0] == pictures[1]
    words = [re.findall(r">([^<>]*[^<>\s][^<>]*)</t", text) for text in (written, texts[1])]
    assert words[0] == words[1] and words[0]


def test_the_page_is_light(path):
    assert path.stat().st_size <= HEAVIEST


def test_at_a_desk_nothing_overflows(desk):
    assert desk[0].evaluate("document.documentElement.scrollWidth") <= 1280


def test_paper_shows_the_static_figures(desk):
    page = desk[0]
    page.emulate_media(media="print")
    assert page.locator("figure.interactive >> visible=true").count() == 0
    statics = page.locator("figure.static img >> visible=true")
    assert statics.count() >= 8
    assert all(width > 0 for width in statics.evaluate_all("(all) => all.map((img) => img.naturalWidth)"))
    page.emulate_media(media="screen")


def test_without_scripts_the_static_figures_stand_in(browser, path):
    page, _, _ = opened(browser, path, width=1280, java_script_enabled=False)
    assert page.locator("figure.interactive >> visible=true").count() == 0
    assert page.locator("#figure-compute_optimal img >> visible=true").count() == 1
    page.close()
