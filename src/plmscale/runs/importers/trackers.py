"""Exports of TensorBoard and Weights & Biases, DeepSpeed's csv monitor, and Hugging Face's trainer_state.json."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError
from ...files import read_json
from ..table_files import NumberColumn, header, numbers, read_table, texts
from ..tidy import ImportedRuns, ImportOptions
from .exports import Export, assemble, common_part

TENSORBOARD_COLUMNS = ["Wall time", "Step", "Value"]
_TENSORBOARD_TAG = re.compile(r"-tag-.*$")
_WANDB_COLUMN = re.compile(r"(?P<run>.+) - (?P<metric>[^-]+?)(?P<bound>__MIN|__MAX)?")
_LOSSES = ("eval_loss", "loss", "train_loss")


def tensorboard_files(path: Path) -> list[Path]:
    """CSV files of one scalar each that TensorBoard's download button wrote, here or below."""
    files = [path] if path.is_file() else sorted(path.rglob("*.csv"))
    return [file for file in files if header(file) == TENSORBOARD_COLUMNS]


def read_tensorboard(path: Path, options: ImportOptions) -> ImportedRuns:
    """One run per file: its name is the file's (without `run-` and the tag), or its folder's where names repeat."""
    files = tensorboard_files(path)
    names = _distinct(files, path, [_TENSORBOARD_TAG.sub("", f.stem).removeprefix("run-") for f in files])
    exports = []
    for name, file in zip(names, files, strict=True):
        exports.append(Export(name, _curve(file, "Step", "Value"), file))
    return assemble(exports, source=str(path), kind="tensorboard", options=options)


def wandb_metrics(path: Path) -> dict[str, list[str]]:
    """Metrics of a chart's CSV export, each with its columns; empty where the file is none."""
    names = header(path) if path.is_file() else []
    found: dict[str, list[str]] = {}
    for name in names[1:]:
        match = _WANDB_COLUMN.fullmatch(name)
        if match and not match["bound"]:
            found.setdefault(match["metric"].strip(), []).append(name)
    bounds = {f"{name}__{bound}" for columns in found.values() for name in columns for bound in ("MIN", "MAX")}
    return found if found and bounds & set(names) else {}


def read_wandb(path: Path, options: ImportOptions) -> ImportedRuns:
    """A chart's CSV: one column per run (`name - metric`), the first the horizontal axis (Step, tokens or FLOPs)."""
    metrics = wandb_metrics(path)
    wanted = options.loss_column or next((m for m in metrics if "loss" in m.lower()), "")
    if wanted not in metrics:
        raise InputError(f"{path}: no metric is a loss. Choose with --loss-column: {', '.join(metrics)}.")
    table = read_table(path)
    axis = str(table.columns[0])
    kind = "n_tokens" if "token" in axis.lower() else "flops" if "flop" in axis.lower() else "step"
    position = numbers(table, axis, NumberColumn(str(path), axis))
    exports = []
    for column in metrics[wanted]:
        loss = texts(table, column)
        filled = [i for i, text in enumerate(loss) if text]
        rows = pd.DataFrame({"step": position, kind: position, "loss": loss}, index=table.index).iloc[filled]
        match = _WANDB_COLUMN.fullmatch(column)
        exports.append(Export(match["run"].strip() if match else column, pd.DataFrame(rows), path))
    return assemble(exports, source=str(path), kind="wandb", options=options)


def trainer_states(path: Path) -> list[Path]:
    """`trainer_state.json` files: of a run that has several checkpoints, the last."""
    if path.is_file():
        return [path] if path.name == "trainer_state.json" else []
    last: dict[Path, tuple[int, Path]] = {}
    for file in sorted(path.rglob("trainer_state.json")):
        checkpoint = re.fullmatch(r"checkpoint-(\d+)", file.parent.name)
        run = file.parent.parent if checkpoint else file.parent
        # A state beside the checkpoints is the one at the end.
        last[run] = max(last.get(run, (-1, file)), (int(checkpoint[1]) if checkpoint else 2**62, file))
    return [file for _, file in last.values()]


def read_trainer_state(path: Path, options: ImportOptions) -> ImportedRuns:
    """Hugging Face runs. Tokens are `num_input_tokens_seen`; else the describing table's tokens per step."""
    files = trainer_states(path)
    folders = [f.parent.parent if re.fullmatch(r"checkpoint-\d+", f.parent.name) else f.parent for f in files]
    exports = []
    for name, file in zip(_distinct(folders, path, [f.name for f in folders]), files, strict=True):
        state = read_json(file)
        history = pd.DataFrame(state.get("log_history", []))
        key = options.loss_column or next((k for k in _LOSSES if k in history), "")
        if key not in history or "step" not in history:
            raise InputError(f"{file}: log_history has no {key or 'loss'}; its entries have {', '.join(history)}.")
        exports.append(Export(name, _history(history, key), file))
    return assemble(exports, source=str(path), kind="trainer_state", options=options)


def deepspeed_files(path: Path) -> list[Path]:
    """Files of DeepSpeed's csv monitor that hold a loss."""
    files = [path] if path.is_file() else sorted(path.rglob("*loss*.csv"))
    return [f for f in files if len(names := header(f)) == 2 and names[0] == "step" and "loss" in names[1]]


def read_deepspeed(path: Path, options: ImportOptions) -> ImportedRuns:
    """One run per job folder of DeepSpeed's csv monitor. Its steps are samples: `tokens_per_step` is per sample."""
    files = deepspeed_files(path)
    exports = []
    for name, file in zip(_distinct(files, path, [f.parent.name for f in files]), files, strict=True):
        exports.append(Export(name, _curve(file, *header(file)), file))
    return assemble(exports, source=str(path), kind="deepspeed", options=options)


def _curve(file: Path, step: str, loss: str) -> pd.DataFrame:
    """Rows with `step` and `loss`."""
    table = read_table(file)
    columns = {"step": numbers(table, step, NumberColumn(str(file), step)), "loss": texts(table, loss)}
    return pd.DataFrame(columns, index=table.index)


def _history(history: pd.DataFrame, key: str) -> pd.DataFrame:
    """Entries of a log history that hold the loss, with tokens where all of them have these."""
    rows = history.iloc[np.flatnonzero(history[key].notna())]
    columns = {"step": rows["step"], "loss": rows[key]}
    if "num_input_tokens_seen" in rows and rows["num_input_tokens_seen"].notna().all():
        columns["n_tokens"] = rows["num_input_tokens_seen"]
    return pd.DataFrame(columns)


def _distinct(files: Sequence[Path], root: Path, names: list[str]) -> list[str]:
    """Names that differ: with their folders where they do not by themselves."""
    if len(set(names)) == len(names):
        return names
    folders = [str(f.relative_to(root).parent if f != root else f.name) for f in files]
    full = [f"{folder}/{name}" for folder, name in zip(folders, names, strict=True)]
    head, tail = common_part(full)
    return [name[len(head) : len(name) - len(tail) or None] for name in full]
