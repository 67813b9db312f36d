"""Budgets of a set: parts of a pass and several passes, as prefixes of one order, exactly counted and resumed."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from plmscale.errors import InputError
from plmscale.plan.calibration import timed_cells, timed_run
from plmscale.plan.plan import plan
from plmscale.runs.collect import collect
from plmscale.sequences.store import Store
from plmscale.sets.batch_plan import plan_batches
from plmscale.sets.batches import Batches
from plmscale.sets.passes import Passes
from plmscale.study.config import Training
from plmscale.study.grid import Cell, grid
from plmscale.study.jobs import planned_tokens
from plmscale.study.pass_rows import pass_counts
from plmscale.study.study import Study, load_study
from test_batches import LENGTHS, store  # noqa: F401  (a fixture)
from test_train import command, data, environment, train  # noqa: F401  (data is a fixture)

HEADER = "name\tkind\tmin_identity\tsame_size_as\tof\tepochs\tn_sequences\ttrain\n"
SETS = (
    HEADER + "base\tall\t\t\t\t\t1000\tyes\nquarter\tpasses\t\t\tbase\t0.25\t\tyes\nfour\tpasses\t\t\tbase\t4\t\tyes\n"
)
MODELS = "name\tn_layers\td_model\td_ffn\tn_heads\tlearning_rate\tschedules\nS\t1\t16\t64\t1\t4e-3\tconstant,wsd\n"


def study(folder, rows: str = SETS, **raw) -> Study:
    (folder / "models.tsv").write_text(MODELS)
    (folder / "subsets.tsv").write_text(rows)
    tables = {"models": str(folder / "models.tsv"), "subsets": str(folder / "subsets.tsv")}
    return load_study({"source": "p.fasta", **tables, **raw}, base=folder, with_published=False)


def passes(epochs: float, *, seed: int = 3, order: str = "bucketed") -> Passes:
    return Passes(LENGTHS, epochs=epochs, batch_tokens=5000, order=order, seed=seed)


@pytest.mark.parametrize("epochs", [0.01, 0.25, 1.0, 1.5, 3.0])
def test_a_shorter_run_is_a_prefix_of_a_longer_one(epochs):
    short, long = passes(epochs), passes(3.0)
    assert len(short) <= len(long)
    assert [short[i].tolist() for i in range(len(short))] == [long[i].tolist() for i in range(len(short))]


def test_passes_are_the_plans_of_seed_and_epoch():
    plans = [plan_batches(LENGTHS, batch_tokens=5000, order="bucketed", seed=3, epoch=e) for e in range(3)]
    expected = [batch.tolist() for one in plans for batch in one]
    found = passes(3.0)
    assert [found[i].tolist() for i in range(len(found))] == expected
    assert found[len(plans[0])].tolist() == plans[1][0].tolist(), "going back to an earlier pass"
    first, second = (np.concatenate(list(one)).tolist() for one in plans[:2])
    assert sorted(first) == sorted(second)
    assert first != second


@pytest.mark.parametrize("epochs", [0.01, 0.25, 0.9999, 1.0, 2.5, 3.0])
def test_budgets_are_those_of_the_batches_and_end_with_the_step_that_reaches_them(epochs):
    found = passes(epochs)
    sizes = [int(LENGTHS[found[i]].sum()) for i in range(len(found))]
    total = int(LENGTHS.sum())
    assert found.n_tokens == sum(sizes)
    assert found.n_tokens >= epochs * total > found.n_tokens - sizes[-1]
    assert found.epochs == sum(sizes) / total
    seen = np.unique(np.concatenate([found[i] for i in range(len(found))]))
    assert found.unique_tokens == int(LENGTHS[seen].sum())


@pytest.mark.parametrize("limit", [0.0, 0.3, 1.0, 1.7, 2.0, 9.0])
def test_steps_within_a_limit_by_adding_up(limit):
    found = passes(2.5)
    seen = np.cumsum([int(LENGTHS[found[i]].sum()) for i in range(len(found))])
    assert found.steps_within(limit) == int((seen <= limit * LENGTHS.sum()).sum())


def test_windows_and_masks_differ_between_passes(store):  # noqa: F811
    ids = np.array([int(np.argmax(LENGTHS))])  # one long sequence alone: its batch is the same in every pass
    training = Training(batch_tokens=100)
    found = Batches(store, ids, training=training, max_length=64, seed=0, epochs=2.0)
    first, second = found.batch(0), found.batch(1)
    assert len(found) == 2
    assert not np.array_equal(first.originals, second.originals), "the same window of it"
    assert not np.array_equal(first.predicted, second.predicted)


def test_rows_become_cells_and_cells_of_other_kinds_are_as_before(tmp_path):
    cells = {cell.path: cell for cell in grid(study(tmp_path))}
    before = {cell.path: cell for cell in grid(study(tmp_path, "\n".join(SETS.splitlines()[:2])))}
    assert list(cells)[0] == "S/base/constant/seed0"
    assert json.dumps(cells["S/base/wsd/seed0"].frozen()) == json.dumps(before["S/base/wsd/seed0"].frozen())
    assert set(cells["S/base/wsd/seed0"].frozen()) == {"model", "subset", "schedule", "seed", "max_length", "training"}
    four = cells["S/four/wsd/seed0"]
    assert (four.data, four.of, four.epochs, four.frozen()["epochs"]) == ("base", "base", 4.0, 4.0)
    assert Cell.from_json(four.frozen()).frozen() == four.frozen()


def test_the_plan_counts_passes(tmp_path):
    here = study(tmp_path)
    assert planned_tokens(here) == {"base": 325_000, "quarter": 81_250, "four": 1_300_000}
    table = plan(here, {"base": 1000}).set_index(["subset", "schedule"])
    assert table.loc[("four", "constant"), "n_tokens"] == 4000
    assert table.loc[("quarter", "wsd"), "tokens_from"] == "counted"
    ratio = table.loc[("four", "constant"), "flops_appendix_e"] / table.loc[("base", "constant"), "flops_appendix_e"]
    assert ratio == pytest.approx(4, rel=1e-12)


def test_what_is_timed_is_one_pass(tmp_path):
    (cell,) = timed_cells(study(tmp_path)).values()
    assert not {"of", "epochs"} & set(timed_run(cell))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x\tpasses\t\t\tnothere\t2\t\tyes", "of 'nothere' is not another set of this table with a kind other"),
        ("x\tpasses\t\t\tfour\t2\t\tyes", "of 'four' is not another set of this table with a kind other"),
        ("x\tpasses\t\t\tbase\t\t\tyes", "epochs is empty for 'x'"),
        ("x\tpasses\t\t\t\t2\t\tyes", "of is empty for 'x'"),
        ("x\tpasses\t\t\tbase\t1\t\tyes", "epochs is 1, and one pass over 'base' is that set itself"),
        ("x\tpasses\t\t\tbase\t4\t\tyes", "'x' is 'four' again"),
        ("x\tpasses\t\t\tbase\t0\t\tyes", "epochs: Input should be greater than or equal to 0.000000001"),
        ("x\tpasses\t\t\tbase\t1e9\t\tyes", "epochs: Input should be less than or equal to 10000"),
        ("x\tpasses\t\t\tbase\tnan\t\tyes", "epochs"),
        ("x\tpasses\t\t\tbase\t2\t70\tyes", "n_sequences is 70 for kind 'passes'"),
        ("x\tpasses\t0.4\t\tbase\t2\t\tyes", "min_identity is 0.4 for kind 'passes'"),
        ("x\tsample\t\t\t\t2\t70\tyes", "epochs 2.0 is for kind 'passes'; 'x' is 'sample'"),
        ("x\tsample\t\t\tbase\t\t70\tyes", "of 'base' is for kind 'passes'; 'x' is 'sample'"),
        ("x\tsample\t\tfour\t\t\t70\tyes", "same_size_as 'four' is of kind 'passes'"),
        ("x\tsample\t\t\t\t\t\tyes", "n_sequences: is missing"),
    ],
)
def test_rows_that_cannot_be_used_are_named_with_their_line(tmp_path, row, said):
    with pytest.raises(InputError) as refused:
        study(tmp_path, SETS + row + "\n")
    assert f"{tmp_path / 'subsets.tsv'}, line 5" in str(refused.value)
    assert said in str(refused.value)


def test_part_of_a_pass_in_the_order_of_length_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"line 3: epochs is 0.25, but with training.order 'sorted'"):
        study(tmp_path, training={"order": "sorted"})
    whole = SETS.replace("0.25", "2")
    assert len(grid(study(tmp_path, whole, training={"order": "sorted"}))) == 6


def test_counts_are_those_of_the_other_set_times_passes(tmp_path):
    rows = {s.name: s for s in study(tmp_path).subsets}
    counts = {"name": "base", "kind": "all", "n_sequences": 7, "n_tokens": 1002, "sha256": "ab"}
    assert pass_counts(counts, rows["four"]) == {
        "name": "four",
        "kind": "passes",
        "n_sequences": 7,
        "n_tokens": 4008,
        "sha256": "ab",
        "of": "base",
        "epochs": 4.0,
        "unique_tokens": 1002,
    }
    assert pass_counts(counts, rows["quarter"])["unique_tokens"] == 250


@pytest.mark.slow
def test_a_run_of_passes_is_counted_exactly_and_resumes_inside_any_of_them(data, tmp_path):  # noqa: F811
    cell = {"subset": "p", "of": "s", "epochs": 2.25, "schedule": "wsd"}
    settings = {"cell": cell, "engine": "torch"}
    metrics, record = train(data, tmp_path / "whole", **settings)
    ids = np.load(data / "subset.npy")
    lengths = np.minimum(Store.open(data / "store").lengths[ids], 62) + 2
    found = Passes(lengths, epochs=2.25, batch_tokens=1000, order="bucketed", seed=0)
    assert record["n_tokens"] == found.n_tokens == metrics["n_tokens"].iloc[-1]
    assert (record["n_steps"], record["pass_tokens"]) == (len(found), lengths.sum())
    assert record["unique_tokens"] == lengths.sum()
    assert record["epochs"] == found.n_tokens / lengths.sum()
    frame = collect([tmp_path / "whole/run.json"], [tmp_path / "whole/metrics.parquet"], convention="appendix_e")
    assert frame["epochs"].iloc[-1] == record["epochs"]

    # Killed without warning again and again: each attempt goes on from a checkpoint some steps further.
    words = command(data, tmp_path / "killed", checkpoint_tokens=4000, **settings)
    killer = "import sys; sys.argv = sys.argv[1:]; import os, runpy; from plmscale.training import checkpoints as c\n"
    killer += "old, n = c.Checkpoints.finish, []\n"
    killer += "def new(self, step, content):\n    old(self, step, content); n.append(step)\n"
    killer += "    if len(n) == 4: os._exit(9)\n"
    killer += "c.Checkpoints.finish = new\nrunpy.run_module('plmscale', run_name='__main__', alter_sys=True)"
    interrupted = [sys.executable, "-c", killer, *words[2:]]
    for _ in range(9):
        done = subprocess.run(interrupted, capture_output=True, text=True, env=environment())
        if done.returncode == 0:
            break
        assert done.returncode == 9, done.stderr
    again = json.loads((tmp_path / "killed/run.json").read_text())
    resumed = again["resumed_at_steps"]
    one = len(Passes(lengths, epochs=1.0, batch_tokens=1000, order="bucketed", seed=0))
    assert any(0 < step < one for step in resumed)
    assert any(one < step < 2 * one for step in resumed)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "killed/metrics.parquet"), metrics, check_exact=True)
    assert again["holdout"] == record["holdout"]
    assert (tmp_path / "killed/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()
