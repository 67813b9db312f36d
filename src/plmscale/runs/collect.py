"""Run records, and all runs as one tidy frame."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError
from ..files import read_json
from ..study.flops import train_flops
from ..study.grid import Cell
from ..study.names import ENDS_WITH_BUDGET
from ..study.trunks import common_trunks

log = logging.getLogger(__name__)

COMPARED_VERSIONS = ("plmscale", "commit", "torch", "deepspeed")
"""Versions of which all runs of a study should have the same."""


def read_runs(records: Sequence[Path]) -> list[dict[str, Any]]:
    """The run records (`run.json`) at these paths."""
    return [read_json(path) for path in records]


def collect(
    records: Sequence[Path], metrics: Sequence[Path], *, convention: str, final_loss: str = "training"
) -> pd.DataFrame:
    """All runs as one tidy frame.

    Parameters
    ----------
    records, metrics : sequences of Path
        `run.json` and `metrics.parquet` of each run, in the same order.
    convention : str
        FLOP convention, see `plmscale.study.flops.train_flops`.
    final_loss : str
        With "holdout", a finished run whose learning rate falls at the end of its own length (`cosine`, `wsd`) is one
        row: its end, with its loss on the holdout set.

    Returns
    -------
    pandas.DataFrame
        One row per (run, evaluation), sorted by run and step. Losses in nats per masked token, `n_tokens` and `flops`
        spent so far.

    Raises
    ------
    InputError
        If a metrics file lacks columns, or a run the loss that is asked for.
    """
    runs = read_runs(records)
    for warning in version_warnings(trained_with(runs)):
        log.warning("%s", warning)
    cells = [Cell.from_json(record["cell"]) for record in runs]
    named = zip(runs, metrics, cells, common_trunks(cells), strict=True)
    frames = [_one(record, path, convention, cell=cell, trunk=trunk) for record, path, cell, trunk in named]
    if final_loss == "holdout":
        frames = [_end(frame, run, path) for frame, run, path in zip(frames, runs, records, strict=True)]
    # Runs without a row (diverged at once) have no column types; if there are no others, the frame is empty.
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    return pd.concat(filled, ignore_index=True).sort_values(["run", "step"], ignore_index=True)


def _one(record: dict[str, Any], metrics: Path, convention: str, *, cell: Cell, trunk: str) -> pd.DataFrame:
    rows = pd.read_parquet(metrics)
    wanted = {"step", "n_tokens", "squared_lengths", "loss", "learning_rate", "lr_fraction"}
    if missing := wanted - set(rows):
        raise InputError(f"{metrics}: columns {sorted(missing)} are missing. Delete it and train the cell again.")
    flops = [
        train_flops(cell.model, tokens, convention=convention, max_length=cell.max_length, squared_lengths=squares)
        for tokens, squares in zip(rows["n_tokens"], rows["squared_lengths"], strict=True)
    ]
    return pd.DataFrame(
        {
            "run": cell.path,
            "model": cell.model.name,
            "subset": cell.subset,
            "schedule": cell.schedule,
            "seed": cell.seed,
            "status": record["status"],
            "n_params": record["n_params"],
            "unique_tokens": record["unique_tokens"],
            "batch_tokens": cell.training.batch_tokens,
            "step": rows["step"],
            "n_tokens": rows["n_tokens"],
            "epochs": rows["n_tokens"] / record.get("pass_tokens", record["unique_tokens"]),
            "flops": flops,
            "loss": rows["loss"],
            "learning_rate": rows["learning_rate"],
            "lr_fraction": rows["lr_fraction"],
            "trunk": trunk,
        }
    )


def _end(rows: pd.DataFrame, record: dict[str, Any], path: Path) -> pd.DataFrame:
    """The end of a run by its holdout loss, if its earlier losses are not those of runs that ended there."""
    if record["status"] != "done" or record["cell"]["schedule"] not in ENDS_WITH_BUDGET:
        return rows
    if not record.get("holdout"):
        raise InputError(
            f"{path} has no loss on the holdout set, by which analysis.final_loss: holdout compares runs at "
            f"{record['cell']['schedule']}. Train the cell again, or choose analysis.final_loss: training."
        )
    # The rate of a run is its largest; that of its last step may be 0.
    return rows.nlargest(1, "step").assign(
        loss=float(record["holdout"]["loss"]), learning_rate=rows["learning_rate"].max()
    )


def trained_with(runs: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """How many runs were trained with which version of each software.

    Returns
    -------
    pandas.DataFrame
        One row per software and version, in the order of the records: `name`, `version` (None where a run has recorded
        none), `runs`.
    """
    names = dict.fromkeys(name for run in runs for name in run.get("versions", {}))
    found = {name: Counter(run.get("versions", {}).get(name) for run in runs) for name in names}
    rows = [(name, version, n) for name, counts in found.items() for version, n in counts.items()]
    return pd.DataFrame(rows, columns=pd.Index(["name", "version", "runs"]), dtype=object)


def version_warnings(software: pd.DataFrame) -> list[str]:
    """A sentence for each version in which the runs differ, by `trained_with`."""
    warnings = []
    for name in COMPARED_VERSIONS:
        found = sorted(map(str, software.loc[software["name"] == name, "version"]))
        if len(found) > 1:
            warnings.append(f"runs were made with different versions of {name}: {', '.join(found)}")
    return warnings
