"""`plmscale fit` answers first: what is imported and written by then; and what follows changes no number."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from plmscale.analysis.external import analyse, answer, completed
from plmscale.cli.main import main, on_stderr
from plmscale.estimates import Estimate
from plmscale.laws.budgets import TokenCost
from plmscale.laws.chinchilla import Searched, cheapest_size, cheapest_sizes
from plmscale.laws.fit import FitSettings
from plmscale.laws.solvers import distributions
from plmscale.laws.solvers.chinchilla import ChinchillaLaw
from plmscale.presentation.formats import number, short, with_interval
from plmscale.report.external_summary import added_text, summary_text
from plmscale.results.external import Request
from plmscale.runs.curves import smooth
from plmscale.runs.importers import load
from scaling_data import chinchilla, make_runs

SLOW_TO_IMPORT = ("matplotlib", "seaborn", "plotly", "jinja2", "scipy.stats", "pydantic", "torch", "snakemake")

WATCHED = """
import sys
from pathlib import Path

class Watched:
    def __init__(self, out):
        self.out = out
    def write(self, text):
        if "Chinchilla," in text:
            loaded = [name for name in {slow!r} if name in sys.modules]
            print("at the answer:", loaded, sorted(path.name for path in Path(sys.argv[2]).glob("*")), file=sys.stderr)
        return self.out.write(text)
    def flush(self):
        self.out.flush()

sys.stdout = Watched(sys.stdout)
from plmscale.cli.main import main
main(["fit", sys.argv[1], "--out", sys.argv[2], "--fits", "chinchilla", "--bootstrap", "20"])
print("at the end:", "matplotlib" in sys.modules, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory) -> Path:
    """The last evaluations of 20 runs."""
    runs = make_runs(chinchilla, sizes=np.geomspace(3e4, 2e6, 5).round().tolist(), noise=0.004, n_rows=1)
    path = tmp_path_factory.mktemp("ends") / "ends.csv"
    runs.groupby("run").tail(1)[["run", "n_params", "n_tokens", "flops", "loss"]].to_csv(path, index=False)
    return path


def test_the_answer_is_printed_before_what_draws_is_imported_and_before_anything_is_written(ends, tmp_path):
    script = WATCHED.format(slow=SLOW_TO_IMPORT)
    command = [sys.executable, "-c", script, str(ends), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "at the answer: [] []" in done.stderr
    assert "at the end: True" in done.stderr
    assert (tmp_path / "out/figures/contours.svg").is_file()
    answered, _, added = done.stdout.partition("Being written to")
    assert "Chinchilla, identified: N_opt ~ C^" in answered and "Choices:" not in answered
    assert "Choices: Chinchilla, a = " in added and "Written to" in added


@pytest.mark.usefixtures("as_svg")
def test_without_figures_everything_else_is_the_same(ends, tmp_path, capsys):
    arguments = [str(ends), "--fits", "chinchilla", "envelope", "--bootstrap", "20"]
    main(["fit", *arguments, "--out", str(tmp_path / "all")])
    main(["fit", *arguments, "--out", str(tmp_path / "bare"), "--no-figures"])
    files = {
        name: {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*") if path.is_file()}
        for name in ("all", "bare")
    }
    drawn = {path for path in files["all"] if path.parts[0] in ("figures", "report.html")}
    assert len(drawn) > 0 and files["bare"] == files["all"] - drawn
    for path in files["bare"]:
        assert (tmp_path / "bare" / path).read_bytes() == (tmp_path / "all" / path).read_bytes()
    printed = capsys.readouterr()
    assert "figures/" not in printed.out.rpartition("What was read")[2]
    stages = printed.err.rpartition("plmscale: fitting laws\n")[2]
    assert stages == "plmscale: varying the choices of the analysis\nplmscale: writing tables\n"


def test_answer_and_what_it_adds_are_the_summary(ends):
    """Line by line, whatever the order: nothing is said once more, and nothing is lost."""
    request = Request(fits=("envelope", "chinchilla"), settings=FitSettings(n_bootstrap=20))
    known = answer(load(ends), request)
    whole = completed(known)

    def text(one) -> list[str]:
        return summary_text(one.imported, one.results, one.reached).splitlines()

    told = [*text(known), *added_text(whole.results).splitlines()[2:]]
    assert sorted(told) == sorted(text(whole))
    assert whole.results.fits == analyse(load(ends), request).results.fits == known.results.fits


def test_a_terminal_sees_a_bar_that_goes_and_a_file_a_line(capsys, monkeypatch):
    assert list(on_stderr([1, 2], what="counting")) == [1, 2]
    assert capsys.readouterr().err == "plmscale: counting\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(on_stderr([1, 2], what="counting")) == [1, 2]
    shown = capsys.readouterr().err
    assert "counting:   0%" in shown and "\n" not in shown and shown.rstrip(" \r") != ""


def test_distributions_are_those_of_scipy_to_the_last_digit():
    rng = np.random.default_rng(0)
    for _ in range(500):
        x, p = float(10 ** rng.uniform(-6, 2) * rng.choice([-1, 1])), float(rng.uniform())
        above, below = (int(n) for n in rng.integers(1, 400, 2))
        assert distributions.normal_cdf(x) == scipy.stats.norm.cdf(x)
        assert distributions.normal_density(x) == scipy.stats.norm.pdf(x)
        assert distributions.normal_tail(x) == scipy.stats.norm.sf(x)
        assert distributions.student_quantile(p, below) == scipy.stats.t.ppf(p, below)
        assert -distributions.student_quantile(p, below) == scipy.stats.t.isf(p, below)
        assert distributions.f_quantile(p, above, below) == scipy.stats.f.ppf(p, above, below)
        assert distributions.f_tail(x, above, below) == scipy.stats.f.sf(x, above, below)


def test_the_cheapest_size_of_many_laws_is_that_of_each():
    cost = TokenCost(smooth(make_runs(chinchilla, n_rows=5)))
    laws = [ChinchillaLaw(2.0, a, 60.0, alpha, 0.35, 0.0) for a in (0.0, 5.0, 20.0) for alpha in (0.2, 0.3, 0.4)]
    for flops in (1e13, 1e15):
        together = cheapest_sizes(laws, flops, searched=Searched.of(cost))
        apart = [cheapest_size(law, flops, cost=cost) for law in laws]
        np.testing.assert_array_equal(together, apart)
        for law, size in zip(laws, together, strict=True):
            # Hoffmann's closed form, for C = 6ND.
            g = law.alpha * law.A / (law.beta * law.B)
            best = g ** (1 / (law.alpha + law.beta)) * (flops / 6) ** law.size_exponent if law.A else np.nan
            assert size == pytest.approx(best, rel=1e-4, nan_ok=True)


def test_budgets_that_are_asked_for_are_in_the_table_and_constants_and_sizes_in_the_summary(ends, tmp_path, capsys):
    asked = ["--at-flops", "3e13", "--budgets", "1e13", "1e20"]
    main(["fit", str(ends), "--out", str(tmp_path / "out"), "--fits", "chinchilla", "--no-figures", *asked])
    text = " ".join(capsys.readouterr().out.split())
    fit = json.loads((tmp_path / "out/fits/chinchilla.json").read_text())["schedules"]["all runs"]
    assert [row["flops"] for row in fit["details"]["optimal_sizes"]] == [3e13, 1e13, 1e20]
    for letter, key in (("E (nats)", "E"), ("A", "A"), ("B", "B"), ("α", "alpha"), ("β", "beta")):
        assert f"{letter} = {with_interval(Estimate(**fit['estimates'][key]))}" in text
    one, _, far = fit["details"]["optimal_sizes"]
    size = f"{short(one['n_params'])} ({short(one['n_params_low'])}–{short(one['n_params_high'])})"
    assert f"at 3×10¹³ FLOPs N_opt = {size}" in text and one["status"] in text
    assert far["status"] == "outside the data" and "none at 10²⁰ (outside the data)" in text
    known = [row["flops"] for row in fit["details"]["size_law"]["rows"] if row["n_params"] is not None]
    assert f"at {number(known[-1])} FLOPs, the most at which it has a size, N_opt = " in text


@pytest.mark.parametrize("asked", (["--at-flops", "-1"], ["--budgets", "1e13", "0"]))
def test_budgets_that_are_none_are_refused(ends, tmp_path, asked):
    with pytest.raises(SystemExit, match=f"error: {asked[0]} is .*; it must be positive FLOPs, such as 1e20"):
        main(["fit", str(ends), "--out", str(tmp_path / "out"), *asked])
