"""Every reader of runs, on thousands of small inputs: the right values, or `InputError`; no other end.

An input is a set of runs whose values are known, written in the form of a tracker, with some cells replaced by texts of
which is known what they mean: a number, a gap, or nothing that may be read. What is expected follows from these alone.
"""

import json
import math
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from plmscale.errors import InputError
from plmscale.runs.importers import load
from plmscale.runs.importers.published import tidy_table
from plmscale.runs.tidy import ImportOptions

N_INPUTS = 2000
REFUSED, GAP = "refused", "gap"

# What a cell may hold, and what it means where a loss is expected.
LOSSES: list[tuple[str, float | str]] = [
    ("3.25", 3.25),
    ("+3.5", 3.5),
    (" 2.75 ", 2.75),
    ("3.125e0", 3.125),
    (".5e1", 5.0),
    ("", GAP),
    ("nan", GAP),
    ("inf", GAP),
    ("N/A", GAP),
    *((text, REFUSED) for text in ("3,25", "3_25", "1,234", "0", "-3.2", "3.2M", "0x1F", "½", "３.2", "3 2", "3.2%")),
    *((text, REFUSED) for text in ("True", "--", "3.2.1", "'3.2'", "1e", "۳", "3.2 nats", "−3.2", "1e-400")),
]
# And where a count is: the axis, and what says the size.
COUNTS: list[tuple[str, float | str]] = [
    ("250", 250.0),
    ("2.5e2", 250.0),
    ("1,250", 1250.0),
    ("1_250", 1250.0),
    ("2.5k", 2500.0),
    *((text, REFUSED) for text in ("12,50", "1,25", "0,250", "1,2500", "2_5", "250s", "2.5.0", "1e3k", "0xFA", "-250")),
    *(
        (text, REFUSED)
        for text in ("½", "２５０", "inf", "2 5 0", "true", "1e30", "1,000_000", "0x10", "~250", "2,50k")
    ),
]

Rows = list[list[str]]
Runs = dict[str, Rows]
"""Step and loss of every row, as texts, by run."""


def table(names: str, rows: Rows, *, separator: str = ",") -> str:
    def quoted(cell: str) -> str:
        return f'"{cell}"' if separator in cell else cell

    return "\n".join([names.replace(",", separator), *(separator.join(map(quoted, row)) for row in rows)]) + "\n"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def as_json(text: str) -> float | str | None:
    try:
        return json.loads(text)
    except ValueError:
        return text if text.strip() else None


def tensorboard(folder: Path, runs: Runs) -> Path:
    for run, rows in runs.items():
        put(folder / f"run-{run}-tag-loss.csv", table("Wall time,Step,Value", [["1.0", *row] for row in rows]))
    return folder


def tensorboard_json(folder: Path, runs: Runs) -> Path:
    for run, rows in runs.items():
        values = [[1.0, as_json(step), as_json(loss)] for step, loss in rows]
        put(folder / f"run-{run}-tag-loss.json", json.dumps(values))
    return folder


def wandb(folder: Path, runs: Runs) -> Path:
    names = [f"{run} - eval/loss{bound}" for run in runs for bound in ("", "__MIN", "__MAX")]
    lines = []
    for i, rows in enumerate(runs.values()):
        empty = [["", "", ""]] * len(runs)
        for step, loss in rows:
            empty[i] = [loss, "1", "9"]
            lines.append([step, *(cell for cells in empty for cell in cells)])
    return put(folder / "chart.csv", table(",".join(["Step", *names]), lines))


def deepspeed(folder: Path, runs: Runs) -> Path:
    for run, rows in runs.items():
        put(folder / run / "Train_Samples_train_loss.csv", table("step,train_loss", rows))
    return folder


def trainer_state(folder: Path, runs: Runs) -> Path:
    for run, rows in runs.items():
        entries = [{"step": as_json(step), "eval_loss": as_json(loss)} for step, loss in rows]
        put(folder / run / "trainer_state.json", json.dumps({"log_history": entries}))
    return folder


def lightning(folder: Path, runs: Runs) -> Path:
    for run, rows in runs.items():
        lines = [line for step, loss in rows for line in (["0", step, "", loss], ["0", step, "0.1", ""])]
        put(folder / run / "metrics.csv", table("epoch,step,lr-AdamW,val_loss", lines))
    return folder


def mlflow(folder: Path, runs: Runs) -> Path:
    each = [(run, step, loss) for run, rows in runs.items() for step, loss in rows]
    lines = [[run, key, cell, step] for run, step, loss in each for key, cell in (("val_loss", loss), ("lr", "0.1"))]
    return put(folder / "metrics.tsv", table("run_id,key,value,step", lines, separator="\t"))


def json_lines(folder: Path, runs: Runs) -> Path:
    for run, rows in runs.items():
        lines = [{"_step": as_json(step), "eval": {"loss": as_json(loss)}} for step, loss in rows]
        put(folder / f"{run}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    return folder


def tidy(folder: Path, runs: Runs) -> Path:
    lines = [[run, str(size_of(run)), step, loss] for run, rows in runs.items() for step, loss in rows]
    return put(folder / "runs.csv", table("run,N,D,loss", lines, separator=";"))


WRITERS: tuple[tuple[Callable[[Path, Runs], Path], str], ...] = (
    (tensorboard, "tensorboard"),
    (tensorboard_json, "tensorboard"),
    (wandb, "wandb"),
    (deepspeed, "deepspeed"),
    (trainer_state, "trainer_state"),
    (lightning, "history"),
    (mlflow, "history"),
    (json_lines, "history"),
    (tidy, "tidy"),
)
FORMATS = {write.__name__: (write, kind) for write, kind in WRITERS}
NAMES = [f"s{i}" for i in range(50)]
# Formats that leave out a row without a loss before they look at its step.
SKIPPING = ("trainer_state", "lightning", "mlflow", "json_lines")


def size_of(run: str) -> int:
    return 8_000_000 + int(run[1:])


DESCRIBED = pd.DataFrame({"run": NAMES, "n_params": [str(size_of(run)) for run in NAMES], "tokens_per_step": "1000"})


def read(name: str, path: Path) -> pd.DataFrame:
    options = ImportOptions(describe=None if name == "tidy" else DESCRIBED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(path, kind=FORMATS[name][1], options=options).frame


def some_rows(chance: random.Random, name: str) -> tuple[Rows, list[tuple[float, float]] | None]:
    """Rows of a run, and what they mean: tokens and losses; None where they may not be read."""
    n = chance.randint(1, 4)
    rows = [[str(100 * (i + 1)), f"{3.9 - 0.1 * i:.1f}"] for i in range(n)]
    # Most cells may be read: what is refused is tried by itself, which takes longer.
    may_be = chance.random() < 0.8
    if chance.random() < 0.7:
        rows[chance.randrange(n)][1] = chance.choice([cell for cell, what in LOSSES if (what != REFUSED) == may_be])
    if chance.random() < 0.3:
        # At the end, so that what it means leaves the order as it is.
        able = [(cell, what) for cell, what in COUNTS if n < 3 or what != 250.0]
        rows[-1][0] = chance.choice([cell for cell, what in able if (what != REFUSED) == may_be])
    step_of, loss_of = dict(COUNTS), dict(LOSSES)
    known: list[tuple[float, float]] = []
    for step, loss in rows:
        at, value = step_of.get(step) or float(step), loss_of.get(loss) or float(loss)
        if not loss.strip() and name in SKIPPING:
            continue
        if at == REFUSED or value == REFUSED:
            return rows, None
        if value != GAP:
            known.append((float(at) * (1 if name == "tidy" else 1000), float(value)))
    return rows, known or None


@pytest.mark.parametrize("name", list(FORMATS))
def test_cells_of_every_format_are_read_right_or_refused(tmp_path, name):
    """What may not be read is tried by itself; what may, with other runs."""
    chance = random.Random(name)
    inputs = [some_rows(chance, name) for _ in range(N_INPUTS)]
    for rows, known in inputs:
        if known is None:
            with pytest.raises(InputError):
                read(name, FORMATS[name][0](tmp_path / "one", {"s0": rows}))
                pytest.fail(f"{rows} was read")
    right = [(rows, known) for rows, known in inputs if known is not None]
    assert N_INPUTS // 2 < len(right) < N_INPUTS * 9 // 10
    for i in range(0, len(right), len(NAMES)):
        part = dict(zip(NAMES, right[i : i + len(NAMES)], strict=False))
        frame = read(name, FORMATS[name][0](tmp_path / str(i), {run: rows for run, (rows, _) in part.items()}))
        for run, (rows, known) in part.items():
            own = frame.loc[frame["run"] == run]
            assert list(zip(own["n_tokens"], own["loss"], strict=True)) == known, (run, rows)
            assert set(own["n_params"]) == {size_of(run)}


LETTERS = ",;\t\"\n\r _-+.eE0123456789aNnMk%'xé\ufeff\u00a0{}[]:"
N_CHANGED = 250


@pytest.mark.parametrize("name", list(FORMATS))
def test_letters_changed_anywhere_end_in_numbers_that_can_be_or_a_sentence(tmp_path, name):
    chance = random.Random(f"letters of {name}")
    path = FORMATS[name][0](tmp_path, {"s0": [["100", "3.9"], ["200", "3.8"], ["300", "3.7"]]})
    file = path if path.is_file() else next(one for one in path.rglob("*") if one.is_file())
    whole = file.read_text(encoding="utf-8")
    refused = 0
    for _ in range(N_CHANGED):
        text = list(whole)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(text))
            text[at : at + chance.randint(0, 2)] = chance.choice(["", chance.choice(LETTERS)])
        file.write_text("".join(text), encoding="utf-8", newline="")
        try:
            frame = read(name, path)
        except InputError:
            refused += 1
            continue
        assert 1 <= len(frame) <= 6
        assert (frame["n_params"] >= 1).all() and (frame["loss"] > 0).all()
        assert all(math.isfinite(value) for column in ("loss", "n_tokens", "flops") for value in frame[column])
        for _, own in frame.groupby("run"):
            assert own["n_tokens"].is_monotonic_increasing and own["n_tokens"].iloc[-1] > 0
    assert N_CHANGED // 20 < refused < N_CHANGED


VALUES: list[object] = [None, True, float("nan"), float("inf"), 0, -1, 1e19, 0.3, 10**400, "5M", "5,5", [], {}, b"5", 7]
VALUES += [pd.Timestamp("2024-01-01"), pd.NaT, pd.NA, 1 + 2j, "", "nan", "1e6M", 5_000_000, 2.5, "2.5"]


def test_values_of_any_type_in_a_data_frame_end_in_numbers_that_can_be_or_a_sentence():
    chance = random.Random(7)
    right = {"run": "a", "N": 5e6, "D": 1e8, "C": 3e15, "loss": 2.5, "seed": 1, "lr": 1e-3, "step": 5, "status": "done"}
    right |= {"batch_tokens": 1e5, "unique_tokens": 1e9, "lr_fraction": 1.0}
    n_read = 0
    for _ in range(N_INPUTS):
        row = {name: value for name, value in right.items() if name in ("N", "D", "loss") or chance.random() < 0.5}
        changed = chance.choice(list(row))
        row[changed] = value = chance.choice(VALUES)
        frame = pd.DataFrame([row]).astype({changed: object})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = tidy_table(frame, source="frame", options=ImportOptions()).frame
        except InputError:
            continue
        n_read += 1
        assert found["loss"].tolist() == [float(value) if changed == "loss" else 2.5]  # type: ignore[arg-type]
        if changed not in ("N", "D", "C"):
            assert (found["n_params"].tolist(), found["n_tokens"].tolist()) == ([5_000_000], [1e8])
    assert n_read > N_INPUTS // 10


SHAPES: list[object] = [None, 1, "a", [], {}, [1], [[1]], {"a": {}}, [{}], True, 1.5, {"step": 1}, [[1, 2, 3, 4]]]
IN_JSON = (
    ("trainer_state.json", "trainer_state"),
    ("run-s0-tag-loss.json", "tensorboard"),
    ("s0.json", "history"),
)


def test_json_of_any_shape_is_read_or_refused(tmp_path):
    chance = random.Random(11)
    entry: dict[str, object] = {"step": 100, "eval_loss": 3.9, "epoch": 0.5, "num_input_tokens_seen": 100_000}
    n_read = 0
    for i in range(N_INPUTS):
        entries: list[object] = [dict(entry), entry | {"step": 200, "num_input_tokens_seen": 200_000}]
        name, kind = IN_JSON[i % len(IN_JSON)]
        if kind == "tensorboard":
            entries = [[1.0, 100, 3.9], [2.0, 200, 3.9]]
        history: object = entries
        where = chance.randrange(4)
        one = chance.randrange(2)
        if where == 0:
            history = chance.choice(SHAPES)
        elif where == 1:
            entries[one] = chance.choice(SHAPES)
        elif where == 2 and isinstance(last := entries[one], dict):
            last[chance.choice(list(entry))] = chance.choice([*SHAPES, -1, 0, 1e30, "3,9", "1e9"])
        value = {"log_history": history} if kind == "trainer_state" and chance.random() < 0.9 else history
        path = put(tmp_path / "s0" / name, json.dumps(value))
        try:
            frame = load(path, kind=kind, options=ImportOptions(describe=DESCRIBED)).frame
        except InputError:
            continue
        n_read += 1
        assert set(frame["loss"]) <= {3.9, 1.0, 1.5}
        assert set(frame["n_params"]) == {size_of("s0")} and (frame["n_tokens"] > 0).any()
    assert n_read > N_INPUTS // 10
