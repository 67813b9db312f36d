"""The Python API: the numbers of the workflow's files, refusals, and what a notebook shows."""

import doctest
import importlib.util
import json
import re
import subprocess
import sys
from operator import attrgetter

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import notebook_page
import plmscale
from conftest import ROOT
from plmscale.analysis.external import analyse
from plmscale.api.choice import loss_fit
from plmscale.files import read_json
from plmscale.laws.confidence.uncertainty import interval
from plmscale.laws.fit import FitSettings
from plmscale.laws.loss_law import LossLaw
from plmscale.laws.methods import fit_all
from plmscale.presentation.tables import to_tsv
from plmscale.report.external_runs import write
from plmscale.report.tables.laws import law_parameters
from plmscale.results.external import Request
from plmscale.runs.importers import load
from scaling_data import chinchilla, make_runs

TABLE = ROOT / "resources/runs/small_study.csv.gz"
FENCE = re.compile(r"^```pycon\n(.*?)^```", re.M | re.S)


@pytest.fixture(scope="module")
def runs_file(tmp_path_factory):
    """Final losses of 32 runs whose law is known."""
    path = tmp_path_factory.mktemp("runs") / "runs.csv"
    runs = make_runs(chinchilla, noise=0.004, n_rows=1)
    runs.loc[runs["step"] > 0, ["run", "n_params", "n_tokens", "flops", "loss"]].to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def laws(runs_file) -> plmscale.Laws:
    return plmscale.fit(plmscale.read_runs(runs_file), laws=["isoflop", "chinchilla", "kaplan"])


@pytest.fixture(scope="module")
def small() -> plmscale.Laws:
    return plmscale.fit(TABLE, laws=["chinchilla", "envelope"])


def test_importing_the_package_imports_nothing_else():
    code = "import sys, plmscale; dir(plmscale); print(sorted(set(sys.modules) & {'numpy', 'pandas', 'torch', 'scipy', "
    code += "'matplotlib', 'pydantic'}), plmscale.__version__)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == f"[] {plmscale.__version__}\n"


def test_every_exported_name_is_there_and_documented():
    page = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    for name in plmscale.__all__:
        assert getattr(plmscale, name) is not None
        assert name.startswith("__") or f"`{name}`" in page, name
    assert set(plmscale.__all__) <= set(dir(plmscale))
    assert len(plmscale.__all__) <= 11


def test_a_wrong_name_suggests_the_right_one():
    with pytest.raises(AttributeError, match="no 'read_run'. Did you mean read_runs"):
        attrgetter("read_run")(plmscale)
    with pytest.raises(AttributeError):
        attrgetter("nothing_like_it")(plmscale)


def test_fits_are_those_of_the_workflow(laws, runs_file):
    """`plmscale.laws.methods.fit_all` is what the workflow's rule calls; its file has their JSON."""
    frame = load(runs_file).frame
    for name in laws:
        expected = json.loads(json.dumps(fit_all(frame, name=name)["all runs"].to_json()))
        assert json.loads(json.dumps(laws[name].fit.to_json())) == expected


def test_questions_are_answered_from_the_files_numbers(laws):
    fit = laws["chinchilla"].fit
    rows = fit.details["size_law"]["rows"]
    least, most = fit.details["size_law"]["flops"]
    row = next(row for row in rows if row["status"] == "inside the data" and least <= row["flops"] <= most)
    found = laws["chinchilla"].n_opt(row["flops"])
    for key, value in (("value", "n_params"), ("low", "n_params_low"), ("high", "n_params_high")):
        assert getattr(found, key) == pytest.approx(row[value], rel=1e-12)
    assert (found.n_tokens, found.tokens_low) == pytest.approx((row["n_tokens"], row["n_tokens_low"]), rel=1e-12)
    assert (found.law, found.status, found.beyond, found.position) == ("chinchilla", fit.status, 1.0, row["status"])
    assert found.low < found.value < found.high


def test_predicted_losses_are_those_of_the_published_formula(laws):
    point = laws["chinchilla"].fit.points[5]
    best = {key: one.value for key, one in laws["chinchilla"].estimates.items()}
    n, d = point["n_params"], point["n_tokens"]
    expected = best["E"] + best["A"] / n ** best["alpha"] + best["B"] / d ** best["beta"]
    found = laws.predict(n_params=n, n_tokens=d)
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.low < found.value < found.high
    assert found.flops == pytest.approx(6 * n * d, rel=1e-9)
    assert found.scatter == pytest.approx(0.004, rel=0.5)
    # Chinchilla's law is the truth of these runs.
    assert found.low < chinchilla(n, np.array([d]))[0] < found.high


@pytest.mark.parametrize("name", ["chinchilla", "kaplan"])
def test_predictions_are_over_the_laws_of_the_fit(laws, name):
    """The laws solved again have the percentiles that the fit wrote of its own resamples."""
    fit = laws[name].fit
    law = LossLaw(fit, "all runs", curves=laws.results.curves, settings=FitSettings())
    endless = 1e300
    if name == "chinchilla":
        # Of endless size and tokens E alone is left.
        found, expected = interval(law._draws(endless, endless)), fit.details["bootstrap"]["E"]
    else:
        # With endless tokens L = (N_c / N)^alpha_N: two sizes have the exponent.
        alpha_n = np.log10(law._draws(1e5, endless) / law._draws(1e6, endless))
        found, expected = interval(np.log10(alpha_n)), fit.details["bootstrap_log10"]["alpha_N"]
    assert found == pytest.approx(tuple(expected), rel=1e-6)
    assert law.at(1e5, 1e7).beyond == 1.0


@pytest.mark.slow
def test_intervals_of_predicted_losses_hold_the_truth():
    """60 simulated studies: 95 % within three standard errors, inside the runs and 30 times beyond."""
    path = ROOT / "benchmarks/predicted_loss.py"
    spec = importlib.util.spec_from_file_location("predicted_loss", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, (share, width) in module.coverage(5, studies=60).items():
        assert abs(share - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / 60), name
        assert 0 < width < 0.1


def test_nothing_is_answered_outside_the_range(laws):
    with pytest.raises(plmscale.InputError, match=r"n_opt: C = 1\.00×10²⁴ FLOPs; .* is known from .* to .* FLOPs"):
        laws.n_opt(1e24)
    ends = laws["chinchilla"].fit.details["size_law"]["rows"]
    known = [row["flops"] for row in ends if row["n_params"] is not None]
    laws.n_opt(known[0], law="chinchilla"), laws.n_opt(known[-1], law="chinchilla")
    for flops in (known[0] * 0.99, known[-1] * 1.01):
        with pytest.raises(plmscale.InputError, match="is known from"):
            laws.n_opt(flops, law="chinchilla")
    for asked, what in (
        ({"n_params": 7e6}, "N = 7M"),
        ({"n_tokens": 2e10}, "D = 20B"),
        ({"n_tokens": 1e5}, "D = 100k"),
    ):
        with pytest.raises(plmscale.InputError, match=f"not known at {what} .*it is known for"):
            laws.predict(**({"n_params": 1e6, "n_tokens": 1e7} | asked))
    with pytest.raises(plmscale.InputError, match="not known at C = "):
        laws.predict(n_params=6e6, n_tokens=9.9e9)
    assert laws.predict(n_params=6e6, n_tokens=1e8).position == "extrapolated"
    assert laws.predict(n_params=4e6, n_tokens=1e8).beyond == pytest.approx(2.0)


def test_a_law_that_is_not_identified_gives_no_number(small):
    constant = small.only("constant")
    with pytest.raises(plmscale.InputError, match="no law of constant gives an optimal size. Envelope, not identified"):
        constant.n_opt(1e11)
    with pytest.raises(plmscale.InputError, match="no law of constant gives a loss. Chinchilla, not identified"):
        constant.predict(n_params=1e5, n_tokens=1e6)
    assert constant["chinchilla"]["alpha"] == plmscale.Estimate(None)


def test_a_choice_that_is_open_is_an_error(small):
    assert small.groups == ["constant", "token_decay"]
    for ask in (lambda: small["chinchilla"], lambda: small.n_opt(1e11), lambda: small.plot("loss_vs_flops")):
        with pytest.raises(plmscale.InputError, match=r"several groups.*laws.only\('constant'\)"):
            ask()
    assert small.n_opt(1e12, group="token_decay") == small.only("token_decay").n_opt(1e12)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda laws: laws["chinchila"], "no law 'chinchila'. Did you mean 'chinchilla'"),
        (lambda laws: laws["chinchilla"]["alfa"], "no parameter of chinchilla 'alfa'. Did you mean 'alpha'"),
        (lambda laws: laws.only("all"), "no group 'all'. .*all runs"),
        (lambda laws: laws.n_opt("1e21"), "flops is '1e21'; it must be one positive number"),
        (lambda laws: laws.n_opt(-1), "flops is -1;"),
        (lambda laws: laws.n_opt([1e9, 1e10]), "flops is .*; it must be one positive number"),
        (lambda laws: laws.predict(n_params=float("nan"), n_tokens=1), "n_params is nan"),
        (lambda laws: laws.n_opt(1e14, law="kaplan"), "Kaplan does not give an optimal size; these laws do: envelope"),
        (lambda laws: laws.n_opt(1e14, law="plateau"), "no law 'plateau'"),
        (lambda laws: laws.table("law"), "no table 'law'. Did you mean|no table 'law'. Choose"),
        (lambda laws: laws.plot("contour"), "no figure 'contour'. Did you mean 'contours'"),
        (lambda laws: laws.plot("plateau"), "laws that were not fitted: plateau"),
        (lambda _: plmscale.fit(TABLE, laws=["isoflops"]), "no law 'isoflops'. Did you mean 'isoflop'"),
        (lambda _: plmscale.fit(TABLE, laws=[]), "no law was asked for"),
        (lambda _: plmscale.read_runs("absent.csv"), "absent.csv does not exist"),
        (lambda _: plmscale.read_runs(TABLE, format="csv"), "no format 'csv'"),
        (lambda _: plmscale.read_runs(TABLE, flops="6ND"), "no rule for FLOPs '6ND'. Did you mean '6nd'"),
        (lambda _: plmscale.read_runs(7), "got int; give a path"),
        (lambda _: plmscale.read_runs(pd.DataFrame({"N": [1], "D": [2]})), "data frame: no column is the loss"),
        (lambda _: plmscale.load_laws(TABLE), "not a file of laws"),
        (lambda _: plmscale.load_laws("absent"), "load_laws: the folder 'absent' does not exist"),
    ],
)
def test_bad_input_is_one_sentence_that_says_what_would_be_right(laws, ask, says):
    with pytest.raises(plmscale.InputError, match=says):
        ask(laws)


def test_a_data_frame_is_read_as_its_file(runs_file):
    frame = plmscale.read_runs(pd.read_csv(runs_file))
    pd.testing.assert_frame_equal(frame.frame, plmscale.read_runs(str(runs_file)).frame)
    assert (len(frame), frame.source, len(frame.sizes)) == (32, "data frame", 8)


def test_saved_laws_give_the_same_answers(laws, tmp_path):
    laws.save(tmp_path / "laws.json")
    again = plmscale.Laws.load(tmp_path / "laws.json")
    assert repr(again) == repr(laws)
    assert again.n_opt(1e14) == laws.n_opt(1e14)
    assert again.predict(n_params=3e5, n_tokens=5e6) == laws.predict(n_params=3e5, n_tokens=5e6)
    pd.testing.assert_frame_equal(again.table(), laws.table())
    assert isinstance(again.plot("contours"), Figure)
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "laws.json").read_bytes()


def test_curves_survive_being_saved(small, tmp_path):
    small.save(tmp_path / "laws.json")
    for one, other in zip(plmscale.load_laws(tmp_path / "laws.json").results.curves, small.results.curves, strict=True):
        for name, value in vars(other).items():
            if not name.startswith("_"):
                np.testing.assert_array_equal(getattr(one, name), value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace('"seed": 0', '"seed": 1', 1), "another SHA-256"),
        (lambda text: text.replace('"version": 1', '"version": 2', 1), "version 2 of the format; .* reads version 1"),
        (lambda text: text[: len(text) // 2], "not valid JSON"),
        (lambda _: "[]", "not a file of laws"),
    ],
)
def test_a_changed_file_is_not_loaded(laws, tmp_path, change, says):
    path = tmp_path / "laws.json"
    laws.save(path)
    path.write_text(change(path.read_text()))
    with pytest.raises(plmscale.InputError, match=says):
        plmscale.load_laws(path)
    with pytest.raises(plmscale.InputError, match="it is a folder"):
        laws.save(tmp_path)


@pytest.mark.usefixtures("as_svg")
def test_laws_of_the_fit_command_and_of_a_study_are_loaded(runs_file, tmp_path):
    settings = FitSettings(n_bootstrap=50)
    request = Request(fits=("chinchilla",), seed=3, settings=settings)
    write(analyse(load(runs_file), request), tmp_path / "out")
    direct = plmscale.fit(runs_file, laws=["chinchilla"], seed=3, bootstrap=50)
    for place in ("out", "out/fits"):
        found = plmscale.load_laws(tmp_path / place)
        assert found.predict(n_params=3e5, n_tokens=5e6) == direct.predict(n_params=3e5, n_tokens=5e6)
        assert found.n_opt(1e14) == direct.n_opt(1e14)
    written = read_json(tmp_path / "out/fits/chinchilla.json")["schedules"]["all runs"]
    assert found["chinchilla"]["alpha"].value == written["estimates"]["alpha"]["value"]
    # A study's results/: the same files elsewhere, without a record of the request.
    study = tmp_path / "study"
    (study / "analysis").mkdir(parents=True)
    (tmp_path / "out/curves.parquet").rename(study / "analysis/curves.parquet")
    (tmp_path / "out/fits").rename(study / "fits")
    assert plmscale.load_laws(study).n_opt(1e14) == direct.n_opt(1e14)
    with pytest.raises(plmscale.InputError, match="load_laws: .*out holds neither"):
        plmscale.load_laws(tmp_path / "out")


def test_tables_are_those_that_files_hold(laws):
    assert laws.table().to_csv() == law_parameters(laws.results, groups="Runs").data.to_csv()
    assert to_tsv(law_parameters(laws.results, groups="Runs")).count("\n") == len(laws.table()) + 1
    assert set(laws.table("optimal_sizes")["flops"]) == {1e17, 1e18, 1e19, 1e20}
    assert len(laws.table("runs")) == 32


def test_what_a_notebook_shows(laws, small):
    text = repr(laws)
    assert text.startswith("Laws of 32 runs, 8 sizes from 30k to 2M parameters")
    assert re.search(r"Chinchilla +identified: N_opt ~ C\^0\.5", text)
    assert len(text.splitlines()) == 5
    assert "not identified" in small._repr_html_() and small._repr_html_().count("<tr>") == 5
    shown = laws["chinchilla"]
    assert repr(shown).startswith("Chinchilla (all runs), identified: ") and "α = " in shown._repr_html_()
    figure = laws.plot("contours")
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_html_shows_names_as_they_are(runs_file):
    table = pd.read_csv(runs_file).assign(group="<script>a&b</script>")
    runs = plmscale.read_runs(table)
    laws = plmscale.fit(runs, laws=["chinchilla"], bootstrap=20)
    for shown in (runs, laws, laws["chinchilla"], laws.n_opt(1e14), laws.predict(n_params=1e5, n_tokens=1e7)):
        assert "<script>" not in shown._repr_html_()
        assert "&lt;script&gt;a&amp;b" in shown._repr_html_()


def test_the_better_verdict_answers(laws):
    statuses = {name: laws[name].status for name in ("chinchilla", "kaplan")}
    best = loss_fit(laws.results, None, "all runs")
    assert statuses["chinchilla"] == "identified" and best.name == "chinchilla"
    if statuses["kaplan"] in ("identified", "weakly_identified"):
        assert laws["kaplan"].predict(n_params=1e5, n_tokens=1e7).law == "kaplan"


def test_examples_of_the_reference_page_print_what_they_say(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = "\n".join(FENCE.findall((ROOT / "docs/reference/api.md").read_text(encoding="utf-8")))
    test = doctest.DocTestParser().get_doctest(text, {}, "api.md", "api.md", 0)
    assert len(test.examples) > 15
    said: list[str] = []
    outcome = doctest.DocTestRunner().run(test, out=said.append)
    assert not outcome.failed, "".join(said)


def test_the_notebook_prints_what_it_stores(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    stored = notebook_page.read(ROOT)
    found = notebook_page.run(notebook_page.read(ROOT), folder=ROOT / "docs/howto")
    assert notebook_page.texts(found) == notebook_page.texts(stored)
    assert notebook_page.figure(found).startswith(b"\x89PNG")


def test_the_page_of_the_notebook_has_not_drifted():
    """After a change of the notebook: python docs/generators/notebook_page.py --run."""
    stored = notebook_page.read(ROOT)
    assert (ROOT / notebook_page.PAGE).read_text(encoding="utf-8") == notebook_page.page(stored)
    assert (ROOT / notebook_page.FIGURE).read_bytes() == notebook_page.figure(stored)
    assert (ROOT / notebook_page.NOTEBOOK).stat().st_size < 100_000
