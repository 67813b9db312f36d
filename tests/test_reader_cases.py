"""Runs as trackers and people leave them: each is read right, or refused with one sentence that says what to do.

The inputs in data/readers were built from public bug reports of the tools that wrote them.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from plmscale.api.runs import read_runs
from plmscale.cli.main import main
from plmscale.errors import InputError
from plmscale.runs.curves import smooth
from plmscale.runs.importers import load, load_all
from plmscale.runs.table_files import read_table
from plmscale.runs.tidy import ImportedRuns, ImportOptions

CASES = Path(__file__).parent / "data/readers"
FINALS = {"s8": 3.8025, "s16": 3.5193, "s35": 3.2702}
DESCRIBED = pd.DataFrame({"run": ["s8", "s16"], "n_params": ["8M", "16M"], "tokens_per_step": ["1000", "1000"]})
TB = "Wall time,Step,Value\n"


def case(folder: str, name: str, **options) -> ImportedRuns:
    sizes = CASES / folder / "sizes.csv"
    describe = read_table(sizes) if sizes.is_file() else None
    return load(CASES / folder / name, options=ImportOptions(describe=describe, **options))


def finals(runs: ImportedRuns) -> dict[str, float]:
    return {str(run): float(rows["loss"].iloc[-1]) for run, rows in runs.frame.groupby("run")}


def put(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def refused(path: Path, **options) -> str:
    with pytest.raises(InputError) as error:
        load(path, options=ImportOptions(**options))
    return str(error.value)


@pytest.mark.parametrize(
    ("folder", "name", "loss"),
    [
        ("deepspeed_loss_scale", "logs", "Train_Samples_train_loss"),
        ("deepspeed_resumed_header", "logs", "Train_Samples_train_loss"),
        ("resume_keeps_abandoned_rows", "tb", "loss"),
        ("tensorboard_tags_mixed", "tb", "loss"),
        ("wandb_hyphen_metric", "chart.csv", "val-loss"),
    ],
)
def test_runs_of_trackers_have_eight_evaluations_and_the_losses_at_their_ends(folder, name, loss):
    runs = case(folder, name)
    assert (runs.loss, len(runs.frame)) == (loss, 24)
    assert finals(runs) == FINALS
    assert runs.frame.groupby("run")["n_tokens"].max().to_dict() == dict.fromkeys(FINALS, 8e8)


@pytest.mark.parametrize("folder", ["deepspeed_resumed_header", "resume_keeps_abandoned_rows"])
def test_rows_that_were_logged_again_are_noted(folder):
    runs = case(folder, "logs" if "deepspeed" in folder else "tb")
    assert any("3 runs logged steps again" in note and "s35" in note for note in runs.notes)
    if "deepspeed" in folder:
        assert sum("the header stands again (line 7)" in note for note in runs.notes) == 3


def test_one_law_has_one_metric():
    path = CASES / "hf_train_and_eval_mixed/hf"
    describe = read_table(CASES / "hf_train_and_eval_mixed/sizes.csv")
    said = refused(path, describe=describe)
    assert "'loss'" in said and "'eval_loss' (1 of 3 runs)" in said and "--loss-column" in said
    assert finals(case("hf_train_and_eval_mixed", "hf", loss_column="loss")) == FINALS
    assert "'s16', 's8' have no 'eval_loss'" in refused(path, describe=describe, loss_column="eval_loss")


def test_an_axis_of_seconds_is_no_step():
    chart = CASES / "wandb_time_axis/chart.csv"
    said = refused(chart, describe=read_table(CASES / "wandb_time_axis/sizes.csv"))
    assert "'Relative Time (Process)'" in said and "step" in said and "tokens" in said


def test_a_decimal_comma_is_refused_with_its_place():
    assert "line 2: loss is '4,542'" in refused(CASES / "decimal_comma/runs.tsv")


def test_a_row_has_the_cells_of_its_header():
    assert "line 2: the row has 4 cells and the header 3" in refused(CASES / "extra_column.csv")
    runs = case("trailing_comma_shifts_columns", "runs.csv")
    assert sorted(set(runs.frame["n_params"])) == [8_000_000, 16_000_000, 35_000_000, 70_000_000]
    assert finals(runs)["line 2"] == 4.5416 and finals(runs)["line 17"] == 3.0987


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_an_evaluation_before_the_first_step_gives_no_size():
    runs = case("tokens_zero_without_size", "runs.csv")
    assert sorted(set(runs.frame["n_params"])) == [8_000_000, 16_000_000, 35_000_000]
    assert len(runs.frame) == 9
    assert any("3 rows before the first step" in note and "line 2, 6, 10" in note for note in runs.notes)
    assert [curve.n_tokens[-1] for curve in smooth(runs.frame)] == [4e8] * 3


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("units_without_third_number/millions.csv", ["N is 8.00 to 70.0 parameters", "D is 0.100 to 0.800 tokens"]),
        ("units_without_third_number/pfdays.csv", ["10⁻¹² tokens", "PF-days"]),
        ("25b_one_N_1000x_C_given.csv", ["1e+03 times 6ND in 1 of 30 rows (line 14)", "N is 63.1k in line 14"]),
    ],
)
def test_implausible_units_are_said_with_their_rows(name, says):
    notes = " ".join(note for note in load(CASES / name).notes if note.startswith("Warning"))
    for text in says:
        assert text in notes, notes


def test_the_metric_is_named_in_the_summary_and_the_record(tmp_path):
    runs = CASES / "trailing_comma_shifts_columns/runs.csv"
    main(["fit", str(runs), "--fits", "chinchilla", "--bootstrap", "20", "--no-figures", "--out", str(tmp_path)])
    assert "The loss is 'loss' in all runs." in (tmp_path / "summary.txt").read_text()
    assert json.loads((tmp_path / "import.json").read_text())["loss"] == "loss"


def trainer_state(*entries: dict) -> str:
    return json.dumps({"log_history": list(entries)})


@pytest.mark.parametrize(
    ("files", "column", "right"),
    [
        (
            {"run-s8-tag-train_loss.csv": TB + "1,100,3\n", "run-s8-tag-val_loss.csv": TB + "1,100,3.1\n"},
            "val/loss",
            3.1,
        ),
        (
            {"s8/trainer_state.json": trainer_state({"step": 100, "loss": 3.0}, {"step": 100, "eval_loss": 3.1})},
            "eval_loss",
            3.1,
        ),
        (
            {"s8/trainer_state.json": trainer_state({"step": 100, "eval_a_loss": 3.0, "eval_b_loss": 3.1})},
            "eval_b_loss",
            3.1,
        ),
        (
            {"s8/Train_Samples_train_loss.csv": "step,train_loss\n100,3\n", "s8/Eval_loss.csv": "step,loss\n100,3.1\n"},
            "Eval/loss",
            3.1,
        ),
        ({"s8/metrics.csv": "epoch,step,train_loss_step,val_loss\n0,99,3.0,\n0,100,,3.1\n"}, "val_loss", 3.1),
        ({"s8.jsonl": '{"_step": 100, "train": {"loss": 3.0}, "eval": {"loss": 3.1}}\n'}, "eval/loss", 3.1),
        ({"m.csv": "run_id,key,value,step\ns8,val_loss,3.1,100\ns8,train_loss,3,100\n"}, "val_loss", 3.1),
        ({"s8.csv": "step,loss,moe_aux_loss\n100,3.1,0.1\n"}, "loss", 3.1),
    ],
    ids=[
        "tensorboard",
        "trainer_state",
        "eval_names",
        "deepspeed",
        "lightning",
        "wandb_history",
        "mlflow",
        "auxiliary",
    ],
)
def test_an_open_choice_of_the_loss_is_settled_in_every_format(tmp_path, files, column, right):
    path = put(tmp_path, files)
    said = refused(path, describe=DESCRIBED)
    assert "is open" in said and "--loss-column" in said
    runs = load(path, options=ImportOptions(describe=DESCRIBED, loss_column=column))
    assert finals(runs) == {"s8": right}
    assert runs.frame["n_tokens"].tolist() == [100_000]


def test_charts_and_tables_settle_it_too(tmp_path):
    names = [f"s8 - {metric}{bound}" for metric in ("train/loss", "eval/loss") for bound in ("", "__MIN", "__MAX")]
    chart = put(tmp_path, {"chart.csv": ",".join(["Step", *names]) + "\n100,3,3,3,3.1,3.1,3.1\n"}) / "chart.csv"
    assert "'train/loss', 'eval/loss'" in refused(chart, describe=DESCRIBED)
    assert finals(load(chart, options=ImportOptions(describe=DESCRIBED, loss_column="eval_loss"))) == {"s8": 3.1}
    table = put(tmp_path, {"t.csv": "run,N,D,loss,val_loss\na,5M,1e8,3,3.1\n"}) / "t.csv"
    assert "'loss', 'val_loss'" in refused(table)
    assert finals(load(table, options=ImportOptions(loss_column="val_loss"))) == {"a": 3.1}


@pytest.mark.parametrize("name", ["loss_scale", "lossless", "loss_scaler", "grad_norm"])
def test_a_part_of_a_name_makes_no_loss(tmp_path, name):
    with pytest.raises(InputError):
        load(put(tmp_path, {"t.csv": f"run,N,D,{name}\na,5M,1e8,3\n"}) / "t.csv")
    runs = load(put(tmp_path, {"u.csv": f"run,N,D,{name},loss\na,5M,1e8,65536,3\n"}) / "u.csv")
    assert finals(runs) == {"a": 3.0}


@pytest.mark.parametrize(
    ("name", "says"), [("val_perplexity", "logarithm"), ("loss_bits", "ln 2"), ("accuracy", "accuracy")]
)
def test_other_units_of_a_loss_are_refused_by_name(tmp_path, name, says):
    table = put(tmp_path, {"t.csv": f"run,N,D,{name}\na,5M,1e8,3\n"}) / "t.csv"
    assert says in refused(table, loss_column=name)


def test_the_mean_over_a_whole_training_is_no_final_loss(tmp_path):
    closing = {"step": 100, "train_loss": 3.4, "train_runtime": 9.0}
    path = put(tmp_path, {"s8/trainer_state.json": trainer_state({"step": 50, "loss": 3.3}, closing)})
    assert finals(load(path, options=ImportOptions(describe=DESCRIBED))) == {"s8": 3.3}
    assert "mean over the whole training" in refused(path, describe=DESCRIBED, loss_column="train_loss")


def test_names_of_runs_are_unique(tmp_path):
    bounds = ",".join(f"s8 - loss{bound}" for bound in ("", "__MIN", "__MAX"))
    chart = put(tmp_path, {"c.csv": f"Step,{bounds},{bounds}\n1,3,3,3,4,4,4\n"}) / "c.csv"
    assert "several runs are called 's8'" in refused(chart, describe=DESCRIBED)
    rows = "a,x1,finished,8000000,1e8,3.5\na,x2,crashed,9000000,1e8,3.4\n"
    table = put(tmp_path, {"t.csv": f"Name,ID,State,N,D,loss\n{rows}"}) / "t.csv"
    assert "--map run=ID" in refused(table)
    runs = load(table, options=ImportOptions(columns={"run": "ID"}))
    assert finals(runs) == {"x1": 3.5, "x2": 3.4}
    assert any("1 runs have status 'crashed' and are not fitted: x2" in note for note in runs.notes)
    twice = pd.concat([DESCRIBED, DESCRIBED])
    assert "several rows for the run 's8'" in refused(CASES / "wandb_hyphen_metric/chart.csv", describe=twice)


def test_a_missing_column_is_proposed_and_mapped(tmp_path):
    text = "Name,State,config.model.num_params,tokens_seen,eval/loss\na,finished,8000000,1e8,3.5\n"
    table = put(tmp_path, {"t.csv": text}) / "t.csv"
    assert "--map n_params=config.model.num_params" in refused(table)
    runs = load(table, options=ImportOptions(columns={"n_params": "config.model.num_params"}))
    assert runs.frame["n_params"].tolist() == [8_000_000]
    with pytest.raises(SystemExit, match="FIELD=COLUMN"):
        main(["fit", str(table), "--out", str(tmp_path / "out"), "--map", "n_params"])


def test_what_was_seen_is_said_where_no_format_fits(tmp_path):
    table = put(tmp_path, {"t.csv": "_runtime,_timestamp,loss\n1,2,3\n"}) / "t.csv"
    said = refused(table)
    assert "_runtime, _timestamp, loss" in said and "Nearest is `history`" in said
    assert "model.bin" in refused(put(tmp_path / "folder", {"model.bin": b"1"}))


def curve(*rows: tuple[float, float]) -> str:
    return "step,loss\n" + "".join(f"{step:g},{loss:g}\n" for step, loss in rows)


def test_rows_after_the_point_of_resume_replace_those_before(tmp_path):
    rows = [(100, 4.0), (200, 3.8), (300, 3.7), (250, 3.75), (350, 3.6)]
    runs = load(put(tmp_path, {"s8.csv": curve(*rows)}) / "s8.csv", options=ImportOptions(describe=DESCRIBED))
    assert runs.frame["step"].tolist() == [100, 200, 250, 350]
    assert any("(s8: line 4)" in note for note in runs.notes)


def test_a_counter_that_began_anew_is_refused(tmp_path):
    rows = [(100, 4.6), (200, 4.2), (300, 3.9), (100, 3.85), (200, 3.8)]
    said = refused(put(tmp_path, {"s8.csv": curve(*rows)}) / "s8.csv", describe=DESCRIBED)
    assert "line 5" in said and "began anew" in said
    text = "run,N,step,D,loss\n" + "".join(f"a,5M,{s},{d}e8,{4 - s / 10}\n" for s, d in ((1, 1), (2, 2), (3, 1)))
    assert "n_tokens of run 'a' falls" in refused(put(tmp_path, {"t.csv": text}) / "t.csv")


def test_tokens_order_a_run_whose_step_falls(tmp_path):
    text = "run,N,step,D,loss\n" + "".join(f"a,5M,{s},{d}e8,{4 - d / 10}\n" for s, d in ((1, 1), (2, 2), (1, 3)))
    runs = load(put(tmp_path, {"t.csv": text}) / "t.csv")
    assert runs.frame["loss"].tolist() == [3.9, 3.8, 3.7]
    assert any("step falls while its tokens rise" in note for note in runs.notes)


def test_two_runs_under_one_name_are_refused(tmp_path):
    rows = [f"a,5M,{d}e8,{4 + seed / 100 - d / 10}" for seed in (0, 1) for d in (1, 2, 3)]
    said = refused(put(tmp_path, {"t.csv": "run,N,D,loss\n" + "\n".join(rows)}) / "t.csv")
    assert "is there twice at 1e+08" in said and "seed" in said


def test_a_run_that_is_there_twice_counts_once(tmp_path):
    rows = "a,5M,1e8,4\nb,5M,1e8,4\nc,6M,1e8,3.9\n"
    path = put(tmp_path, {"t.csv": f"run,N,D,loss\n{rows}"}) / "t.csv"
    other = put(tmp_path, {"u.csv": f"run,N,D,loss\n{rows}"}) / "u.csv"
    for runs in (load(path), load_all([path, other])):
        assert len(runs.frame) == 2
        assert any("others once more" in note for note in runs.notes)


def test_runs_that_ended_otherwise_are_said(tmp_path):
    path = put(
        tmp_path, {"run-s8-tag-loss.csv": TB + "1,100,3\n2,200,nan\n", "run-s16-tag-loss.csv": TB + "1,100,3.1\n"}
    )
    runs = load(path, options=ImportOptions(describe=DESCRIBED.assign(state=["crashed", "finished"])))
    notes = " ".join(runs.notes)
    assert "the loss of s8 ends as nan or inf" in notes and "status 'crashed' and are not fitted: s8" in notes
    assert dict(zip(runs.frame["run"], runs.frame["status"], strict=True)) == {"s8": "crashed", "s16": "done"}


def test_paths_of_several_metrics_are_no_one_fit(tmp_path):
    texts = {"a.csv": "run,N,D,val_loss\na,5M,1e8,3\n", "b.csv": "run,N,D,train_loss\nb,6M,1e8,3\n"}
    put(tmp_path, texts | {"c.csv": "run,N,D,eval/loss\nc,6M,1e8,3\n"})
    assert load_all([tmp_path / "a.csv", tmp_path / "c.csv"]).loss == "val_loss, eval/loss"
    with pytest.raises(InputError, match="another metric"):
        load_all([tmp_path / "a.csv", tmp_path / "b.csv"])


ROWS = "run,N,D,loss\na,5000000,1e8,3.25\nb,6000000,1e8,3.0\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", ROWS),
        ("t.csv", ROWS.replace(",", ";")),
        ("t.csv", ROWS.replace(",", "\t")),
        ("t.log", ROWS),
        ("t.csv", ROWS.replace("\n", "\r")),
        ("t.csv", b"\xef\xbb\xbf" + ROWS.replace("\n", "\r\n").encode()),
        ("t.csv", "sep=;\n" + ROWS.replace(",", ";")),
        ("t.csv", ROWS.replace("\n", ",\n")),
        ("t.jsonl", '{"run":"a","N":5000000,"D":1e8,"loss":3.25}\n{"run":"b","N":6000000,"D":1e8,"loss":3.0}\n'),
    ],
)
def test_one_table_in_many_forms(tmp_path, name, content):
    runs = load(put(tmp_path, {name: content}) / name)
    assert finals(runs) == {"a": 3.25, "b": 3.0}
    assert runs.frame["n_params"].tolist() == [5_000_000, 6_000_000]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("run,N,D,loss\nGröße,5M,1e8,3\n".encode("latin-1"), "line 2: byte 0xf6 is not UTF-8"),
        (ROWS.encode("utf-16"), "UTF-16"),
        (ROWS.encode("utf-16-le"), "UTF-16"),
        (b"PK\x03\x04" + b"0" * 9, "Excel"),
        (ROWS + "c,5M,1e8\n", "line 4: the row has 3 cells"),
        (ROWS.replace("run,N", "N,N"), "'N' stands 2 times"),
        (ROWS + '"c,5M,1e8,3\n', "line 4"),
    ],
)
def test_a_table_of_no_form_is_refused_by_name(tmp_path, content, says):
    assert says in refused(put(tmp_path, {"t.csv": content}) / "t.csv")


def test_rows_of_a_data_frame_are_runs_of_their_own_whatever_its_index():
    part = pd.DataFrame({"N": [5e6, 6e6], "D": [1e8, 1e8], "loss": [3.1, 3.0]})
    assert len(read_runs(pd.concat([part, part.assign(loss=[3.2, 3.3])]))) == 4
    named = pd.DataFrame({"run": ["a", "b"], "N": [5e6, 6e6], "D": [1e8, 1e8], "loss": [3.1, 3.0]}).set_index("run")
    assert set(read_runs(named).frame["run"]) == {"a", "b"}
    assert np.isclose(read_runs(named).frame["flops"].iloc[0], 3e15)


def test_one_size_of_another_unit_is_named_where_only_its_loss_says_so(tmp_path):
    """300k is among the other sizes, and no third number contradicts it; its loss is that of 300M."""
    sizes = {"100k": 4.0, "1M": 3.8, "10M": 3.6, "100M": 3.4, "300k": 3.3}
    rows = "".join(f"{i},{n},1e9,{loss}\n" for i, (n, loss) in enumerate(sizes.items()))
    notes = load(put(tmp_path, {"t.csv": f"run,N,D,loss\n{rows}"}) / "t.csv").notes
    warned = [note for note in notes if note.startswith("Warning")]
    assert len(warned) == 1 and "N is 300k in line 6" in warned[0] and "333 times as large" in warned[0]
    right = put(tmp_path, {"u.csv": "run,N,D,loss\n" + rows.replace("300k", "300M")}) / "u.csv"
    assert not any(note.startswith("Warning") for note in load(right).notes)


def test_an_axis_of_epochs_is_refused_where_its_tag_says_so(tmp_path):
    said = refused(put(tmp_path, {"run-s8-tag-epoch_loss.csv": TB + "1,0,3\n2,1,2.5\n"}), describe=DESCRIBED)
    assert "axis 'epoch'" in said
