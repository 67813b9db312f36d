"""Tables and summary: numbers against appendices E and F by hand, and the three formats against each other."""

import csv
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from plmscale.plan.plan import plan
from plmscale.presentation.formats import with_interval
from plmscale.presentation.table_html import slim
from plmscale.presentation.tables import Column, Table, frame_to_tsv, to_latex, to_markdown, to_tsv
from plmscale.provenance import dependencies
from plmscale.published import paper
from plmscale.report.law_lines import LINE
from plmscale.report.study_warnings import initial_weights_warning
from plmscale.report.summary import summary_text, write_summary
from plmscale.report.tables.paper import DIFFERENCES, ITEMS, paper_table
from plmscale.report.tables.study import BUILDERS, write_tables
from plmscale.results.outcomes import outcomes
from plmscale.study import catalog
from plmscale.study.catalog import IF_ANY, TABLES
from plmscale.study.grid import Cell
from results_data import PAPERS_5M, SETTINGS, UNIGRAM_ENTROPY, make_results, make_study, no_learning, with_findings

DIVERGED = "w32/half/constant/seed0"
INTERRUPTED = "w48/tenth/token_decay/seed0"

DATA = Path(__file__).parent / "data/hostile"


@pytest.fixture(scope="module")
def results():
    return make_results(make_study(), diverged=(DIVERGED,), interrupted=(INTERRUPTED,))


@pytest.fixture(scope="module")
def barren():
    """Nothing was learned: no law is identified."""
    return make_results(make_study(), law=no_learning)


@pytest.fixture(scope="module")
def hopeless():
    """One size, one set, one schedule, and the run diverged at once: there is no fit of any kind."""
    study = make_study(schedules=("constant",), widths=("w32",), sets=("tenth",))
    return make_results(study, diverged=("w32/tenth/constant/seed0",))


@pytest.fixture(scope="module")
def written(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    write_tables(results, folder)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as table:
        return list(csv.DictReader(table, delimiter="\t"))


def test_parameters_and_flops_equal_the_appendices_by_hand(results):
    study = replace(results.study, models=(PAPERS_5M,))
    study = replace(study, config=study.config.model_copy(update={"max_length": 1024}))
    tables = {
        name: BUILDERS[name](replace(results, study=study)).data for name in ("parameters", "forward_flops", "models")
    }
    # Appendix F with V = 29, d = 320, n = 4, k·h = 320, f = 1280.
    assert dict(zip(tables["parameters"]["term"], tables["parameters"]["n_params"], strict=True)) == {
        "embeddings": 9_280,
        "qkv": 1_228_800,
        "attention_output": 409_600,
        "ffn": 3_276_800,
        "head": 111_680,
        "total": 5_036_160,
    }
    # Appendix E with s = 1024: for example 2·s·V·d = 2 · 1024 · 29 · 320.
    assert dict(zip(tables["forward_flops"]["term"], tables["forward_flops"]["flops"], strict=True)) == {
        "embeddings": 19_005_440,
        "qkv": 2_516_582_400,
        "key_query": 2_684_354_560,
        "softmax": 251_658_240,
        "softmax_value": 2_684_354_560,
        "attention_output": 838_860_800,
        "ffn": 6_710_886_400,
        "head": 228_720_640,
        "total": 15_934_423_040,
    }
    model = tables["models"].iloc[0]
    assert (model["n_params"], model["key_size"]) == (5_036_160, 16)
    assert model["train_flops_per_token"] == 3 * 15_934_423_040 / 1024


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_written_in_three_formats(written, name):
    rows = rows_of(written / f"{name}.tsv")
    assert rows or name in IF_ANY, "only what not every study does may be empty"
    header = (written / f"{name}.tsv").read_text().splitlines()[0].split("\t")
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9_]*", column) for column in header)
    markdown = (written / f"{name}.md").read_text()
    assert TABLES[name].title in markdown
    table = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert not re.search(r"\bnan\b|\bNone\b|<NA>", "\n".join(table))


def test_a_column_that_says_the_same_in_every_row_is_said_below_the_table_once():
    """The table as data keeps all columns; what a row is there for, and tables of one or two rows, stay whole."""
    data = pd.DataFrame({"run": ["a", "b", "c"], "seed": 0, "value": 1.5, "note": None})
    columns = (Column("Run", "run"), Column("Seed", "seed", "count"), Column("Value", "value", "number"))
    table = Table(data, (*columns, Column("Note", "note")), notes=("A note.",), number="value")
    shown = slim(table)
    assert [column.label for column in shown.columns] == ["Run", "Value"]
    assert shown.cells == [["a", "1.50"], ["b", "1.50"], ["c", "1.50"]]
    assert shown.notes == ("In every row: Seed: 0.", "Without a value in any row: Note.", "A note.")
    assert to_tsv(shown) == to_tsv(table)
    assert slim(replace(table, data=data.head(2))).columns == table.columns


@pytest.mark.parametrize("name", TABLES)
def test_html_holds_the_same_cells_and_nothing_from_elsewhere(results, written, name):
    text = (written / f"{name}.html").read_text()
    page = ElementTree.fromstring(
        text.split("\n", 1)[1]
        .replace('<meta charset="utf-8">', "")
        .replace("<sub>", "<sub>_")
        .replace("<sup>", "<sup>^")
    )
    rows = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
    table = slim(BUILDERS[name](results))
    assert rows == [[column.label for column in table.columns], *table.cells]
    assert not re.search(r"https?:|<script|<link", text)


@pytest.mark.parametrize("name", TABLES)
def test_latex_is_balanced_and_escaped(written, name):
    text = (written / f"{name}.tex").read_text()
    assert len(re.findall(r"\\begin\{", text)) == len(re.findall(r"\\end\{", text))
    body = text.split(r"\endlastfoot")[1].split(r"\end{longtable}")[0]
    columns = len(re.findall(r"[lr]|p\{", re.search(r"\\begin\{longtable\}\{(.*)\}", text)[1]))
    for line in body.strip().splitlines():
        assert line.endswith(r"\\")
        assert len(re.findall(r"(?<!\\)&", line)) == columns - 1
    unescaped = re.sub(r"\\[_&%$#{}]", "", "\n".join(line for line in text.splitlines() if not line.startswith("%")))
    assert unescaped.count("{") == unescaped.count("}")
    assert unescaped.count("$") % 2 == 0
    outside = re.sub(r"\$[^$]*\$", "", unescaped)
    assert not re.search(r"[_^%#]|[^\x00-\x7F“”ÅÄÖäöüß]", outside)


def test_numbers_round_trip_through_the_tsv(results, written):
    rows = {row["run"]: row for row in rows_of(written / "runs.tsv")}
    for expected in outcomes(results).to_dict("records"):
        row = rows[expected["run"]]
        keys = ("n_params", "n_tokens", "flops", "final_loss", "holdout_perplexity", "seconds", "world")
        for key in (*keys, "holdout_loss", "holdout_loss_low", "holdout_loss_high"):
            assert (float(row[key]) if row[key] else None) == expected[key]
        assert "." not in row["n_tokens"]


def test_laws_that_are_not_identified_have_a_reason_instead_of_a_number(barren, tmp_path):
    write_tables(barren, tmp_path)
    rows = rows_of(tmp_path / "law_parameters.tsv")
    exponents = [row for row in rows if row["parameter"] in ("a", "b", "alpha", "beta", "alpha_N", "alpha_D")]
    assert len(exponents) == 2 * (2 + 2 + 4 + 2)
    assert {row["status"] for row in exponents} <= {"not_identified", "failed"}
    assert all(row["value"] == row["low"] == row["high"] == "" and row["reason"] for row in exponents)
    assert "| – | not identified |" in (tmp_path / "law_parameters.md").read_text()
    sizes = rows_of(tmp_path / "optimal_sizes.tsv")
    assert {row["status"] for row in sizes} == {"not identified"}
    assert all(row["n_params"] == row["tokens_per_param"] == "" for row in sizes)


def test_values_of_laws_are_those_of_the_fits(results, written):
    for row in rows_of(written / "law_parameters.tsv"):
        fit = results.fits[row["fit"]][row["schedule"]]
        if row["parameter"].startswith("held_out_"):
            error = fit.details["held_out"][row["parameter"].removeprefix("held_out_")]["rms_log_error"]
            assert row["value"] == ("" if error is None else str(error)) and not row["low"] + row["high"]
            assert fit.status in ("identified", "weakly_identified")
            continue
        one = fit.estimates[row["parameter"]]
        assert [float(row[key]) if row[key] else None for key in ("value", "low", "high")] == [
            one.value,
            one.low,
            one.high,
        ]


@pytest.fixture(scope="module")
def beside(results):
    """The table of the paper by schedule, item, quantity, level and budget."""
    rows = results.findings.paper.to_dict("records")
    return {(r["schedule"], r["item"], r["quantity"], r["level"] or r["flops"]): r for r in rows}


def test_the_papers_numbers_are_those_it_prints(beside):
    """Sections 3.1 to 3.4, tables 1 and 2, figure 3 of arXiv 2406.07249, typed from its text."""
    printed = {key[1:]: row["paper"] for key, row in beside.items() if key[0] in ("constant", None)}
    assert printed == {
        ("exponent", "a", None): 0.27,
        ("exponent", "b", None): 0.71,
        ("kaplan", "alpha_N", None): 0.0063,
        ("kaplan", "alpha_D", None): 0.0074,
        ("kaplan", "N_c", None): 4.85e79,
        ("kaplan", "D_c", None): -1.33e69,
        ("plateau", "plateau_loss", None): 2.455,
        ("line", "slope", 0.9): -2.22e6,
        ("line", "slope", 0.95): -2.17e6,
        ("line", "slope", 1.0): -2.19e6,
        ("line", "intercept", 0.9): 3.04e14,
        ("line", "intercept", 0.95): 2.61e14,
        ("line", "intercept", 1.0): 2.38e14,
        ("size", "n_opt", 1e17): 5.06e10,
        ("size", "n_opt", 1e18): 1.57e11,
        ("size", "n_opt", 1e19): 1.06e12,
        ("size", "n_opt", 1e20): 7.35e12,
        ("perplexity", "serrano_35m", None): 11.43,
        ("perplexity", "xtrimopglm_100b", None): 10.81,
        ("perplexity", "esm2_15b", None): 10.98,
        ("perplexity", "cramming", None): 13.72,
    }


def test_the_papers_procedure_is_numpys_least_squares_through_the_whole_envelope(results, beside):
    """a and b by `numpy.polyfit` of the best run at each of as many FLOPs, edge optima included."""
    curves = [curve for curve in results.curves if curve.schedule == "constant" and curve.flops.size > 1]
    flops = np.geomspace(min(c.flops[0] for c in curves), max(c.flops[-1] for c in curves), SETTINGS.n_envelope)
    flops[-1] = max(c.flops[-1] for c in curves)
    losses = np.array([curve.loss_at(flops) for curve in curves])
    best = np.nanargmin(losses, axis=0)
    sizes = np.array([curve.n_params for curve in curves])[best]
    tokens = [float(curves[run].tokens_at(c)) for run, c in zip(best, flops, strict=True)]
    for key, y in (("a", sizes), ("b", tokens)):
        row = beside["constant", "exponent", key, None]
        assert row["procedure"] == pytest.approx(np.polyfit(np.log(flops), np.log(y), 1)[0], abs=2e-3)
        own = results.fits["envelope"]["constant"].estimates[key]
        assert (row["value"], row["low"], row["high"]) == (own.value, own.low, own.high)
        assert row["procedure"] != row["value"]


def test_kaplans_constants_stand_beside_our_least_squares_without_signs(results, beside):
    found = results.fits["kaplan"]["constant"].details["unbounded"]
    assert beside["constant", "kaplan", "alpha_N", None]["procedure"] == found["alpha_N"]
    constant = beside["constant", "kaplan", "D_c", None]
    assert constant["procedure_log10"] == found["log10_abs_D_c"] and constant["procedure_sign"] == found["sign_D_c"]
    if abs(found["log10_abs_D_c"]) < 300:
        assert np.log10(abs(constant["procedure"])) == pytest.approx(found["log10_abs_D_c"])


def test_a_constant_beyond_floats_is_a_power_of_ten_and_a_polynomial_has_one_size_or_none():
    assert paper._constant(412.7, -1) == {"procedure": None, "procedure_log10": 412.7, "procedure_sign": -1}
    assert paper._constant(3.0, -1)["procedure"] == -1000
    assert paper.size_of_polynomial([1e9, 2.0, 3.0], 1e9 + 2e4 + 3e8) == pytest.approx(1e4)
    assert paper.size_of_polynomial([3e14, -2e6], 1e17) is None, "figure 3's line falls below zero, never to a budget"
    assert paper.size_of_polynomial([5.0, -6.0, 1.0], -3.0) is None, "two sizes are no size"
    assert paper.size_of_polynomial([], 1e17) is None


def test_perplexities_are_the_lowest_of_the_study_and_of_a_run_that_stopped(results):
    table = outcomes(results)
    row = {"run": "x", "n_params": 3e7, "holdout_perplexity": 12.0, "stopped": "plateau"}
    more = (
        pd.concat([table, pd.DataFrame([dict.fromkeys(table.columns) | row])], ignore_index=True)
        .astype(object)
        .where(lambda frame: frame.notna(), None)
    )
    rows = {r["quantity"]: r for r in paper.beside_the_paper(results, more).to_dict("records")}
    assert (rows["serrano_35m"]["procedure"], rows["serrano_35m"]["run"]) == (12.0, "x")
    lowest = table.loc[table["holdout_perplexity"].astype(float).idxmin()]
    assert (rows["esm2_15b"]["value"], rows["esm2_15b"]["run"]) == (lowest["holdout_perplexity"], lowest["run"])
    assert rows["esm2_15b"]["low"] == pytest.approx(np.exp(lowest["holdout_loss_low"]))
    none = paper.beside_the_paper(results, table.assign(holdout_perplexity=None)).to_dict("records")
    assert {r["run"] for r in none} == {None}


def test_every_row_of_the_paper_says_what_differs_and_tables_of_laws_have_no_column_for_it(written):
    text = (written / "paper.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 2 * 17 + 4
    said = {item: f"- {name}. {DIFFERENCES[item]}" for item, name in ITEMS.items()}
    assert all(note in text for note in said.values()), "what differs of each kind of number, once"
    for line in rows:
        cells = [cell.strip() for cell in line.strip("| \n").split("|")]
        assert cells[4] or cells[5], f"{line}: no number of ours, and no reason"
        assert cells[1] in ("decaying with tokens", "constant", "–"), "schedules as in all tables"
    for name in ("law_parameters", "optimal_sizes"):
        assert "aper" not in (written / f"{name}.tsv").read_text().partition("\n")[0]


def test_constants_of_a_law_that_is_not_identified_say_so_beside_them(results):
    found = results.findings.paper.to_dict("records")
    doubtful = [row | {"value": None, "status": "not_identified"} for row in found if row["item"] == "kaplan"]
    frame = pd.DataFrame(doubtful, dtype=object)
    changed = replace(results, found=replace(results.findings, paper=frame))
    cells = [row[3] for row in paper_table(changed).cells]
    assert len(cells) == 8 and all(cell == "–" or cell.endswith(", not identified") for cell in cells)
    assert any(cell != "–" for cell in cells)


def test_data_sets_hold_the_counts_of_the_files(results, written):
    rows = {row["name"]: row for row in rows_of(written / "data_sets.tsv")}
    assert list(rows) == ["all_20k", "half", "tenth", "close_30", "holdout"]
    for name, row in rows.items():
        for key in ("n_sequences", "n_tokens", "n_residues", "n_residues_cut", "tokens_325_rule", "n_over_length"):
            assert int(row[key]) == results.subsets[name][key]
    assert [rows[name]["trained_on"] for name in rows] == ["yes", "yes", "yes", "no", "no"]
    assert (rows["close_30"]["min_identity"], rows["holdout"]["largest_identity"]) == ("0.3", "0.481")


def test_runs_that_failed_are_shown_with_their_reason(written):
    rows = {row["run"]: row for row in rows_of(written / "runs.tsv")}
    assert len(rows) == 36
    assert (rows[DIVERGED]["status"], rows[DIVERGED]["holdout_perplexity"]) == ("diverged", "")
    assert (rows[INTERRUPTED]["status"], rows[INTERRUPTED]["final_loss"]) == ("diverged", "")
    assert f"{DIVERGED}: diverged, the loss was nan at step 1." in (written / "runs.md").read_text()


def test_a_run_that_stopped_at_its_plateau_is_finished_and_says_so(results):
    last = results.records[-1] | {"stopped": "plateau", "reason": "the smoothed loss was 2.5 at 7 tokens"}
    table = BUILDERS["runs"](with_findings(replace(results, records=[*results.records[:-1], last])))
    path = Cell.from_json(last["cell"]).path
    assert table.data.set_index("run").loc[path, "status"] == "done"
    notes = [note for note in table.notes if "stopped" in note]
    assert notes == [f"{path}: stopped at the plateau, the smoothed loss was 2.5 at 7 tokens."]


def test_plan_is_that_of_the_counted_tokens(results, written):
    counted = {name: counts["n_tokens"] for name, counts in results.subsets.items()}
    expected = plan(results.study, counted)
    rows = rows_of(written / "plan.tsv")
    assert [float(row["device_hours"]) for row in rows] == list(expected["device_hours"])
    assert {row["tokens_from"] for row in rows} == {"counted"}


def test_planned_and_actual_hours_add_up(results):
    table = results.findings.costs
    cells, sums = table.loc[table["model"] != "all"], table.loc[table["model"] == "all"]
    assert list(sums["schedule"]) == ["token_decay", "constant", "study"]
    seconds = {
        f"{r['cell']['model']['name']}/{r['cell']['subset']}/{r['cell']['schedule']}/seed0": r for r in results.records
    }
    for cell in cells.to_dict("records"):
        record = seconds[cell["run"]]
        assert cell["actual_device_hours"] == pytest.approx(2 * record["wall_seconds"] / 3600, rel=1e-12)
        assert cell["ratio"] == cell["actual_device_hours"] / cell["planned_device_hours"]
    total = sums.iloc[-1]
    assert total["planned_device_hours"] == pytest.approx(sum(cells["planned_device_hours"]), rel=1e-12)
    assert total["ratio"] == pytest.approx(
        sum(cells["actual_device_hours"]) / sum(cells["planned_device_hours"]), rel=1e-12
    )


def test_a_study_in_which_nothing_worked_still_has_every_table(hopeless, tmp_path):
    write_tables(hopeless, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4 * len(TABLES)
    assert "failed" in (tmp_path / "law_parameters.md").read_text()


def test_text_that_would_break_a_format_is_escaped():
    data = pd.DataFrame([{"name": "a_b|c & 50 %\tx\ny $1^2 {N_opt}", "n": 1.5e-7}], dtype=object)
    table = Table(data, (Column("Name #", "name"), Column("n", "n", "number")))
    assert to_tsv(table).splitlines()[1] == "a_b|c & 50 % x y $1^2 {N_opt}\t1.5e-07"
    assert "a_b\\|c & 50 % x y" in to_markdown(table, title="t")
    tex = to_latex(table, name="a_b", title="t")
    assert r"a\_b|c \& 50 \% x y \$1\textasciicircum{}2 \{$N_{\mathrm{opt}}$\} & 1.50$\times 10^{-7}$ \\" in tex


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", " =1", "\t=1"]
NUMBERS = ["-1.5", "+2", "-1e-3", "-inf", "-", "a=b", "3-4", "–"]


def test_a_text_that_a_spreadsheet_would_compute_stays_a_text():
    data = pd.DataFrame({"name": FORMULAS + NUMBERS, "n": [-1.5] * 14}, dtype=object)
    lines = [line.split("\t") for line in to_tsv(Table(data, (Column("Name", "name"),))).splitlines()[1:]]
    assert [line[0] for line in lines[:6]] == ["'" + re.sub(r"\s+", " ", text) for text in FORMULAS]
    assert [line[0] for line in lines[6:]] == NUMBERS
    assert {line[1] for line in lines} == {"-1.5"}


def test_frames_of_plans_and_status_are_as_harmless():
    frame = pd.DataFrame({"name": FORMULAS[:4] + NUMBERS[:2], "n": [-1.5] * 6, "done": [True] * 6})
    lines = frame_to_tsv(frame).splitlines()
    assert [line.split("\t")[0].strip('"') for line in lines[1:]] == ["'" + text for text in FORMULAS[:4]] + NUMBERS[:2]
    unchanged = pd.DataFrame({"name": ["30K", "a b"], "n": [1, 2], "loss": [2.5, float("nan")]})
    assert frame_to_tsv(unchanged) == unchanged.to_csv(sep="\t", index=False)


def test_a_cell_that_begins_with_a_bracket_is_no_option_of_the_line_before():
    names = list(pd.read_csv(DATA / "longtable_bracket.csv")["run"]) + ["*", "[5cm]"]
    table = Table(pd.DataFrame({"name": names}), (Column("[Name]", "name"),))
    tex = to_latex(table, name="t", title="t")
    assert not re.search(r"(\\\\|rule|head)\s*[\[*]", tex)
    assert all(f"{{}}{name}" in tex for name in names)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)>"),
        ("a &lt; b & c", "a &amp;lt; b & c"),
        ("[a](http://b)", r"\[a\](http\://b)"),
        ("`a`|b", r"\`a\`\|b"),
        ("_a_ b_c", r"\_a\_ b_c"),
        ("a\\|b", r"a\\\|b"),
        ("a\nb", "a b"),
    ],
)
def test_markup_in_a_cell_is_no_markup(text, shown):
    table = Table(pd.DataFrame({"name": [text]}), (Column("Name", "name"),))
    assert to_markdown(table, title="t").splitlines()[4] == f"| {shown} |"


def test_summary_warns_of_runs_made_with_different_versions(results):
    assert "Warning" not in summary_text(results)
    first = results.records[0] | {"versions": results.records[0]["versions"] | {"plmscale": "0.0.9"}}
    text = summary_text(with_findings(replace(results, records=[first, *results.records[1:]])))
    assert "different versions of plmscale: 0.0.9, 0.1.0" in " ".join(text.split())


def test_summary_warns_of_narrow_sizes_from_weights_of_one_scale(results):
    study = results.study
    training = study.config.training.model_copy(update={"initial_weights": "bert"})
    config = study.config.model_copy(update={"training": training})
    (warning,) = initial_weights_warning(replace(study, config=config))
    assert "Initial weights of 6 sizes with 32 to 288 features have a standard deviation of 0.02" in warning
    wide = tuple(model.model_copy(update={"d_model": 320}) for model in study.models)
    assert initial_weights_warning(replace(study, config=config, models=wide)) == []
    assert initial_weights_warning(study) == [], "fan_in follows the width"


def test_summary_says_what_the_numbers_say(results, tmp_path):
    write_summary(results, tmp_path / "summary.txt", page=tmp_path / "summary.html")
    page = ElementTree.fromstring((tmp_path / "summary.html").read_text().replace('<meta charset="utf-8">', ""))
    shown = [line for part in page.iter() if part.tag in ("h2", "pre") for line in (part.text or "").splitlines()]
    written = (tmp_path / "summary.txt").read_text().splitlines()
    assert shown == [line for line in written if line]
    text = (tmp_path / "summary.txt").read_text()
    assert "34 of 36 runs finished" in text
    assert f"{DIVERGED} diverged: the loss was nan at step 1." in text
    best = min(r["holdout"]["perplexity"] for r in results.records if r["holdout"])
    assert f"Lowest perplexity {best:.2f}, w288/all_20k/token_decay/seed0; below the 18.17" in text
    envelope = results.fits["envelope"]["constant"].estimates
    assert envelope["a"].high < 1
    assert f"N_opt ~ C^{with_interval(envelope['a'])}, sublinear" in " ".join(text.split())
    assert UNIGRAM_ENTROPY == 2.9


@pytest.mark.parametrize("study", ["results", "barren", "hopeless"])
def test_summary_is_short(study, request):
    lines = summary_text(request.getfixturevalue(study)).splitlines()
    assert len(lines) <= 40
    assert max(len(line) for line in lines) <= LINE


def test_summary_of_a_study_without_laws_gives_reasons_and_no_exponent(barren, hopeless):
    for study in (barren, hopeless):
        text = summary_text(study)
        assert "C^" not in text
        assert "sublinear" not in text
    assert "0 of 1 runs finished: one size" in summary_text(hopeless)
    assert "No run was evaluated." in summary_text(hopeless)


@pytest.mark.parametrize(
    "module",
    [
        "report.tables.study",
        "report.figures.study",
        "report.summary",
        "report.external_runs",
        "analysis.study",
        "analysis.external",
        "runs.importers",
        "report.page.page",
        "compare.compare",
    ],
)
def test_a_fingerprint_is_of_every_module_that_python_imports(module):
    words = f"import sys, plmscale.{module}; print(*(m for m in sys.modules if m.startswith('plmscale.')))"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    imported = {name.removeprefix("plmscale.") for name in done.stdout.split()}
    assert {module, "errors"} < imported
    assert imported <= dependencies(module)


def test_latex_compiles(written, tmp_path):
    program = shutil.which("pdflatex") or shutil.which("tectonic")
    if program is None:
        pytest.skip("neither pdflatex nor tectonic is on PATH: the structure of the tables is tested, not their print")
    names = "\n".join(rf"\input{{{written / f'{name}.tex'}}}" for name in TABLES)
    head = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage[T1]{fontenc}\usepackage{booktabs,longtable}"
    (tmp_path / "all.tex").write_text(f"{head}\n\\begin{{document}}\n{names}\n\\end{{document}}\n")
    options = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in program else []
    done = subprocess.run([program, *options, "all.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000


def test_every_product_has_a_caption():
    report = Path(__file__).parents[1] / "workflow" / "report"
    expected = {*(f"tables/{name}.rst" for name in TABLES), *(f"figures/{name}.rst" for name in catalog.FIGURES)}
    found = {str(path.relative_to(report)) for path in report.rglob("*.rst")}
    assert found == expected | {"workflow.rst", "summary.rst"}
