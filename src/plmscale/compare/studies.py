"""Folders of results that are compared: what is read from them, and which of their numbers are on one scale."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InputError
from ..files import read_as, read_object
from ..laws.fit import Fit
from ..results.analysed import read_analysed
from ..results.layout import layout
from ..results.outcomes import device_seconds, flops_of
from ..runs.curves import Curve
from ..study.flops import train_flops
from ..study.grid import Cell
from ..study.names import ENDS_WITH_BUDGET

CONVENTIONS = ("appendix_e", "6nd", "6nd_non_embedding", "measured_lengths")
"""FLOP conventions of `plmscale.study.flops.train_flops`."""


@dataclass(frozen=True)
class StudySetup:
    """What decides whether numbers of two folders are on one scale. None where a folder does not say.

    Attributes
    ----------
    convention : str or None
        How FLOPs are counted, found by counting a run again by each convention.
    max_length : str or None
        Longest input in positions.
    masking : str or None
        Settings of the masking as JSON: a model that is asked other questions has another loss.
    holdout : str or None
        SHA-256 of the holdout's ids, and its residues: the same ids in another source are other proteins.
    final_loss : str or None
        Loss by which runs are compared at their ends, "training" or "holdout"; None where none is.
    batch_tokens : str or None
        Tokens of an optimizer step.
    training : str or None
        The other settings of the training as JSON, learning rates by size among them.
    """

    convention: str | None = None
    max_length: str | None = None
    masking: str | None = None
    holdout: str | None = None
    final_loss: str | None = None
    batch_tokens: str | None = None
    training: str | None = None


@dataclass(frozen=True)
class ComparedStudy:
    """One folder of results: a study, or imported runs.

    Attributes
    ----------
    name : str
        What it is called in tables and figures.
    curves : sequence of Curve
    fits : mapping
        Fit by method and schedule (or group).
    records : sequence of dict
        Run records; empty for imported runs.
    trunk_records : sequence of dict
        Those of what runs of the schedule wsd have in common.
    setup : StudySetup
    """

    name: str
    curves: Sequence[Curve]
    fits: Mapping[str, Mapping[str, Fit]]
    records: Sequence[Mapping[str, Any]] = ()
    trunk_records: Sequence[Mapping[str, Any]] = ()
    setup: StudySetup = StudySetup()

    @property
    def schedules(self) -> list[str]:
        """Schedules or groups, in order of appearance."""
        return list(dict.fromkeys(self.runs["schedule"]))

    @property
    def sets(self) -> list[str]:
        """Training sets, in order of appearance."""
        return list(dict.fromkeys(self.runs["subset"]))

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run.

        `run`, `model`, `n_params`, `subset`, `schedule`, `seed`, `status`; `n_tokens` and `flops` spent; `holdout_loss`
        (nats); `device_seconds` over all attempts; of tokens and FLOPs those that were `shared`, which its trunk was
        trained on. NaN where a run has no such number. A finished run without a curve is left from an earlier study,
        and no part of this one.
        """
        records = {Cell.from_json(dict(record["cell"])).path: record for record in self.records}
        rows = [_row(curve, records.pop(curve.run, {}), self.setup.convention) for curve in self.curves]
        rows += [_without_curve(path, record) for path, record in records.items() if record["status"] != "done"]
        return pd.DataFrame(rows, columns=pd.Index(_COLUMNS))

    @cached_property
    def trunks(self) -> pd.DataFrame:
        """One row per trunk: `model`, `subset`, `seed`; `n_tokens`, `flops` and `device_seconds` spent."""
        rows = []
        for record in self.trunk_records:
            cell = Cell.from_json(dict(record["cell"]))
            spent = {"n_tokens": float(record["n_tokens"]), "flops": _flops(cell, record, self.setup.convention)}
            spent |= {"device_seconds": _number(device_seconds(record))}
            rows.append({"model": cell.model.name, "subset": cell.subset, "seed": cell.seed} | spent)
        return pd.DataFrame(rows, columns=pd.Index((*TRUNK_KEYS, "n_tokens", "flops", "device_seconds")))


TRUNK_KEYS = ("model", "subset", "seed")
"""What names a trunk within a study."""

_COLUMNS = ("run", "model", "n_params", "subset", "schedule", "seed", "status", "n_tokens", "flops")
_COLUMNS += ("holdout_loss", "device_seconds", "shared_tokens", "shared_flops")


def read_study(folder: Path, *, name: str) -> ComparedStudy:
    """Read one folder of results.

    Raises
    ------
    InputError
        If something is missing or is not what it should be; the message names the file.
    """
    files = layout(folder)
    analysed = read_analysed(files.curves, files.fits)
    records = [read_object(path) for path in files.records]
    counts = read_object(files.holdout) if files.holdout else {}
    holdout = f"{counts['sha256']}, {counts.get('n_residues')} residues" if "sha256" in counts else None
    trunks = [read_object(path) for path in files.trunks]
    with read_as("a folder of results", where=folder):
        setup = setup_of(analysed.curves, records, holdout=holdout)
    return ComparedStudy(name, analysed.curves, analysed.fits, records, trunks, setup)


def read_studies(folders: Sequence[Path], *, names: Sequence[str] = ()) -> list[ComparedStudy]:
    """Read folders of results under names that differ: the given ones, else the shortest ends of their paths.

    Raises
    ------
    InputError
        If there is no folder, one is given twice, or names are missing or alike.
    """
    where = [folder.resolve() for folder in folders]
    if not where:
        raise InputError("compare: no folder. Give one or more: --config compare=[results_a,results_b].")
    if len(set(where)) < len(where):
        raise InputError(f"compare: a folder is named twice among {', '.join(map(str, folders))}. Give each once.")
    if names and (len(names) != len(folders) or len(set(names)) < len(names)):
        raise InputError(
            f"compare: {len(folders)} folders and the names {', '.join(names)}. Give each folder a name of its own."
        )
    found = list(names) or short_names(where)
    return [read_study(folder, name=name) for folder, name in zip(folders, found, strict=True)]


def short_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell them apart, `results` and `own_runs` left off where that is possible.

    Examples
    --------
    >>> short_names([Path("/data/paper/results"), Path("/data/mine/results")])
    ['paper', 'mine']
    """
    parts = [folder.parts[1:] or folder.parts for folder in folders]
    while all(len(part) > 1 and part[-1] in ("results", "own_runs") for part in parts):
        parts = [part[:-1] for part in parts]
    longest = max(map(len, parts))
    ends = [["/".join(part[-k:]) for part in parts] for k in range(1, longest + 1)]
    return next((names for names in ends if len(set(names)) == len(names)), ends[-1])


def setup_of(curves: Sequence[Curve], records: Sequence[Mapping[str, Any]], *, holdout: str | None) -> StudySetup:
    """What the curves and records of a folder say of how they were counted."""
    cells = [record["cell"] for record in records]
    batches = sorted({curve.batch_tokens for curve in curves if curve.batch_tokens})
    lengths = sorted({int(cell["max_length"]) for cell in cells})
    masking = sorted({json.dumps(cell["training"]["masking"], sort_keys=True) for cell in cells})
    return StudySetup(
        convention=_convention({curve.run: curve for curve in curves}, records),
        max_length=", ".join(map(str, lengths)) or None,
        masking="; ".join(masking) or None,
        holdout=holdout,
        final_loss=_final_loss({curve.run: curve for curve in curves}, records),
        batch_tokens=", ".join(map(str, batches)) or None,
        training=_training(cells),
    )


def _training(cells: Sequence[Mapping[str, Any]]) -> str | None:
    """What differs between studies that differ in training alone. Settings of single schedules count where they are."""
    settings: dict[str, Any] = {}
    for cell in cells:
        settings |= {f"training.{key}": value for key, value in cell["training"].items() if key not in _ELSEWHERE}
        settings[f"learning_rate of {cell['model']['name']}"] = cell["model"]["learning_rate"]
    return json.dumps(settings, sort_keys=True) if settings else None


_ELSEWHERE = ("masking", "batch_tokens", "log_every_steps")
"""Settings that have a fact of their own, or change nothing."""


def _convention(curves: Mapping[str, Curve], records: Sequence[Mapping[str, Any]]) -> str | None:
    """The convention that gives the FLOPs of a run again; None if none does."""
    for record in records:
        cell = Cell.from_json(dict(record["cell"]))
        curve = curves.get(cell.path)
        if curve is None or not curve.flops.size or curve.n_tokens[-1] != record["n_tokens"]:
            continue
        squares = float(record["squared_lengths"])
        for name in CONVENTIONS:
            counted = train_flops(
                cell.model, record["n_tokens"], convention=name, max_length=cell.max_length, squared_lengths=squares
            )
            if np.isclose(counted, curve.flops[-1], rtol=1e-6):
                return name
    return None


def _final_loss(curves: Mapping[str, Curve], records: Sequence[Mapping[str, Any]]) -> str | None:
    """Whether runs at `cosine` and `wsd` are known by their holdout loss alone (`analysis.final_loss`)."""
    for record in records:
        cell = Cell.from_json(dict(record["cell"]))
        curve = curves.get(cell.path)
        if cell.schedule in ENDS_WITH_BUDGET and curve is not None and record["status"] == "done":
            held_out = (record.get("holdout") or {}).get("loss")
            return "holdout" if curve.flops.size == 1 and curve.loss[0] == held_out else "training"
    return None


def _row(curve: Curve, record: Mapping[str, Any], convention: str | None) -> dict[str, Any]:
    seen = curve.flops.size > 0
    holdout, seconds = (record.get("holdout") or {}).get("loss"), device_seconds(record) if record else None
    identity = {name: getattr(curve, name) for name in _COLUMNS[:7]}
    spent = {"n_tokens": curve.n_tokens[-1] if seen else 0.0, "flops": curve.flops[-1] if seen else 0.0}
    before = record.get("branched_from")
    cell = Cell.from_json(dict(record["cell"])) if before else None
    shared = (float(before["n_tokens"]), _flops(cell, before, convention)) if before and cell else (0.0, 0.0)
    spent |= {"shared_tokens": shared[0], "shared_flops": shared[1]}
    return identity | spent | {"holdout_loss": _number(holdout), "device_seconds": _number(seconds)}


def _flops(cell: Cell, seen: Mapping[str, Any], convention: str | None) -> float:
    """`outcomes.flops_of`; NaN where nobody knows how they are counted."""
    return float("nan") if convention is None else flops_of(cell, seen, convention)


def _without_curve(path: str, record: Mapping[str, Any]) -> dict[str, Any]:
    cell = Cell.from_json(dict(record["cell"]))
    identity = {"run": path, "model": cell.model.name, "n_params": record["n_params"], "subset": cell.subset}
    identity |= {"schedule": cell.schedule, "seed": cell.seed, "status": record["status"]}
    seconds = _number(device_seconds(record))
    nothing = dict.fromkeys(("n_tokens", "flops", "shared_tokens", "shared_flops"), 0.0)
    return identity | nothing | {"holdout_loss": float("nan"), "device_seconds": seconds}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
