"""Counts and grid against the paper's printed numbers."""

import itertools
from pathlib import Path
from typing import get_args

import pytest

from conftest import ROOT
from plmscale.errors import InputError
from plmscale.publish.configuration import configuration_texts
from plmscale.study.config import ModelSize, Training
from plmscale.study.flops import count_params, forward_flop_terms, forward_flops, train_flops, train_flops_per_token
from plmscale.study.grid import Cell, grid
from plmscale.study.schedule_settings import Cosine, Schedule, Wsd
from plmscale.study.study import Study, load_study

# Paper, table 4, and what appendices E and F give for it: N, training FLOPs per token at 1024.
PAPER = {
    "5M": (4, 320, 5_036_160, "4.668e+07"),
    "15M": (8, 400, 15_543_200, "1.341e+08"),
    "35M": (12, 480, 33_435_840, "2.736e+08"),
    "50M": (15, 520, 48_972_560, "3.924e+08"),
    "100M": (23, 600, 99_754_800, "7.723e+08"),
    "150M": (30, 640, 147_902_720, "1.129e+09"),
    "300M": (32, 880, 298_195_040, "2.141e+09"),
    "650M": (33, 1280, 650_519_040, "4.428e+09"),
}


def size(n_layers: int, d_model: int, n_heads: int = 20) -> ModelSize:
    return ModelSize(
        name="x",
        n_layers=n_layers,
        d_model=d_model,
        d_ffn=4 * d_model,
        n_heads=n_heads,
        learning_rate=1e-5,
        schedules=["constant"],
    )


@pytest.mark.parametrize("name", PAPER)
def test_counts_of_the_paper(name):
    n_layers, d_model, n_params, flops = PAPER[name]
    model = size(n_layers, d_model)
    assert count_params(model) == n_params
    assert f"{train_flops_per_token(model, 1024):.3e}" == flops


def test_shipped_table_is_the_papers(paper_study):
    assert {m.name: (m.n_layers, m.d_model) for m in paper_study.models} == {k: v[:2] for k, v in PAPER.items()}
    assert all(m.d_ffn == 4 * m.d_model and m.n_heads == 20 for m in paper_study.models)


def test_the_papers_run_that_stops_is_one_line_away_and_changes_no_other_cell(paper_study, tmp_path):
    """35M, once over sampled20, until the plateau: `models: config/plateau_models.tsv`."""
    study = load_study({"models": "config/plateau_models.tsv"}, base=ROOT)
    before = {cell.path: cell.frozen() for cell in grid(paper_study)}
    after = {cell.path: cell.frozen() for cell in grid(study)}
    new = set(after) - set(before)
    assert new == {"35M_plateau/sampled20/constant/seed0"} and before == {key: after[key] for key in before}
    frozen = after[new.pop()]
    assert frozen["training"]["stop"]["patience_tokens"] == 500_000_000 and "patience_tokens" not in frozen["model"]
    assert all("stop" not in one["training"] for one in before.values())
    assert Cell.from_json(frozen).frozen() == frozen
    assert Study.from_json(study.to_json()) == study
    assert "patience_tokens" not in study.to_json()["models"][0], "what rules compare is as before"
    published = {path.rsplit("/", 1)[-1]: text for path, text in configuration_texts(study).items()}
    (tmp_path / "published.tsv").write_text(published["models.tsv"])
    again = load_study({"models": str(tmp_path / "published.tsv")}, base=ROOT)
    assert again.models == study.models


def test_appendix_e_by_hand():
    """One layer of 2 heads × 4 dimensions on 3 positions, written out term by term from table 5 of the paper."""
    s, d, h, k, f, v = 3, 8, 2, 4, 32, 29
    attention = 2 * 3 * s * d * h * k + 2 * s * s * h * k + 3 * h * s * s + 2 * s * s * h * k + 2 * s * d * h * k
    expected = 2 * s * v * d + attention + 2 * s * (d * f + d * f) + 2 * s * (d * d + d * v)
    assert forward_flops(size(1, 8, 2), 3) == expected
    assert sum(forward_flop_terms(size(1, 8, 2), 3).values()) == expected


@pytest.mark.parametrize(("name", "ratio"), [("5M", 1.545), ("650M", 1.135)])
def test_6nd_understates_by_the_known_ratio(name, ratio):
    model = size(*PAPER[name][:2])
    ours = train_flops(model, 1e9, convention="appendix_e", max_length=1024)
    assert ours / train_flops(model, 1e9, convention="6nd", max_length=1024) == pytest.approx(ratio, abs=5e-4)


def test_measured_lengths_is_appendix_e_summed_over_sequences():
    model, lengths = size(3, 40), [12, 77, 300]
    expected = 3 * sum(forward_flops(model, n) for n in lengths)
    found = train_flops(
        model, sum(lengths), convention="measured_lengths", max_length=300, squared_lengths=sum(n * n for n in lengths)
    )
    assert found == pytest.approx(expected, rel=1e-12)


def test_grid_of_the_paper_has_56_cells(paper_study):
    cells = grid(paper_study)
    assert len(cells) == 56
    decay = {(c.model.name, c.subset) for c in cells if c.schedule == "token_decay"}
    constant = {(c.model.name, c.subset) for c in cells if c.schedule == "constant"}
    sets = ["uniref50", "sampled30", "sampled23", "sampled20"]
    assert decay == set(itertools.product(PAPER, sets))
    assert constant == set(itertools.product(["5M", "15M", "35M", "50M", "100M", "150M"], sets))
    assert len({c.path for c in cells}) == 56


def test_cell_round_trip(paper_study):
    for cell in grid(paper_study):
        again = Cell.from_json(cell.frozen())
        assert again.frozen() == cell.frozen()
        assert again.path == cell.path


def frozen(schedule: str, **training) -> dict:
    model = size(1, 40)
    return Cell(model, "s", schedule, 0, Training(**training), 64).frozen()


def test_settings_of_another_schedule_are_not_in_a_cell():
    """Otherwise a new setting of one schedule would train every cell of the others again."""
    changed = {"cosine": Cosine(floor=0.3), "wsd": Wsd(decay_share=0.5, shape="linear", floor=0.1)}
    for schedule in ("token_decay", "constant"):
        assert frozen(schedule, **changed) == frozen(schedule)
        assert not {"cosine", "wsd"} & set(frozen(schedule)["training"])
    assert frozen("cosine", wsd=changed["wsd"]) == frozen("cosine")
    assert frozen("wsd", cosine=changed["cosine"]) == frozen("wsd")
    assert frozen("cosine", cosine=changed["cosine"]) != frozen("cosine")
    assert frozen("wsd", wsd=changed["wsd"]) != frozen("wsd")


def test_a_cell_from_before_there_were_more_schedules_is_unchanged():
    """The settings that `token_decay` and `constant` cells have always had, and no more: no study is trained again."""
    names = {"batch_tokens", "order", "precision", "warmup_tokens", "decay_rate", "decay_tokens", "log_every_steps"}
    names |= {"masking", "optimizer"}
    assert set(frozen("constant")["training"]) == set(frozen("token_decay")["training"]) == names


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_cell_of_each_schedule_round_trip(schedule):
    cell = Cell(size(1, 40), "s", schedule, 0, Training(cosine=Cosine(floor=0.3), wsd=Wsd(floor=0.2)), 64)
    again = Cell.from_json(cell.frozen())
    assert again.frozen() == cell.frozen()


HEADER = "name\tkind\tof\tepochs\tn_sequences\ttrain\tschedules\n"
SETS = (
    HEADER
    + "base\tall\t\t\t1000\tyes\tconstant\nquarter\tpasses\tbase\t0.25\t\tyes\twsd\ntwo\tpasses\tbase\t2\t\tyes\t\n"
)
SIZES = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules\n" + "".join(
    f"{name}\t1\t16\t64\t1\t4e-3\t{schedules}\n" for name, schedules in (("S", "constant,wsd"), ("T", "wsd"))
)


def study(folder: Path, sets: str) -> Study:
    (folder / "models.tsv").write_text(SIZES)
    (folder / "subsets.tsv").write_text(sets)
    tables = {"models": str(folder / "models.tsv"), "subsets": str(folder / "subsets.tsv")}
    return load_study({"source": "p.fasta", **tables}, base=folder, with_published=False)


def test_a_set_is_trained_with_its_own_schedules(tmp_path):
    cells = grid(study(tmp_path, SETS))
    expected = ["S/base/constant", "S/quarter/wsd", "S/two/constant", "S/two/wsd", "T/quarter/wsd", "T/two/wsd"]
    assert sorted(cell.path for cell in cells) == [f"{one}/seed0" for one in expected]
    everywhere = study(tmp_path, SETS.replace("\tconstant\n", "\t\n").replace("\twsd\n", "\t\n"))
    frozen = {cell.path: cell.frozen() for cell in grid(everywhere)}
    assert {cell.path: cell.frozen() for cell in cells}.items() <= frozen.items(), "a cell does not know why it is"


def test_a_schedule_of_a_set_that_no_size_has_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"subsets.tsv, line 3: no size .* 'cosine' of 'quarter' .*constant, wsd"):
        study(tmp_path, SETS.replace("\twsd\n", "\tcosine\n"))


def with_seeds(folder: Path, *, sizes: dict[str, str], sets: dict[str, str]) -> Study:
    """The study above with seeds 0, 7 and 1, and a column `n_seeds` in both tables."""

    def column(table: str, own: dict[str, str]) -> str:
        head, *rows = table.splitlines()
        return "\n".join([f"{head}\tn_seeds", *(f"{row}\t{own.get(row.split(chr(9))[0], '')}" for row in rows)]) + "\n"

    (folder / "models.tsv").write_text(column(SIZES, sizes))
    (folder / "subsets.tsv").write_text(column(SETS, sets))
    tables = {"models": str(folder / "models.tsv"), "subsets": str(folder / "subsets.tsv")}
    return load_study({"source": "p.fasta", "seeds": [0, 7, 1], **tables}, base=folder, with_published=False)


def test_sizes_and_sets_may_have_fewer_seeds(tmp_path):
    plain = {cell.path: cell.frozen() for cell in grid(study(tmp_path, SETS))}
    own = with_seeds(tmp_path, sizes={"S": "1"}, sets={"two": "2"})
    cells = {cell.path: cell.frozen() for cell in grid(own)}
    assert set(cells) == set(plain) | {"T/quarter/wsd/seed1", "T/quarter/wsd/seed7", "T/two/wsd/seed7"}
    assert plain.items() <= cells.items(), "a cell does not know why it is"
    assert Study.from_json(own.to_json()) == own
    none = study(tmp_path, SETS).to_json()
    assert not any("n_seeds" in row for row in none["models"] + none["subsets"]), "records stay as they were"


@pytest.mark.parametrize(
    ("sizes", "sets", "says"),
    [
        ({}, {"quarter": "4"}, r"subsets.tsv, line 3: n_seeds is 4, but `seeds` .* has 3"),
        ({"T": "4"}, {}, r"models.tsv, line 3: n_seeds is 4"),
        ({"T": "0"}, {}, r"(?s)models.tsv, line 3:.*n_seeds"),
        ({"T": "0,1"}, {}, r"(?s)models.tsv, line 3:.*n_seeds.*'0,1'"),
    ],
)
def test_seeds_that_there_are_not_are_refused(tmp_path, sizes, sets, says):
    with pytest.raises(InputError, match=says):
        with_seeds(tmp_path, sizes=sizes, sets=sets)


def with_named(folder: Path, *, sizes: dict[str, str], sets: dict[str, str]) -> list[str]:
    """Cells of the study above where sizes name their sets, and sets their sizes."""

    def column(table: str, name: str, own: dict[str, str]) -> str:
        head, *rows = table.splitlines()
        return "\n".join([f"{head}\t{name}", *(f"{row}\t{own.get(row.split(chr(9))[0], '')}" for row in rows)]) + "\n"

    (folder / "models.tsv").write_text(column(SIZES, "subsets", sizes))
    (folder / "subsets.tsv").write_text(column(SETS, "models", sets))
    tables = {"models": str(folder / "models.tsv"), "subsets": str(folder / "subsets.tsv")}
    made = load_study({"source": "p.fasta", **tables}, base=folder, with_published=False)
    assert Study.from_json(made.to_json()) == made
    return sorted(cell.path.removesuffix("/seed0") for cell in grid(made))


def test_a_size_is_trained_on_its_own_sets_and_a_set_has_its_own_sizes(tmp_path):
    own = with_named(tmp_path, sizes={"T": "two"}, sets={})
    assert own == ["S/base/constant", "S/quarter/wsd", "S/two/constant", "S/two/wsd", "T/two/wsd"]
    both = with_named(tmp_path, sizes={"T": "two"}, sets={"two": "T", "quarter": "S, T"})
    assert both == ["S/base/constant", "S/quarter/wsd", "T/two/wsd"]


@pytest.mark.parametrize(
    ("sizes", "sets", "says"),
    [
        ({"T": "two,thre"}, {}, r"models.tsv, line 3: subsets names 'thre', .*base, quarter, two"),
        ({}, {"two": "U"}, r"subsets.tsv, line 4: models names 'U', .*S, T"),
        ({}, {"two": "S,S"}, r"(?s)subsets.tsv, line 4:.*models.*'S' is there twice"),
    ],
)
def test_sets_and_sizes_that_there_are_not_are_refused(tmp_path, sizes, sets, says):
    with pytest.raises(InputError, match=says):
        with_named(tmp_path, sizes=sizes, sets=sets)
