"""Findings: computed once, read back as they were, and drawn without computing anything again."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from plmscale.laws.rates.fitted import rate_findings
from plmscale.laws.rates.found import RateFindings
from plmscale.reasons import Reason
from plmscale.report.figures.writing import write_figures
from plmscale.report.summary import summary_text
from plmscale.report.tables.study import write_tables
from plmscale.results.findings_files import read_findings, read_table, table_json, write_findings
from plmscale.runs.curves import smooth
from plmscale.study.catalog import FINDINGS
from results_data import make_results, make_study
from test_learning_rates import swept


@pytest.fixture(scope="module")
def results():
    return make_results(make_study(schedules=("constant",)), diverged=("w32/half/constant/seed0",))


def test_files_are_those_of_the_catalogue_and_read_back_draw_the_same_bytes(results, tmp_path):
    write_findings(results.findings, tmp_path / "analysis")
    paths = sorted((tmp_path / "analysis").iterdir())
    assert {path.stem for path in paths} == set(FINDINGS)
    read = replace(results, found=read_findings(paths))
    for name, one in (("made", results), ("read", read)):
        write_tables(one, tmp_path / name)
    made = sorted((tmp_path / "made").iterdir())
    assert len(made) > 50
    assert all(path.read_bytes() == (tmp_path / "read" / path.name).read_bytes() for path in made)
    assert summary_text(read) == summary_text(results)
    write_findings(read.findings, tmp_path / "again")
    assert all(path.read_bytes() == (tmp_path / "again" / path.name).read_bytes() for path in paths)


@pytest.mark.usefixtures("as_svg")
def test_nothing_is_drawn_of_results_without_findings(results, tmp_path):
    with pytest.raises(ValueError, match=r"results/analysis/\*\.json"):
        write_figures(replace(results, found=None), tmp_path)


def test_learning_rates_read_back_are_those_that_were_found():
    for rates in ((1e-4, 3e-4, 1e-3, 3e-3, 1e-2), (1e-4, 2e-4, 4e-4)):  # a rule; every best rate at the edge
        found = rate_findings(smooth(swept(rates=rates, noise=0.001)))
        read = [RateFindings.from_json(one.to_json()) for one in found]
        assert [one.to_json() for one in read] == [one.to_json() for one in found]
        assert read[0].off == found[0].off and read[0].rows == found[0].rows
        rule = found[0].rates.rule
        assert (rule is None) == (read[0].rates.rule is None)
        if rule is not None:
            assert read[0].rates.rule.at(1e7, 1e9) == rule.at(1e7, 1e9)


def test_a_table_keeps_whole_numbers_missing_ones_and_reasons():
    table = pd.DataFrame({"n": [1, None], "x": [0.1, float("nan")], "why": [Reason("no_floor"), None]}, dtype=object)
    assert table_json(table) == {
        "columns": ["n", "x", "why"],
        "data": [[1, 0.1, {"code": "no_floor", "values": {}}], [None, None, None]],
    }
    assert read_table(table_json(table)).to_dict("list") == {
        "n": [1, None],
        "x": [0.1, None],
        "why": [Reason("no_floor"), None],
    }


def test_one_rule_computes_and_those_that_show_take_its_files():
    text = (Path(__file__).parents[1] / "workflow/rules/analysis.smk").read_text(encoding="utf-8")
    rules = {part.split(":", 1)[0]: part for part in text.split("\nrule ")[1:]}
    assert "**fitted_study()" in rules["findings"]
    assert all("**finished_study()" in rules[name] for name in ("tables", "figures", "summary"))
