"""What came of every cell: one row each, for tables, figures and summary."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ..runs.curves import Curve
from ..study.flops import count_params, train_flops
from ..study.grid import Cell, grid
from ..study.jobs import TRUNK, TRUNKS
from .study_results import Results


def counted_tokens(results: Results) -> dict[str, int]:
    """Exact tokens of one pass over each set of the study."""
    return {name: int(counts["n_tokens"]) for name, counts in results.subsets.items()}


def outcomes(results: Results) -> pd.DataFrame:
    """One row per cell of the study, in the order of the grid.

    Returns
    -------
    pandas.DataFrame
        Identity (`run`, `model`, `subset`, `schedule`, `seed`); `status`; `stopped`, "plateau" of a finished run that
        ended before its pass did; `reason` of either; `n_params`, `n_tokens` seen, `tokens_trained`, of them those
        after its trunk, `tokens_per_param`, `flops` by the study's convention and `flops_trained`, of them those after
        its trunk; `final_loss`, that at the end (`analysis.final_loss`), `holdout_loss` (both nats per masked token),
        its 95 % interval over sequences `holdout_loss_low` to `holdout_loss_high`, and `holdout_perplexity`;
        `lr_fraction_end`; `seconds` of training steps, `wall_seconds` and `device_seconds` of the jobs, over all
        attempts; `resumed`, how often the run was taken up again; `world`, the devices of its last attempt. None where
        a run did not get so far; a cell without a record has status "missing".
    """
    records = {Cell.from_json(record["cell"]).path: record for record in results.records}
    curves = {curve.run: curve for curve in results.curves}
    convention = results.study.config.analysis.flops
    rows = []
    for cell in grid(results.study):
        identity = {"run": cell.path, "model": cell.model.name, "subset": cell.subset}
        identity |= {"schedule": cell.schedule, "seed": cell.seed}
        outcome = _outcome(cell, records.get(cell.path), curves.get(cell.path), convention=convention)
        rows.append(identity | outcome)
    # Objects: whole numbers stay whole beside missing ones.
    return pd.DataFrame(rows, dtype=object)


def _outcome(cell: Cell, record: dict[str, Any] | None, curve: Curve | None, *, convention: str) -> dict[str, Any]:
    n_params, record = count_params(cell.model), record or {"status": "missing", "reason": "there is no run record"}
    n_tokens, holdout = record.get("n_tokens"), record.get("holdout") or {}
    flops = None if n_tokens is None else flops_of(cell, record, convention)
    before = record.get("branched_from")
    seen = curve is not None and curve.flops.size > 0
    return {
        "status": record["status"],
        "stopped": record.get("stopped"),
        "reason": record.get("reason"),
        "n_params": n_params,
        "n_tokens": n_tokens,
        "tokens_trained": None if n_tokens is None else n_tokens - branch_tokens(record),
        "tokens_per_param": None if n_tokens is None else n_tokens / n_params,
        "flops": flops,
        "flops_trained": flops - flops_of(cell, before, convention) if flops is not None and before else flops,
        "final_loss": float(curve.loss[-1]) if curve is not None and seen else None,
        "holdout_loss": holdout.get("loss"),
        "holdout_loss_low": holdout.get("loss_low"),
        "holdout_loss_high": holdout.get("loss_high"),
        "holdout_perplexity": holdout.get("perplexity"),
        "lr_fraction_end": curve.lr_fraction_end if curve is not None and seen else None,
        "seconds": record.get("seconds"),
        "wall_seconds": record.get("wall_seconds"),
        "device_seconds": device_seconds(record),
        "resumed": None if n_tokens is None else len(record["resumed_at_steps"]),
        "world": None if n_tokens is None else record["allocation"]["world"],
    }


def flops_of(cell: Cell, seen: Mapping[str, Any], convention: str) -> float:
    """FLOPs of what has `n_tokens` and `squared_lengths`."""
    squares = seen["squared_lengths"]
    length = cell.max_length
    return train_flops(cell.model, seen["n_tokens"], convention=convention, max_length=length, squared_lengths=squares)


def branch_tokens(record: Mapping[str, Any]) -> int:
    """Tokens that a run took over from its trunk; 0 without one."""
    return (record.get("branched_from") or {}).get("n_tokens", 0)


def device_seconds(record: Mapping[str, Any]) -> float | None:
    """Device-seconds of a run over all attempts; older records have those of one number of devices."""
    if "device_seconds" in record:
        return record["device_seconds"]
    seconds = record.get("wall_seconds")
    return None if seconds is None else seconds * record["allocation"]["world"]


def trunk_outcomes(results: Results) -> pd.DataFrame:
    """One row per trunk of the study: those columns of `outcomes` that a trunk has, `run` its job's path."""
    convention, rows = results.study.config.analysis.flops, []
    for trunk in results.trunks.values():
        frozen = trunk.cell.frozen()
        record = next((one for one in results.trunk_records if one["cell"] == frozen), None)
        identity = {"run": TRUNKS + trunk.path, "model": trunk.cell.model.name, "subset": trunk.cell.subset}
        identity |= {"schedule": TRUNK, "seed": trunk.cell.seed}
        rows.append(identity | _outcome(trunk.cell, record, None, convention=convention))
    return pd.DataFrame(rows, dtype=object)
