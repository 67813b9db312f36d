"""Tables of published studies that need more than their columns renamed, and the results folder of this workflow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import InputError
from ...files import read_json
from ..cells import texts
from ..metrics import matching, may_be_loss
from ..table_files import header, is_table, read_table
from ..tidy import ImportedRuns, ImportOptions, fields_of, tidy
from .exports import described_runs, with_described
from .run_names import with_run_names

PORIAN_DESIGN = ("dataset", "hparams", "warmup", "decay", "param_count", "val")
GADRE_LOSS = "c4_val"
"""The loss that Gadre et al. 2024 fit and forecast: C4's validation shards."""


def is_tidy(path: Path) -> bool:
    """Whether a table's columns include any two of size, tokens and FLOPs; or one of them and a loss."""
    return path.is_file() and is_table_of_runs(header(path))


def is_table_of_runs(names: Sequence[str], chosen: Mapping[str, str] | None = None) -> bool:
    """Whether columns include any two of size, tokens and FLOPs; or one of them and a loss."""
    found = fields_of(names, chosen)
    known = sum(name in found for name in ("n_params", "n_tokens", "flops"))
    return known >= 2 or (known >= 1 and any(may_be_loss(name) for name in (*names, *found.get("loss", []))))


def read_tidy(path: Path, options: ImportOptions) -> ImportedRuns:
    """A table with the columns of `plmscale.runs.tidy.FIELDS`, and what only the describing table has."""
    return tidy_table(read_table(path), source=str(path), options=options)


def tidy_table(table: pd.DataFrame, *, source: str, options: ImportOptions) -> ImportedRuns:
    """A table of runs that was read; runs of a project of Weights & Biases are named by `Name`."""
    options = with_run_names(table, options, source=source)
    if options.describe is not None:
        run = fields_of([str(name) for name in table.columns], options.columns).get("run")
        if not run:
            raise InputError(f"{source}: there is no column `run` by which --describe could say more of its rows.")
        described = described_runs(options)
        absent = [name for name in dict.fromkeys(texts(table, run[0])) if name not in described]
        if absent:
            raise InputError(f"{source}: the describing table has no row for the runs {', '.join(absent[:8])}.")
        table = with_described(table, run[0], described)
    return tidy(table, source=source, options=options)


def is_porian(path: Path) -> bool:
    """Porian et al. 2024: IsoFLOP points of several experimental designs."""
    return path.is_file() and is_table(path) and {*PORIAN_DESIGN, "flops", "n", "t", "loss"} <= set(header(path))


def read_porian(path: Path, options: ImportOptions) -> ImportedRuns:
    """Every design is a group. The points of one size are read off at shared budgets: they are joined to a curve."""
    table = read_table(path)
    group = table[list(PORIAN_DESIGN)].agg(", ".join, axis=1)
    named = pd.DataFrame({"group": group, "n_params": table["n"], "n_tokens": table["t"], "flops": table["flops"]})
    named = named.assign(loss=table["loss"], subset=table["dataset"], run=group + "/N=" + table["n"])
    runs = tidy(named, source=str(path), kind="porian", options=options)
    note = (
        "The points of one size are joined to a curve of loss at the given budgets; with a decay to each budget they "
        "are runs of their own, and resampling curves resamples sizes."
    )
    return ImportedRuns(runs.frame, runs.source, runs.format, (note, *runs.notes))


def gadre_models(path: Path) -> list[Path]:
    """Model records of Gadre et al. 2024 (exp_data/models/*.json)."""
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path] if path.suffix == ".json" else []
    return [file for file in files if _is_gadre_record(file)]


def _is_gadre_record(path: Path) -> bool:
    # Cheap first: records are small, and a folder may hold much else.
    if path.stat().st_size > 1_000_000:
        return False
    try:
        record = read_json(path)
    except (InputError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and {"dataset_name", "hyperparameters", "results"} <= set(record)


def is_gadre(path: Path) -> bool:
    """The table of the same records, or their folder."""
    if path.is_dir():
        return bool(gadre_models(path))
    return is_table(path) and {"train_set", "N", "tokens", "multiplier"} <= set(header(path))


def gadre_table(path: Path) -> pd.DataFrame:
    """One row per model: name, train_set, N, tokens, multiplier, model, and a column `loss_*` per validation set."""
    if path.is_file() and is_table(path):
        return read_table(path)
    rows = [_gadre_row(file, read_json(file)) for file in gadre_models(path)]
    return pd.DataFrame(rows).set_axis(pd.RangeIndex(1, len(rows) + 1))


def _gadre_row(file: Path, record: dict[str, Any]) -> dict[str, Any]:
    try:
        knobs = record["hyperparameters"]
        row = {"name": record["name"], "train_set": record["dataset_name"], "N": knobs["params"]}
        row |= {"tokens": knobs["tokens"], "multiplier": knobs["chinchilla_multiplier"], "model": knobs["model"]}
        for result in record["results"]:
            parts = result["val_data"][0].split("/")
            row[f"loss_{parts[-1].split('.')[0] if 'de-en' in parts[-2] else parts[-2]}"] = result["loss"]
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"{file}: not a record of a model of Gadre et al. ({error!r}).") from error
    return row


def gadre_loss(table: pd.DataFrame) -> str:
    """The column of the C4 validation loss."""
    return next((str(name) for name in table.columns if GADRE_LOSS in str(name)), "")


def read_gadre(path: Path, options: ImportOptions) -> ImportedRuns:
    """Over-trained runs: one group per training set, the loss on C4's validation set unless another is asked for."""
    table = gadre_table(path)
    names = [str(name) for name in table.columns if str(name).startswith("loss")]
    loss = matching(options.loss_column, names, source=str(path), what="column") if options.loss_column else ""
    loss = loss or gadre_loss(table)
    if loss not in table:
        raise InputError(f"{path}: no column {loss or GADRE_LOSS!r}. Choose with --loss-column: {', '.join(names)}.")
    named = {"run": table["name"], "group": table["train_set"], "subset": table["train_set"], "n_params": table["N"]}
    named |= {"n_tokens": table["tokens"], "loss": table[loss]}
    runs = tidy(pd.DataFrame(named), source=str(path), kind="gadre", options=ImportOptions(flops=options.flops))
    return ImportedRuns(runs.frame, runs.source, runs.format, (f"The loss is column {loss!r}.", *runs.notes), loss)


def study_records(path: Path) -> list[Path]:
    """Run records of this workflow, here or below."""
    if not path.is_dir():
        return []
    return [file for file in sorted(path.rglob("run.json")) if file.with_name("metrics.parquet").is_file()]


def read_study(path: Path, options: ImportOptions) -> ImportedRuns:
    """Runs that this workflow trained. FLOPs are counted again: by appendix E, or as 6ND if asked for."""
    # The settings of a study take longer to import than a table of runs takes to read.
    from ..collect import collect

    records = study_records(path)
    convention = "6nd" if options.flops == "6nd" else "appendix_e"
    frame = collect(records, [file.with_name("metrics.parquet") for file in records], convention=convention)
    return ImportedRuns(frame, str(path), "study", (f"FLOPs by {convention}.",))
