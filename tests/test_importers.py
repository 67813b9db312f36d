"""Runs of other people and other tools: every format is read, and what cannot be read is said with its line."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from plmscale.errors import InputError
from plmscale.runs.fields import FIELDS
from plmscale.runs.importers import IMPORTERS, detect, load, load_all
from plmscale.runs.table_files import read_table
from plmscale.runs.tidy import ImportOptions
from scaling_data import published

DESCRIBED = pd.DataFrame(
    {"run": ["a", "b"], "n_params": ["5M", "20M"], "tokens_per_step": ["1000", "2000"], "schedule": ["cosine", "wsd"]}
)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("run,n_params,n_tokens,flops,loss", "a,5000000,1e8,3e15,2.5"),
        ("N,D,loss", "5M,100M,2.5"),
        ("Model Size,Training FLOP,loss", "5e6,3e15,2.5"),
        ("params,C,val_loss", "0.005B,3e15,2.5"),
        ("tokens,compute,final_loss", "1e8,3e15,2.5"),
        ("num_params,training_tokens,eval_loss", '"5,000,000",1e8,2.5'),
    ],
)
def test_a_table_is_read_whatever_its_columns_are_called(tmp_path, header, row):
    runs = load(write(tmp_path / "runs.csv", f"{header}\n{row}\n"))
    assert runs.format == "tidy"
    first = runs.frame.iloc[0]
    assert (first["n_params"], first["loss"]) == (5_000_000, 2.5)
    assert (first["n_tokens"], first["flops"]) == pytest.approx((1e8, 3e15))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "csv.gz", "parquet"])
def test_every_kind_of_file_gives_the_same_runs(tmp_path, suffix):
    table = pd.DataFrame({"run": ["a", "a", "b"], "N": [5e6, 5e6, 9e6], "D": [1e6, 2e6, 3e6], "loss": [3.0, 2.5, 2.2]})
    path = tmp_path / f"runs.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    frame = load(path).frame
    assert frame["run"].tolist() == ["a", "a", "b"]
    assert frame["flops"].tolist() == pytest.approx((6 * table["N"] * table["D"]).tolist())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("run,N,D,loss\na,5M,1e6,2.5\nb,many,1e6,2.4\n", ["line 3", "n_params", "'many'", "5M"]),
        ("run,N,D,loss\na,5M,1e6,2.5\na,6M,1e6,2.4\n", ["line 3", "'a'", "n_params"]),
        ("run,N,D,loss\na,-5,1e6,2.5\n", ["line 2", "n_params", "-5", "positive"]),
        ("run,N,loss\na,5M,2.5\n", ["n_tokens", "flops", "n_params"]),
        ("run,N,D\na,5M,1e6\n", ["loss"]),
        ("run,N,D,loss_c4,loss_pile\na,5M,1e6,2.5,2.6\n", ["--loss-column", "loss_c4", "loss_pile"]),
        ("run,N,D,loss\na,5M,1e6,\n", ["no row"]),
        ("run,N,D,loss\n", ["no rows"]),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error_with_its_place(tmp_path, text, says):
    path = write(tmp_path / "bad.csv", text)
    with pytest.raises(InputError) as error:
        load(path, kind="tidy")
    for word in [str(path), *says]:
        assert word in str(error.value), error.value


def test_what_is_assumed_is_noted(tmp_path):
    text = "run,N,D,unique_tokens,loss,C\na,5M,2e9,1e8,2.5,60\nb,5M,1e9,1e9,,30\nc,6M,1e9,1e9,nan,36\n"
    notes = " ".join(load(write(tmp_path / "runs.csv", text)).notes)
    assert "2 rows without loss were left out (line 3, 4)" in notes
    assert "parameters, tokens and FLOPs?" in notes  # C is far from 6ND
    assert "seen tokens more than once" in notes


def test_the_flop_rule_decides_between_the_file_and_6nd(tmp_path):
    path = write(tmp_path / "runs.csv", "run,N,D,C,loss\na,5M,1e8,4e15,2.5\n")
    assert load(path).frame["flops"].tolist() == [4e15]
    assert load(path, options=ImportOptions(flops="6nd")).frame["flops"].tolist() == pytest.approx([3e15])


def test_runs_of_other_groups_and_seeds_stay_apart(tmp_path):
    rows = ["run,N,D,loss,group,schedule,seed"]
    rows += [f"a,5M,{d}e8,2.5,{group},cosine,{seed}" for d in (1, 2) for group in ("x", "y") for seed in (0, 1)]
    frame = load(write(tmp_path / "runs.csv", "\n".join(rows))).frame
    assert sorted(frame["run"].unique()) == [f"a/{g}, cosine/seed{s}" for g in "xy" for s in (0, 1)]
    assert set(frame["schedule"]) == {"x, cosine", "y, cosine"}


def test_tensorboard_exports_are_joined_with_the_table_that_describes_them(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"run-{name}-tag-loss.csv", "Wall time,Step,Value\n1.0,10,3.0\n2.0,20,2.5\n")
    assert detect(tmp_path) == "tensorboard"
    frame = load(tmp_path, options=ImportOptions(describe=DESCRIBED)).frame
    assert frame["n_tokens"].tolist() == [10_000, 20_000, 20_000, 40_000]
    assert frame["n_params"].tolist() == [5_000_000] * 2 + [20_000_000] * 2
    assert set(frame["schedule"]) == {"cosine", "wsd"}
    with pytest.raises(InputError, match="--describe") as error:
        load(tmp_path)
    assert "a, b" in str(error.value)


def test_wandb_charts_are_read_with_gaps_and_without_their_bounds(tmp_path):
    text = '"Step","a - loss","a - loss__MIN","a - loss__MAX","b - loss","b - loss__MIN","b - loss__MAX"\n'
    path = write(tmp_path / "chart.csv", text + "10,3.0,3.0,3.0,,,\n20,2.5,2.5,2.5,2.8,2.8,2.8\n")
    assert detect(path) == "wandb"
    frame = load(path, options=ImportOptions(describe=DESCRIBED)).frame
    assert frame[["run", "n_tokens", "loss"]].values.tolist() == [["a", 1e4, 3.0], ["a", 2e4, 2.5], ["b", 4e4, 2.8]]


def test_trainer_states_give_tokens_and_the_weights_beside_them_the_size(tmp_path):
    for name, checkpoint in (("small", "checkpoint-5"), ("small", "checkpoint-20"), ("large", "")):
        steps = 5 if checkpoint == "checkpoint-5" else 20
        history = [{"step": s, "eval_loss": 3 - s / 20, "num_input_tokens_seen": s * 100} for s in (5, 10, 20)]
        history = [{"step": 1, "grad_norm": 1.0}, *(entry for entry in history if entry["step"] <= steps)]
        folder = tmp_path / name / checkpoint
        write(folder / "trainer_state.json", json.dumps({"log_history": history}))
        width = 3 if name == "small" else 4
        save_file({"a": np.zeros((width, 2), np.float32), "b": np.zeros(5, np.float32)}, folder / "model.safetensors")
    runs = load(tmp_path)
    assert runs.format == "trainer_state"
    frame = runs.frame
    assert frame["run"].tolist() == ["large"] * 3 + ["small"] * 3
    assert frame["n_params"].tolist() == [13] * 3 + [11] * 3
    assert frame["n_tokens"].tolist() == [500, 1000, 2000] * 2
    assert frame["loss"].tolist() == [2.75, 2.5, 2.0] * 2


def test_the_csv_monitor_of_deepspeed_is_read(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name / "Train_Samples_train_loss.csv", "step,train_loss\n8,3.0\n16,2.5\n")
    assert detect(tmp_path) == "deepspeed"
    frame = load(tmp_path, options=ImportOptions(describe=DESCRIBED)).frame
    assert frame["n_tokens"].tolist() == [8_000, 16_000, 16_000, 32_000]


def test_several_paths_are_one_set_of_runs(tmp_path):
    texts = {"one": "run,N,D,loss\na,5M,1e8,2.5\n", "two": "run,N,D,loss\na,5M,1e8,2.4\n"}
    paths = [write(tmp_path / f"{name}.csv", text) for name, text in texts.items()]
    assert load_all(paths).frame["run"].tolist() == ["one.csv/a", "two.csv/a"]
    (tmp_path / "other").mkdir()
    alike = [paths[0], write(tmp_path / "other/one.csv", "run,N,D,loss\na,5M,1e8,2.3\n")]
    assert load_all(alike).frame["run"].tolist() == [f"{path.as_posix()}/a" for path in alike]


def test_a_path_of_no_format_names_them_all(tmp_path):
    path = write(tmp_path / "notes.txt", "hello")
    with pytest.raises(InputError) as error:
        load(path)
    assert all(name in str(error.value) for name in IMPORTERS)
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "absent.csv")


def test_every_field_is_documented():
    assert all(field.meaning for field in FIELDS.values())


# ScalingProteinLM: the defects of the published curves, in a made-up folder and in the real ones.


def curve(folder, name, *, size, batch=0.5, factor=1.0, rows=12, start=2.6):
    step = 6 * size * 300 * batch * 2**20 * factor / 1e9
    lines = [f"0,{round(step * (i + 1))},{start - 0.01 * i:.6f}" for i in range(rows)]
    tag = "-tag-lm-loss-validation_valid_lm loss validation vs gigaflos (without embeddings).csv"
    write(folder / f"{name}{tag}", "Wall time,Step,Value\n" + "\n".join(lines) + "\n")


def test_defects_of_scaling_protein_lm_are_found_from_the_data(tmp_path):
    mlm = tmp_path / "mlm_valid"
    curve(mlm / "85M_flops", "run-mlm_85M_one", size=84934656)
    curve(mlm / "85M_flops", "run-mlm_85M_two", size=84934656, factor=1 / 1.2, start=2.61)
    curve(mlm / "47M_flops", "run-tensorboard_mlm_85M_one", size=84934656)
    curve(mlm / "47M_flops", "run-mlm_47M", size=47775744, start=2.7)
    curve(mlm / "280M", "run-mlm_280M", size=280e6, start=2.5)
    curve(mlm / "7B_flops", "dep-run-mlm_7b", size=7247758312, start=2.4)
    runs = load(tmp_path)
    assert runs.format == "scaling_protein_lm"
    kept = runs.frame.groupby("run")["flops"].max()
    assert set(kept.index) == {"MLM/85M/mlm_85M_one", "MLM/85M/mlm_85M_two", "MLM/47M/mlm_47M"}
    assert kept["MLM/85M/mlm_85M_two"] == pytest.approx(kept["MLM/85M/mlm_85M_one"], rel=1e-6)
    notes = " ".join(runs.notes)
    for word in ("1.2000", "once more", "280M", "dep-", "17 % too low", "47M holds", "D is C / (6 N)"):
        assert (word in notes) == (word != "47M holds"), word


def test_the_published_curves_are_mended_as_known():
    runs = load(published("cheng_scaling_plm", "curves.csv.gz"))
    assert runs.n_runs == 209 - 1 - 3 - 7  # set aside; without N; stored twice
    notes = " ".join(runs.notes)
    assert "MLM/1.2B/mlm_1b_all1ep_noreg_tk200b_cl1024_bsz1m_scratch: its FLOPs were 17 % too low" in notes
    assert "multiplied by 1.2086" in notes
    for label in ("280M", "609M", "736M"):
        assert f"MLM/{label}/" in notes
    for pair in ("13M holds 10M", "34M holds 25M", "65M holds 49M", "2.8B holds 3B"):
        assert pair in notes
    frame = runs.frame
    assert (frame["n_tokens"] * 6 * frame["n_params"] / frame["flops"]).to_numpy() == pytest.approx(1, rel=1e-9)


def test_published_tables_are_recognised():
    want = {
        ("epoch_chinchilla", "svg_extracted_data.csv"): ("tidy", 245, 1),
        ("datablations", "c4_runs_182_used_in_fit.csv"): ("tidy", 182, 1),
        ("gadre", "models_104.csv"): ("gadre", 104, 3),
        ("porian", "isoflop_points.csv"): ("porian", 239, 15),
    }
    for parts, (kind, n_runs, n_groups) in want.items():
        runs = load(published(*parts))
        assert (runs.format, runs.n_runs, runs.frame["schedule"].nunique()) == (kind, n_runs, n_groups)


def test_lines_of_messages_are_those_of_the_file(tmp_path):
    table = read_table(write(tmp_path / "gaps.csv", "N,D,loss\n1M,1e6,3\n\n2M,1e6,x\n"))
    assert table.index.tolist() == [2, 4]
