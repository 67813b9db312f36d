"""What came of every cell: one row each, for tables, figures and summary."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from .curves import Curve
from .formats import is_missing
from .grid import Cell, count_params, grid, train_flops
from .plan import chosen, plan, planned_tokens
from .results import Results


def counted_tokens(results: Results) -> dict[str, int]:
    """Exact tokens of one pass over each set of the study."""
    return {name: int(counts["n_tokens"]) for name, counts in results.subsets.items()}


def outcomes(results: Results) -> pd.DataFrame:
    """One row per cell of the study, in the order of the grid.

    Returns
    -------
    pandas.DataFrame
        Identity (`run`, `model`, `subset`, `schedule`, `seed`); `status`; `stopped`, "plateau" of a finished run that
        ended before its pass did; `reason` of either; `n_params`, `n_tokens` seen, `tokens_trained`, of
        them those after its trunk,
        `tokens_per_param`, `flops` by the study's convention; `final_loss`, the smoothed loss at the last evaluation,
        `holdout_loss` (both nats per masked token), its 95 % interval over sequences `holdout_loss_low` to
        `holdout_loss_high`, and `holdout_perplexity`; `lr_fraction_end`; `seconds` of training
        steps, `wall_seconds` and `device_seconds` of the jobs, over all attempts; `resumed`, how often the run was
        taken up again; `world`, the devices of its last attempt. None where a run did not get so
        far; a cell without a record has status "missing".
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
    flops = None
    if n_tokens is not None:
        flops = train_flops(
            cell.model,
            n_tokens,
            convention=convention,
            max_length=cell.max_length,
            squared_lengths=record["squared_lengths"],
        )
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


def branch_tokens(record: Mapping[str, Any]) -> int:
    """Tokens that a run took over from its trunk; 0 without one."""
    return (record.get("branched_from") or {}).get("n_tokens", 0)


def device_seconds(record: Mapping[str, Any]) -> float | None:
    """Device-seconds of a run over all attempts; older records have those of one number of devices."""
    if "device_seconds" in record:
        return record["device_seconds"]
    seconds = record.get("wall_seconds")
    return None if seconds is None else seconds * record["allocation"]["world"]


def planned_and_actual(results: Results) -> pd.DataFrame:
    """Planned and actual cost: one row per cell, then sums per schedule and for the study.

    Returns
    -------
    pandas.DataFrame
        `planned_hours` is the plan's time from start to end of the job, start-up included; `actual_hours` that of the
        job's processes, over all attempts (of an interrupted one up to its last checkpoint). Device-hours are hours ×
        devices, of the actual ones attempt by attempt. `ratio` is actual ÷ planned device-hours; in a sum, over the
        cells that have both. Of a branch, plan and actual are those of its own job; trunks are no rows here. A run
        that ended before its pass did has `seen_tokens` below `planned_tokens`:
        `planned_for_seen` is what the plan gives that many, and `ratio_seen` actual ÷ that. Rows of sums have `model`
        "all".
    """
    counted = counted_tokens(results)
    planned = plan(results.study, counted, results.calibrations)
    done = outcomes(results)
    # Both have one row per cell, in the order of the grid.
    table = done[["run", "model", "subset", "schedule", "seed", "status"]].assign(
        planned_tokens=planned["n_tokens"],
        seen_tokens=done["n_tokens"],
        planned_devices=planned["devices"],
        actual_devices=done["world"],
        planned_hours=planned["hours"],
        actual_hours=done["wall_seconds"].astype(float) / 3600,
        planned_device_hours=planned["device_hours"],
        planned_for_seen=_planned_for(results, counted, dict(zip(done["run"], done["tokens_trained"], strict=True))),
        actual_device_hours=done["device_seconds"].astype(float) / 3600,
    )
    table["ratio"] = table["actual_device_hours"] / table["planned_device_hours"]
    table["ratio_seen"] = table["actual_device_hours"] / table["planned_for_seen"]
    cells = table.to_dict("records")
    sums = [_sum([cell for cell in cells if cell["schedule"] == name], name) for name in results.schedules]
    rows = [*cells, *sums, _sum(cells, "study")]
    return pd.DataFrame(rows, columns=table.columns, dtype=object)


def _planned_for(results: Results, counted: Mapping[str, int], seen: Mapping[str, int | None]) -> list[float]:
    """Device-hours that the plan gives the tokens that each run has seen, in the order of `seen`; NaN without a run."""
    study = results.study
    found = chosen(study, planned_tokens(study, counted), results.calibrations).allocations
    every = study.config.execution.checkpoint_tokens
    hours = []
    for path, n_tokens in seen.items():
        devices, pace = found[path].devices, found[path].pace
        seconds = float("nan") if n_tokens is None else pace.seconds(n_tokens, devices, checkpoint_tokens=every)
        hours.append(seconds * devices / 3600)
    return hours


def _sum(cells: Sequence[Mapping[Hashable, Any]], name: str) -> dict[str, Any]:
    timed = [cell for cell in cells if not is_missing(cell["actual_device_hours"])]
    row: dict[str, Any] = {"run": "sum", "model": "all", "schedule": name}
    planned = ("planned_tokens", "planned_hours", "planned_device_hours")
    row |= {key: sum(cell[key] for cell in cells) for key in planned}
    if not timed:
        return row
    actual = ("seen_tokens", "actual_hours", "planned_for_seen", "actual_device_hours")
    row |= {key: sum(cell[key] for cell in timed) for key in actual}
    row["ratio"] = row["actual_device_hours"] / sum(float(cell["planned_device_hours"]) for cell in timed)
    return row | {"ratio_seen": row["actual_device_hours"] / row["planned_for_seen"]}
