"""Rules of learning rate, batch and weight decay: the numbers they give, and the cells that stay what they were."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import ROOT
from plmscale.errors import InputError
from plmscale.laws.rates.fitted import rate_findings
from plmscale.plan.allocation import allocations
from plmscale.plan.plan import all_options
from plmscale.plan.recipe_words import recipe_words
from plmscale.plan.report import write_plan
from plmscale.runs.curves import smooth
from plmscale.status.cell_states import cell_states
from plmscale.study.config import AskedTraining, Config, Training
from plmscale.study.configuration import read_configuration
from plmscale.study.flops import count_params
from plmscale.study.grid import Cell, grid
from plmscale.study.jobs import jobs, planned_tokens
from plmscale.study.recipes.published import PUBLISHED
from plmscale.study.recipes.rule import RunSize, parse_rule
from plmscale.study.study import Study, load_study
from plmscale.study.trunks import common_trunks, trunks
from test_learning_rates import swept

SETS = "name\tkind\tmin_identity\tsame_size_as\tof\tepochs\tn_sequences\ttrain\n"
SETS += "whole\tall\t\t\t\t\t1000000\tyes\nhalf\tpasses\t\t\twhole\t0.5\t\tyes\nfive\tpasses\t\t\twhole\t5\t\tyes\n"
HEADER = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules\n"
SMALL, LARGE = "5M\t4\t320\t1280\t20\t{}\t{}\n", "35M\t12\t480\t1920\t20\t{}\t{}\n"


def study(
    folder: Path, *, column: tuple[str, str] = ("", ""), schedules: str = "constant", training: dict | None = None
) -> Study:
    (folder / "subsets.tsv").write_text(SETS)
    rows = [row.format(rate, schedules) for row, rate in zip((SMALL, LARGE), column, strict=True)]
    (folder / "models.tsv").write_text(HEADER + "".join(rows))
    tables = {"models": str(folder / "models.tsv"), "subsets": str(folder / "subsets.tsv")}
    raw = {"source": "p.fasta", **tables, "training": training or {}, "max_length": 1024}
    return load_study(raw, base=folder, with_published=False)


def rates(one: Study) -> dict[str, float]:
    return {cell.path.removesuffix("/constant/seed0"): cell.model.learning_rate for cell in grid(one)}


RUN = RunSize(n_params=2e8, n_inner=1e8, n_tokens=1e10, flops=6e18)


@pytest.mark.parametrize(
    ("quantity", "name", "expected"),
    [
        # By hand, with logarithms of base 10: 1.79 · 10^(8 · -0.713) · 10^(10 · 0.307), and so on.
        ("learning_rate", "li2025", 1.79 * 10 ** (8 * -0.713 + 10 * 0.307)),
        ("batch_tokens", "li2025", 0.58 * 10**5.71),
        ("learning_rate", "bi2024", 0.3118 * 6e18**-0.125),
        ("batch_tokens", "bi2024", 0.2920 * 6e18**0.3271),
        ("learning_rate", "paper", 1e-5),
        ("learning_rate", "esm2", 4e-4),
    ],
)
def test_published_rules_give_what_their_formulas_give(quantity, name, expected):
    assert PUBLISHED[quantity][name].rule.at(RUN) == pytest.approx(expected, rel=5e-3)


def test_the_formula_that_is_shown_of_a_published_rule_is_its_rule():
    for known in PUBLISHED.values():
        for name, one in known.items():
            shown = parse_rule(one.formula.removesuffix(", N without embeddings"))
            assert (shown.value, shown.factors) == (one.rule.value, one.rule.factors), name
            assert one.rule.inner == one.formula.endswith("without embeddings")


def test_deepseek_llms_own_sizes_get_the_rates_that_it_was_trained_with():
    """Bi et al. 2024, table 2: 7B and 67B on 2T tokens, 4.2e-4 and 3.2e-4, batches of 2304 and 4608 × 4096 tokens.

    Their own runs are where the formula was used; 20 % is how wide the band of near-optimal values is.
    """
    for n, rate, batch in ((6.9e9, 4.2e-4, 2304 * 4096), (67e9, 3.2e-4, 4608 * 4096)):
        run = RunSize(n, n, 2e12, 6 * n * 2e12)
        assert PUBLISHED["learning_rate"]["bi2024"].rule.at(run) == pytest.approx(rate, rel=0.2)
        assert PUBLISHED["batch_tokens"]["bi2024"].rule.at(run) == pytest.approx(batch, rel=0.2)


def test_a_rule_gives_each_cell_its_rate_by_size_and_by_the_tokens_of_the_table(tmp_path):
    one = study(tmp_path, training={"learning_rate": "4e-4 * (N / 5036160)^-0.5 * (D / 325e6)^-0.32"})
    large = (33_435_840 / 5_036_160) ** -0.5
    expected = {"5M/whole": 4e-4, "5M/half": 4e-4 * 2**0.32, "5M/five": 4e-4 * 5**-0.32}
    expected |= {name.replace("5M", "35M"): rate * large for name, rate in expected.items()}
    found = rates(one)
    assert found == pytest.approx(expected, rel=5e-3)
    assert all(float(f"{rate:.3g}") == rate for rate in found.values())  # three digits, the same on every machine


def test_counted_tokens_make_no_other_cell(tmp_path):
    one = study(tmp_path, training={"learning_rate": "li2025", "batch_tokens": "li2025"})
    before = [cell.frozen() for cell in grid(one)]
    tokens = planned_tokens(one, {"whole": 400_000_000})
    assert tokens["whole"] == 400_000_000
    assert [job.cell.frozen() for job in jobs(one, tokens)] == before


def test_a_cell_by_rule_is_the_cell_with_these_numbers_to_the_byte(tmp_path):
    by_rule = study(
        tmp_path,
        training={"learning_rate": "paper", "batch_tokens": "paper", "optimizer": {"weight_decay": "paper"}},
    )
    (tmp_path / "numbers").mkdir()
    numbers = study(tmp_path / "numbers", column=("1e-5", "0.00001"))
    texts = [[json.dumps(cell.frozen(), indent=2) for cell in grid(s)] for s in (by_rule, numbers)]
    assert texts[0] == texts[1]
    assert [Cell.from_json(json.loads(text)) for text in texts[0]] == grid(numbers)


def test_a_study_of_numbers_has_the_settings_of_its_cells_as_before(paper_study):
    """What cell.json held before there were rules: no setting more, none less, in the same order."""
    training = grid(paper_study)[0].frozen()["training"]
    names = "batch_tokens order precision warmup_tokens decay_rate decay_tokens log_every_steps masking optimizer"
    assert [*training] == names.split()
    assert training["batch_tokens"] == 50_000
    assert training["optimizer"]["weight_decay"] == 0.01


def test_the_column_is_before_the_setting_and_may_be_a_rule(tmp_path):
    one = study(tmp_path, column=("2e-4", "bi2024"), training={"learning_rate": 1e-3})
    found = rates(one)
    assert {found[f"5M/{name}"] for name in ("whole", "half", "five")} == {2e-4}
    assert found["35M/half"] > found["35M/whole"] > found["35M/five"]
    (tmp_path / "b").mkdir()
    assert rates(study(tmp_path / "b", column=("2e-4", ""), training={"learning_rate": 1e-3}))["35M/half"] == 1e-3


def test_a_rule_of_ones_own_sweeps_is_read_once_and_held_by_the_study(tmp_path):
    file = tmp_path / "learning_rates.json"
    rule = {"k": 3.0, "c": {"value": 0.5, "low": 0.4, "high": 0.6}, "d": {"value": 0.0, "low": None, "high": None}}
    schedules = [{"rates": {"schedule": "constant", "rule": rule}}, {"rates": {"schedule": "wsd", "rule": None}}]
    file.write_text(json.dumps({"schedules": schedules}))
    one = study(tmp_path, training={"learning_rate": str(file)})
    file.unlink()
    n = {model.name: count_params(model) for model in one.models}
    assert rates(one)["5M/half"] == pytest.approx(3 * n["5M"] ** -0.5, rel=5e-3)
    assert rates(Study.from_json(one.to_json())) == rates(one)


def test_what_the_package_writes_of_sweeps_is_read(tmp_path):
    """The rule of a simulated sweep, through the file that a study's findings are written to."""
    found = rate_findings(smooth(swept(noise=0.0005)))
    file = tmp_path / "sweeps.json"
    file.write_text(json.dumps({"schedules": [one.to_json() for one in found]}))
    one = study(tmp_path, training={"learning_rate": str(file)})
    rule = found[0].rates.rule
    assert rule is not None
    for model in one.models:
        expected = rule.at(count_params(model), 325e6).value
        assert rates(one)[f"{model.name}/whole"] == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        (
            {"learning_rate": "li2024"},
            "training.learning_rate: .* rule .paper, esm2, bi2024, li2025.; found .li2024",
        ),
        ({"learning_rate": "1e-3 * X^2"}, "no formula of N, D and C"),
        ({"learning_rate": "1e-3 * N^-0.2 * N^-0.1"}, "at most once"),
        ({"learning_rate": "0 * N^-0.2"}, "above 0"),
        ({"learning_rate": "1 * N^-9"}, "exponents"),
        ({"learning_rate": -1.0}, "from 1e-30"),
        ({"learning_rate": [1e-3]}, "a number from"),
        ({"learning_rate": True}, "true and false"),
        ({"batch_tokens": 0.5}, "whole number"),
        ({"batch_tokens": "fitted.json"}, "no formula"),
        ({"learning_rate": 1e-3, "batch_tokens": "1e9 * D^1"}, "training.batch_tokens: the rule .* gives .* for 5M"),
        (
            {"learning_rate": 1e-3, "optimizer": {"weight_decay": "esm2"}},
            "optimizer.weight_decay.*|published rule .paper",
        ),
        ({"learning_rate": "no/such.json"}, "no/such.json"),
        ({"learning_rate": "results/analysis/learning_rates.json"}, "of this study itself"),
        ({}, "'5M' has no learning rate.*training.learning_rate"),
    ],
)
def test_what_is_no_rule_is_one_error_with_the_key(tmp_path, training, said):
    with pytest.raises(InputError, match=said) as error:
        grid(study(tmp_path, training=training))
    assert str(error.value).count("\n") <= 1


def test_budgets_whose_rates_differ_share_no_trunk_and_others_do(tmp_path):
    shared = study(tmp_path, schedules="wsd", training={"learning_rate": "4e-4 * N^-0.1"})
    assert {len(trunk.branches) for trunk in trunks(shared).values()} == {3}
    for training in (
        {"learning_rate": "4e-4 * D^-0.1"},
        {"learning_rate": 1e-3, "batch_tokens": "bi2024"},
        {"learning_rate": 1e-3, "optimizer": {"weight_decay": "10 * D^-0.5"}},
    ):
        apart = study(tmp_path, schedules="wsd", training=training)
        assert trunks(apart) == {}
        every = jobs(apart, planned_tokens(apart))
        assert [job.path for job in every] == [cell.path for cell in grid(apart)]
        assert all(job.n_tokens == planned_tokens(apart)[job.cell.subset] for job in every)
        assert "share no trunk" in recipe_words(apart)
    assert "share no trunk" not in recipe_words(shared)


def test_one_size_by_budget_leaves_the_trunks_of_the_others(tmp_path):
    one = study(tmp_path, schedules="wsd", column=("1e-3", "bi2024"))
    assert [*trunks(one)] == ["5M/whole/seed0"]


def test_runs_of_several_budgets_count_as_one_only_while_their_rates_agree(tmp_path):
    """Laws take runs with common steps for one noise: those with other rates have no step in common."""
    same = grid(study(tmp_path, column=("1e-3", "1e-3")))
    assert common_trunks(same) == ["5M/whole/seed0"] * 3 + ["35M/whole/seed0"] * 3
    differ = grid(study(tmp_path, training={"learning_rate": "1e-2 * D^-0.1"}))
    assert len(set(common_trunks(differ))) == 6


def test_plan_and_status_show_the_numbers(tmp_path):
    one = study(tmp_path, training={"learning_rate": "li2025", "batch_tokens": 20_000})
    said = write_plan(one, {}, {}, folder=tmp_path / "plan")
    rows = [line.split("\t") for line in (tmp_path / "plan/cells.tsv").read_text().splitlines()]
    at = rows[0].index("learning_rate")
    assert [float(row[at]) for row in rows[1:]] == [cell.model.learning_rate for cell in grid(one)]
    assert "li2025 = 1.79 * N^-0.713 * D^0.307" in said
    assert "arXiv 2503.04715" in said
    (tmp_path / "results").mkdir()
    table = cell_states(one, {}, results=tmp_path / "results")
    assert table["learning_rate"].tolist() == [cell.model.learning_rate for cell in grid(one)]
    (tmp_path / "n").mkdir()
    assert recipe_words(study(tmp_path / "n", column=("1e-5", "1e-5"))) == ""


def test_rules_come_over_the_shipped_configuration_as_snakemake_lays_them(tmp_path):
    from snakemake.utils import update_config

    (tmp_path / "mine.yaml").write_text("training: {learning_rate: li2025, batch_tokens: 0.58 * D^0.571}\n")
    ours = read_configuration([tmp_path / "mine.yaml"], root=ROOT)
    theirs = read_configuration([], root=ROOT)
    update_config(theirs, {"training": {"learning_rate": "li2025", "batch_tokens": "0.58 * D^0.571"}})
    assert Config.model_validate(ours) == Config.model_validate(theirs)
    assert Config.model_validate(ours).training.batch_tokens == "0.58 * D^0.571"


def test_settings_of_a_configuration_are_those_of_a_cell_and_the_rate():
    assert set(AskedTraining.model_fields) == {*Training.model_fields, "learning_rate"}


@pytest.mark.parametrize("batch", [50_000, "0.58 * D^0.571"])
def test_what_cells_of_a_size_share_in_the_plan_is_what_each_would_get_alone(tmp_path, batch):
    """Seeds and schedules share devices and memory; sets too, unless a rule gives each a batch of its own."""
    schedules = "constant" if isinstance(batch, str) else "constant,wsd"
    one = study(tmp_path, schedules=schedules, training={"learning_rate": 1e-3, "batch_tokens": batch})
    tokens, hardware = planned_tokens(one), one.config.hardware
    found = all_options(one, tokens, {}, hardware=hardware)
    every = jobs(one, tokens)
    assert set(found) == {job.path for job in every}
    for job in every:
        alone = list(allocations(job.cell, job.n_tokens, hardware=hardware, execution=one.config.execution))
        assert [replace(each, pace=alone[0].pace) for each in found[job.path]] == alone, job.path
    batches = {each[0].micro_batch_tokens for path, each in found.items() if path.startswith("5M/")}
    assert len(batches) == (3 if isinstance(batch, str) else 1)
