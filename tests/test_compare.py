"""Comparisons of studies, schedules and sets whose laws are known: what differs is found, what does not is not."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import forked
import results_data
from compared_data import as_imported, write_results
from conftest import ROOT
from plmscale.cli.main import main
from plmscale.compare.arms import apart, caveats, comparisons
from plmscale.compare.contrasts import DIFFER, NO_INTERVAL, NOT_TOLD_APART, difference, ratio, told
from plmscale.compare.figures import envelope_of, envelopes_figure
from plmscale.compare.matched import loss_at_tokens, mean_over
from plmscale.compare.report import find, summary_text
from plmscale.compare.studies import ComparedStudy, read_studies, read_study, short_names
from plmscale.compare.tables import TABLES
from plmscale.errors import InputError
from plmscale.estimates import Estimate
from plmscale.presentation.figure_style import FORMATS, style
from plmscale.study.catalog import COMPARISON_TABLES
from plmscale.study.flops import count_params
from results_data import SETS, SETTINGS, chinchilla_loss, make_results, make_study

ALPHA, BETA, E = 0.30, 0.22, 1.9


def better_data(n_params, n_tokens):
    """`chinchilla_loss` with other constants of the data: E 1.9, not 2; B 8, not 60; beta 0.22, not 0.35."""
    return E + 20.0 * n_params**-ALPHA + 8.0 * n_tokens**-BETA


CONSTANT = {"schedules": ("constant",)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three studies: two of one law with other noise, and one of another law."""
    base = tmp_path_factory.mktemp("studies")
    laws = {"first": (chinchilla_loss, 0), "again": (chinchilla_loss, 1), "better": (better_data, 2)}
    with pytest.MonkeyPatch.context() as patch:  # under C = 6ND the exponents are those of the law
        patch.setattr(results_data, "_flops", lambda cell, n_tokens: 6.0 * count_params(cell.model) * n_tokens)
        for name, (law, noise) in laws.items():
            results = make_results(make_study(**CONSTANT), law=law, noise=noise)
            write_results(results, base / name / "results")
    return base


def found(folders: Path, *names: str):
    members = read_studies([folders / name for name in names])
    (one,) = comparisons(members)
    return members, find(one)


def row(table: pd.DataFrame, **wanted):
    for key, value in wanted.items():
        table = table.loc[table[key] == value]
    (only,) = table.to_dict("records")
    return only


def test_the_interval_of_a_difference_is_newcombes():
    """Newcombe 1998, Statistics in Medicine 17, 873, table II (a), method 10: 56/70 - 48/80, 0.0524 to 0.3339."""
    ones = []
    for successes, n in ((56, 70), (48, 80)):
        ends = stats.binomtest(successes, n).proportion_ci(method="wilson")
        ones.append(Estimate(successes / n, ends.low, ends.high))
    of_both = difference(*ones)
    assert (of_both.low, of_both.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    quotient = ratio(Estimate(8.0, 4.0, 16.0), Estimate(2.0, 2.0, 2.0))
    assert (quotient.value, quotient.low, quotient.high) == pytest.approx((4.0, 2.0, 8.0))


def test_overlapping_intervals_may_differ_and_half_open_ones_are_used():
    one, other = Estimate(0.50, 0.46, 0.54), Estimate(0.43, 0.39, 0.47)
    assert one.low is not None and other.high is not None and one.low < other.high
    assert told(difference(one, other)) == DIFFER
    assert told(difference(one, Estimate(0.47, 0.43, 0.51))) == NOT_TOLD_APART
    bounded_below = difference(Estimate(0.8, 0.7, None), Estimate(0.3, 0.2, 0.4))
    assert bounded_below.high is None and told(bounded_below) == DIFFER
    assert told(difference(Estimate(0.5, 0.4, None), Estimate(0.5, 0.4, 0.6))) == NO_INTERVAL
    assert told(difference(Estimate(0.5), Estimate(0.4))) == NO_INTERVAL


def test_the_mean_of_pairs_is_students_paired_t():
    rng = np.random.default_rng(0)
    one, other = rng.normal(2.5, 0.1, 7), rng.normal(2.4, 0.1, 7)
    ends = stats.ttest_rel(one, other).confidence_interval(0.95)
    mean = mean_over(one - other)
    assert (mean.low, mean.high) == pytest.approx((ends.low, ends.high))
    assert mean_over(np.array([0.1, 0.2])) == Estimate(pytest.approx(0.15))
    assert mean_over(np.array([])) == Estimate(None)


def test_studies_of_one_law_are_not_told_apart(folders):
    _, same = found(folders, "first", "again")
    for fit in ("envelope", "isoflop", "chinchilla"):
        assert row(same.tables["differences"], fit=fit, parameter="a")["verdict"] == NOT_TOLD_APART, fit
    for parameter in ("alpha", "beta", "E"):
        assert row(same.tables["differences"], fit="chinchilla", parameter=parameter)["verdict"] == NOT_TOLD_APART
    training = row(same.tables["matched_losses"], kind="training")
    assert training["verdict"] == NOT_TOLD_APART and training["n_models"] == 6 and training["n_pairs"] == 18
    assert same.tables["costs"]["flops"].nunique() == 1


def test_another_law_is_found_with_its_sign_and_size(folders):
    members, other = found(folders, "first", "better")
    table = other.tables["differences"]
    truth = {"a": 0.35 / 0.65 - BETA / (ALPHA + BETA), "beta": 0.35 - BETA, "E": 2.0 - E}
    for parameter, value in truth.items():
        one = row(table, fit="chinchilla", parameter=parameter)
        assert one["verdict"] == DIFFER and one["low"] < value < one["high"], parameter
    assert row(table, fit="chinchilla", parameter="alpha")["verdict"] == NOT_TOLD_APART
    for fit in ("envelope", "isoflop"):
        one = row(table, fit=fit, parameter="a")
        assert one["verdict"] == DIFFER and one["value"] == pytest.approx(truth["a"], abs=0.015)
    text = " ".join(summary_text(members, [other]).split())
    assert "Chinchilla: a is larger in first" in text and "better is lower" in text
    assert not any(phrase in text for phrase in ("Chinchilla: α", "not on one scale"))


def test_losses_of_matched_runs_are_those_of_the_laws(folders):
    _, other = found(folders, "first", "better")
    tokens = np.array(list(SETS.values()), dtype=float)
    truth = float(np.mean(chinchilla_loss(1e5, tokens) - better_data(1e5, tokens)))
    for kind, tolerance in (("training", 0.002), ("holdout", 1e-9)):
        one = row(other.tables["matched_losses"], kind=kind)
        assert one["value"] == pytest.approx(truth, abs=tolerance) and one["n_models"] == 6
        assert one["verdict"] == DIFFER
    sizes = other.tables["optimal_sizes"]
    known = sizes.loc[sizes["ratio_value"].notna()]
    assert len(known)
    assert np.allclose(known["ratio_value"].astype(float), (known["first_value"] / known["second_value"]).astype(float))


def test_sets_are_compared_at_equal_tokens(folders, monkeypatch):
    """Runs on larger sets are read where those on smaller ones end; the holdout only at ends that are alike."""
    member = read_study(folders / "first", name="first")
    (by_set,) = comparisons([member], settings=SETTINGS)
    tables = find(by_set).tables
    assert by_set.by == "set" and len(by_set.pairs) == 3
    training = row(tables["matched_losses"], first="all_20k", second="half", kind="training")
    assert training["verdict"] == NOT_TOLD_APART and abs(training["value"]) < 0.003
    runs = tables["matched_runs"]
    assert (runs["tokens_first"] == runs["tokens_second"]).all() and "holdout" not in set(runs["kind"])
    assert set(runs["tokens_first"]) == {SETS["half"], SETS["tenth"]}
    reason = row(tables["matched_losses"], first="all_20k", second="half", kind="holdout")["reason"]
    assert reason == "no two runs match in size, seed, set and tokens"
    assert set(tables["exponents"]["fit"]) == {"envelope", "isoflop"}
    monkeypatch.setitem(results_data.SETS, "half", 38_000_000)
    alike = make_results(make_study(**CONSTANT), fits=False)
    (by_set,) = comparisons([ComparedStudy("alike", alike.curves, {}, alike.records)], settings=SETTINGS)
    holdout = row(find(by_set).tables["matched_losses"], first="all_20k", second="half", kind="holdout")
    assert holdout["n_models"] == 6 and holdout["verdict"] == DIFFER and holdout["value"] < 0


def test_runs_of_schedules_that_know_their_end_are_not_read_before_it():
    results = make_results(make_study(schedules=("constant", "cosine"), widths=("w32", "w80")), fits=False)
    member = ComparedStudy("one", results.curves, {}, results.records)
    by_schedule, by_set = (find(one) for one in comparisons([member], settings=SETTINGS))
    of_sets = by_set.tables["matched_runs"]
    assert set(of_sets["first"]) == {"all_20k, constant", "half, constant"}
    between = row(by_schedule.tables["matched_losses"], kind="training")
    assert between["n_pairs"] == 6 and between["n_models"] == 2 and between["low"] is None
    assert between["reason"] == "too few sizes for an interval: 2, 3 are needed"


def test_a_loss_is_read_at_tokens_inside_the_run_only(folders):
    curve = read_study(folders / "first", name="first").curves[0]
    inside = float(np.sqrt(curve.n_tokens[0] * curve.n_tokens[-1]))
    assert loss_at_tokens(curve, inside) == pytest.approx(float(chinchilla_loss(curve.n_params, inside)), abs=0.005)
    assert loss_at_tokens(curve, curve.n_tokens[-1]) == pytest.approx(curve.loss[-1])
    assert np.isnan(loss_at_tokens(curve, 2 * curve.n_tokens[-1]))


def test_the_envelope_of_runs_that_were_evaluated_once_goes_through_the_best_of_them(folders):
    """As branches of a trunk are: each lies between two budgets of any grid."""
    (comparison,) = comparisons(read_studies([folders / "first", folders / "again"]))
    arm = comparison.arms[0]
    ends = [
        replace(c, **{key: getattr(c, key)[-1:] for key in ("flops", "loss", "n_tokens", "raw_loss")})
        for c in arm.curves
        if c.flops.size
    ]
    flops, loss = envelope_of(replace(arm, curves=ends))
    for curve in ends:
        cheaper = [float(c.loss[-1]) for c in ends if c.flops[-1] <= curve.flops[-1]]
        assert loss[np.searchsorted(flops, curve.flops[-1])] == pytest.approx(min(cheaper), rel=1e-9)


def test_what_is_on_two_scales_is_said_and_not_compared(folders, tmp_path):
    results = make_results(make_study(**CONSTANT), noise=3)
    results.subsets["holdout"]["sha256"] = "f" * 64
    write_results(results, tmp_path / "other")
    members = read_studies([folders / "first", tmp_path / "other"])
    assert [member.setup.convention for member in members] == ["6nd", "appendix_e"]
    (one,) = comparisons(members)
    tables = find(one).tables
    envelope = row(tables["differences"], fit="envelope", parameter="a")
    assert envelope["value"] is None
    assert envelope["reason"] == "FLOPs are counted by 6ND in the first and by appendix E in the second"
    assert row(tables["differences"], fit="chinchilla", parameter="a")["verdict"] == NOT_TOLD_APART
    assert tables["optimal_sizes"]["ratio_value"].isna().all()
    assert row(tables["matched_losses"], kind="training")["verdict"] == NOT_TOLD_APART
    holdout = row(tables["matched_losses"], kind="holdout")
    assert holdout["value"] is None and holdout["reason"] == "the holdouts are other proteins"
    assert sum("first and other: " in sentence for sentence in caveats(members)) == 2
    with style():
        assert [ax.get_title("left") for ax in envelopes_figure(one).axes] == ["first", "other"]


def test_other_lengths_and_settings_are_said(folders, tmp_path):
    study = make_study(**CONSTANT)
    config = study.config.model_copy(update={"max_length": 128})
    training = config.training.model_copy(update={"batch_tokens": 100_000, "warmup_tokens": 7})
    study = replace(study, config=config.model_copy(update={"training": training}))
    write_results(make_results(study, fits=False), tmp_path / "short")
    members = read_studies([folders / "first", tmp_path / "short"])
    setup = [member.setup for member in members]
    assert [one.convention for one in setup] == ["6nd", "appendix_e"]
    long, short = (replace(one, convention="appendix_e") for one in setup)
    assert apart(long, short, "compute") == "FLOPs are counted at lengths of 256 and 128"
    assert apart(setup[0], replace(short, convention="6nd"), "compute") == ""
    assert apart(*setup, "loss") == "max_length is 256 and 128"
    kinds = [replace(setup[0], final_loss=kind) for kind in ("holdout", "training")]
    assert apart(*kinds, "loss") == "final losses are of the holdout in the first and of the training in the second"
    assert apart(*kinds, "compute") == apart(setup[0], kinds[0], "loss") == ""
    text = " ".join(caveats(members))
    assert "batches of 50000 and 100000 tokens" in text and "other training.warmup_tokens: part" in text


def test_imported_runs_are_compared_with_the_caveat(folders, tmp_path):
    folder = as_imported(folders / "better/results", tmp_path / "own_runs", group="all runs")
    members = read_studies([folders / "first", folder], names=["mine", "theirs"])
    (one,) = comparisons(members)
    assert [arm.label for arm in one.arms] == ["mine", "theirs"]
    assert row(find(one).tables["differences"], fit="chinchilla", parameter="a")["verdict"] == DIFFER
    text = " ".join(caveats(members))
    assert "theirs: how its FLOPs are counted is not recorded" in text and "theirs: imported runs" in text


def test_failed_and_left_runs_are_counted_rightly(tmp_path):
    cells = ("w32/half/constant/seed0", "w32/all_20k/constant/seed0")
    study = make_study(**CONSTANT, widths=("w32", "w80"))
    results = make_results(study, diverged=cells[:1], interrupted=cells[1:], fits=False)
    left = json.loads(json.dumps(results.records[-1]))
    left["cell"]["model"]["name"] = "of_an_earlier_study"
    member = ComparedStudy("one", results.curves, {}, [*results.records, left])
    assert len(member.runs) == 6
    assert member.runs.set_index("run")["status"].to_dict() | dict.fromkeys(cells, "diverged") == {
        record["run"]: record["status"] for record in member.runs.to_dict("records")
    }
    assert "of_an_earlier_study" not in set(member.runs["model"])


def test_the_command_writes_everything(folders, tmp_path, capsys):
    out = tmp_path / "out"
    main(["compare", str(folders / "first"), str(folders / "better"), "--out", str(out), "--names", "old", "new"])
    assert {path.name for path in (out / "tables").iterdir()} == {
        f"{table}.{suffix}" for table in COMPARISON_TABLES for suffix in ("tsv", "md", "tex")
    }
    figures = {f"{name}_by_study.{suffix}" for name in ("exponents", "envelopes", "matched") for suffix in FORMATS}
    for folder in (out / "figures", out / "figures/column"):
        assert {path.name for path in folder.glob("*.*") if path.suffix != ".csv"} == figures
    page = (out / "report.html").read_text()
    assert "What differs between these studies?" in page and 'id="table-differences"' in page
    assert all(f'id="figure-{name}_by_study"' in page for name in ("exponents", "envelopes", "matched"))
    text = (out / "summary.txt").read_text()
    assert text in capsys.readouterr().out and max(map(len, text.splitlines())) <= 115
    record = json.loads((out / "comparison.json").read_text())
    assert [(one["name"], one["convention"]) for one in record["studies"]] == [
        ("old", "6nd"),
        ("new", "6nd"),
    ]
    differences = pd.read_csv(out / "tables/differences.tsv", sep="\t")
    said = differences.loc[differences["verdict"] == DIFFER]
    assert len(said) and ((said["low"] > 0) | (said["high"] < 0)).all()


def test_the_catalogue_names_the_tables():
    assert tuple(TABLES) == COMPARISON_TABLES


def test_bad_input_is_said(folders, tmp_path):
    first = folders / "first"
    with pytest.raises(SystemExit, match="error: compare: the folder .*absent.* does not exist"):
        main(["compare", str(tmp_path / "absent"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
    cases = {
        r"named twice": lambda: read_studies([first, first / "../first"]),
        r"2 folders and the names x": lambda: read_studies([first, folders / "again"], names=["x"]),
        r"holds neither analysis/curves.parquet": lambda: read_studies([tmp_path]),
        r"no folder": lambda: read_studies([]),
        r"no two to compare by schedule": lambda: comparisons(read_studies([first]), by=["schedule"]),
        r"cannot compare by colour": lambda: comparisons(read_studies([first]), by=["colour"]),
    }
    for message, call in cases.items():
        with pytest.raises(InputError, match=message):
            call()
    broken = tmp_path / "broken"
    (broken / "analysis").mkdir(parents=True)
    (broken / "analysis/curves.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="fits has no fits"):
        read_study(broken, name="broken")
    (broken / "fits").mkdir()
    (broken / "fits/envelope.json").write_text("{}")
    with pytest.raises(InputError, match="curves.parquet: not a table of curves"):
        read_study(broken, name="broken")
    (broken / "analysis/curves.parquet").write_bytes((first / "results/analysis/curves.parquet").read_bytes())
    with pytest.raises(InputError, match="envelope.json: not a fit"):
        read_study(broken, name="broken")


def test_names_are_the_shortest_that_differ():
    assert short_names([Path("/x/a/results"), Path("/x/b/results")]) == ["a", "b"]
    assert short_names([Path("/x/a/own"), Path("/y/a/own")]) == ["x/a/own", "y/a/own"]
    assert short_names([Path("/results")]) == ["results"]


@pytest.mark.slow
def test_the_workflow_does_the_same(folders, tmp_path):
    folders_given = f"compare=[{folders / 'first'},{folders / 'better'}]"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    command += ["compare", "--cores", "1", "--config"]
    done = forked.run([*command, folders_given, "comparison={names: [x, y]}"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"logs", "comparison"}
    assert "Chinchilla: a is larger in x" in (tmp_path / "results/comparison/summary.txt").read_text()
    missing = forked.run([*command, "compare=[absent]"])
    assert missing.returncode != 0 and "absent" in missing.stdout + missing.stderr
