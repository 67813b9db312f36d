"""The analysis without a study: from a table to fits, tables, figures and a summary, by command and by workflow."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest

import forked
from conftest import ROOT
from plmscale.analysis.external import analyse
from plmscale.cli.main import main
from plmscale.laws.cost_to_loss import flops_to_reach
from plmscale.laws.fit import FitSettings
from plmscale.presentation import figure_style
from plmscale.presentation.figure_style import SizeScale, style
from plmscale.report.external_figures import FIGURES, file_prefixes
from plmscale.results.external import Request
from plmscale.runs.curves import smooth
from plmscale.runs.importers import load
from plmscale.study.catalog import OWN_TABLES
from scaling_data import chinchilla, make_runs, published

SIZES = tuple(np.geomspace(3e4, 2e6, 6).round())
TOKENS = (1e6, 1e7, 1e8)


def table_of_runs(path, *, groups=("constant",)):
    """Runs of a known law as somebody else would write them down."""
    frames = []
    for i, group in enumerate(groups):
        runs = make_runs(chinchilla, sizes=SIZES, tokens=TOKENS, noise=0.002, n_rows=30, seed=i)
        frames.append(runs.assign(group=group, run=group + "/" + runs["run"]))
    table = pd.concat(frames)[["run", "group", "n_params", "n_tokens", "loss"]]
    table.rename(columns={"n_params": "N", "n_tokens": "D"}).to_csv(path, index=False)
    return path


def test_the_command_writes_everything_and_recovers_the_law(tmp_path, monkeypatch):
    """One test for one run of the command: it draws sixteen figures, here in one format."""
    monkeypatch.setattr(figure_style, "FORMATS", ("svg",))
    path = table_of_runs(tmp_path / "runs.csv", groups=("first lot", "second lot"))
    out = tmp_path / "out"
    main(["fit", str(path), "--out", str(out), "--bootstrap", "30", "--target-loss", "3.2"])
    page = (out / "report.html").read_text()
    assert 'id="table-headline"' in page and 'class="badge identified"' in page
    assert ">Paper" not in page and "paper" not in (out / "tables/law_parameters.tsv").read_text().partition("\n")[0]
    names = {path.name for path in (out / "figures").glob("*.svg")}
    wanted = [
        f"{prefix}_{name}"
        for prefix in ("first-lot", "second-lot")
        for name in ("loss_vs_flops", "sensitivity", *FIGURES)
        if name != "plateau"  # no content here: the figure is not written
    ]
    assert names == {f"{name}.{suffix}" for name in wanted for suffix in figure_style.FORMATS}
    assert {path.name for path in (out / "figures/column").iterdir()} == names
    assert {path.stem for path in (out / "figures").glob("*.csv")} == set(wanted)
    assert {p.name for p in (out / "tables").iterdir()} == {
        f"{t}.{s}" for t in OWN_TABLES for s in ("tsv", "md", "tex")
    }
    record = json.loads((out / "import.json").read_text())
    assert record["n_runs"] == 2 * len(SIZES) * len(TOKENS)
    assert "flops of all rows is from C = 6ND." in record["notes"]
    for group in ("first lot", "second lot"):
        estimates = json.loads((out / "fits/chinchilla.json").read_text())["schedules"][group]["estimates"]
        assert estimates["a"]["value"] == pytest.approx(0.35 / 0.65, abs=0.01)  # beta / (alpha + beta)
    text = (out / "summary.txt").read_text()
    assert "Runs: first lot" in text and "Chinchilla, identified" in text and "FLOPs to reach 3.2 nats" in text
    choices = pd.read_csv(out / "tables/sensitivity.tsv", sep="\t")
    for group, said in zip(("first lot", "second lot"), re.findall(r"Choices:(.*?)median", text, re.S), strict=True):
        a = choices.loc[choices["schedule"] == group, "a"].dropna()
        assert f"over {len(a)} designs of the analysis a goes from {a.min():.2f} (" in " ".join(said.split())
        assert f") to {a.max():.2f} (" in " ".join(said.split())
    assert max(len(line) for line in text.splitlines()) <= 115
    for row in pd.read_csv(out / "tables/flops_to_reach.tsv", sep="\t").to_dict("records"):
        tokens = (60.0 / (3.2 - 2.0 - 20.0 * row["n_params"] ** -0.30)) ** (1 / 0.35)
        assert row["smoothed_flops"] == pytest.approx(6 * row["n_params"] * tokens, rel=0.03)


def test_the_same_request_gives_the_same_numbers(tmp_path):
    runs = load(table_of_runs(tmp_path / "runs.csv"))
    request = Request(fits=("chinchilla",), seed=7, settings=FitSettings(n_bootstrap=20))
    one, two = (analyse(runs, request).results.fits for _ in range(2))
    assert one == two
    assert list(one) == ["chinchilla"]
    other = analyse(runs, Request(fits=("chinchilla",), seed=8, settings=FitSettings(n_bootstrap=20))).results.fits
    assert one != other


def test_runs_with_one_evaluation_each_have_a_law_and_no_curve(tmp_path):
    rng = np.random.default_rng(0)
    rows = [(n, d, float(chinchilla(n, np.array([d]))[0]) + rng.normal(0, 0.002)) for n in SIZES for d in TOKENS]
    pd.DataFrame(rows, columns=pd.Index(["N", "D", "loss"])).to_csv(tmp_path / "ends.csv", index=False)
    analysis = analyse(load(tmp_path / "ends.csv"), Request(settings=FitSettings(n_bootstrap=50)))
    fits = analysis.results.fits
    assert fits["chinchilla"]["all runs"].status == "identified"
    isoflop = fits["isoflop"]["all runs"]
    assert isoflop.status == "identified" and isoflop.details["source"] == "final losses"
    assert "one evaluation each" in analysis.reached["all runs"].sentence
    with style():
        for draw in FIGURES.values():
            draw(analysis.results, SizeScale(analysis.results.sizes))


def test_a_bad_table_is_an_error_and_nothing_else(tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("run,N,D,loss\na,5M,x,2.5\n")
    with pytest.raises(SystemExit) as stop:
        main(["fit", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "out")])
    assert str(stop.value).startswith("error: ") and "line 2" in str(stop.value)
    assert not (tmp_path / "out").exists()


def test_groups_have_file_names_that_differ():
    names = file_prefixes(["a b", "a-b", "rw, tuned/long"])
    assert len(set(names)) == 3
    assert all(letter.isalnum() or letter in "._-" for name in names for letter in name)


def test_protein_curves_cost_more_to_reach_the_papers_plateau_the_larger_the_model():
    """MLM curves of Cheng et al. 2024: FLOPs to 2.455 nats by size, read independently to three digits."""
    imported = load(published("cheng_scaling_plm", "curves.csv.gz")).frame
    masked = imported.loc[imported["schedule"] == "MLM"]
    reached = flops_to_reach(masked, smooth(masked, level=0.0), loss=2.455)
    by_size = dict(zip(reached.rows["n_params"], reached.rows["flops"], strict=True))
    want = {6291456: 2.27e17, 13192320: 2.98e17, 33690624: 6.98e17, 84934656: 1.12e18, 154448288: 1.75e18}
    for size, flops in (want | {472435184: 4.90e18, 1208881136: 2.05e19}).items():
        assert f"{by_size[size]:.2e}" == f"{flops:.2e}", size
    assert "FLOPs to reach 2.455 nats rise with N" in reached.sentence
    assert reached.exponent == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_the_workflow_does_the_same_without_data_or_training(tmp_path):
    table_of_runs(tmp_path / "runs.csv")
    settings = ["runs=runs.csv", "analysis={n_bootstrap: 20, n_envelope_points: 200}"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    command += ["fits", "--cores", "1", "--config", *settings]
    done = forked.run(command)
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "results"
    assert {path.name for path in results.iterdir()} == {"logs", "own_runs"}
    assert "Chinchilla, identified" in (results / "own_runs/summary.txt").read_text()
    missing = forked.run([*command[:-2], "runs=absent.csv"])
    assert missing.returncode != 0
    assert "absent.csv" in missing.stdout + missing.stderr
