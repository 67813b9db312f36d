"""What the jobs of a study were planned to cost, and what they took."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from ..presentation.formats import is_missing
from ..results.study_results import Results
from ..study.jobs import TRUNK
from .allocation import Allocation


def planned_and_actual(
    results: Results,
    planned: pd.DataFrame,
    allocations: Mapping[str, Allocation],
    *,
    done: tuple[pd.DataFrame, ...],
) -> pd.DataFrame:
    """Planned and actual cost: one row per cell, one per trunk, then sums per schedule and for the study.

    Parameters
    ----------
    results : Results
    planned : DataFrame
        `plmscale.plan.plan.whole_plan` with the tokens as counted and the trunks that the runs left.
    allocations : mapping of str to Allocation
        Those of `planned`, by the paths of the jobs.
    done : tuple of DataFrame
        What came of the cells, and of the trunks (`plmscale.results.outcomes`).

    Returns
    -------
    pandas.DataFrame
        All of it is of what a job trains itself: of a branch what comes after its trunk, which has a row of its own
        with "wsd trunk" for its schedule. Runs that were trained without a trunk are planned so.
        `planned_hours` is the plan's time from start to end of the job, start-up included; `actual_hours` that of the
        job's processes, over all attempts (of an interrupted one up to its last checkpoint). Device-hours are hours ×
        devices, of the actual ones attempt by attempt. `ratio` is actual ÷ planned device-hours; in a sum, over the
        rows that have both. A run that ended before its pass did has `seen_tokens` below `planned_tokens`:
        `planned_for_seen` is what the plan gives that many, and `ratio_seen` actual ÷ that. Rows of sums have `model`
        "all"; those of trunks are in a sum of their own, and in that of the study.
    """
    # Both have one row per cell, in the order of the grid, then one per trunk.
    jobs = pd.concat([part for part in done if len(part)], ignore_index=True)
    seen = dict(zip(jobs["run"], jobs["tokens_trained"], strict=True))
    table = jobs[["run", "model", "subset", "schedule", "seed", "status"]].assign(
        planned_tokens=planned["tokens_trained"],
        seen_tokens=jobs["tokens_trained"],
        planned_devices=planned["devices"],
        actual_devices=jobs["world"],
        planned_hours=planned["hours"],
        actual_hours=jobs["wall_seconds"].astype(float) / 3600,
        planned_device_hours=planned["device_hours"],
        planned_for_seen=_planned_for(results, allocations, seen),
        actual_device_hours=jobs["device_seconds"].astype(float) / 3600,
    )
    table["ratio"] = table["actual_device_hours"] / table["planned_device_hours"]
    table["ratio_seen"] = table["actual_device_hours"] / table["planned_for_seen"]
    rows = table.to_dict("records")
    names = [*results.schedules, *([TRUNK] if results.trunks else [])]
    sums = [_sum([row for row in rows if row["schedule"] == name], name) for name in names]
    return pd.DataFrame([*rows, *sums, _sum(rows, "study")], columns=table.columns, dtype=object)


def _planned_for(
    results: Results, allocations: Mapping[str, Allocation], seen: Mapping[str, int | None]
) -> list[float]:
    """Device-hours that the plan gives the tokens that each job has trained, in the order of `seen`; NaN without."""
    every = results.study.config.execution.checkpoint_tokens
    hours = []
    for path, n_tokens in seen.items():
        one = allocations[path]
        options = {"grad_accum": one.grad_accum, "checkpoint_tokens": every}
        seconds = float("nan") if n_tokens is None else one.pace.seconds(n_tokens, one.devices, **options)
        hours.append(seconds * one.devices / 3600)
    return hours


def _sum(rows: Sequence[Mapping[Hashable, Any]], name: str) -> dict[str, Any]:
    timed = [row for row in rows if not is_missing(row["actual_device_hours"])]
    total: dict[str, Any] = {"run": "sum", "model": "all", "schedule": name}
    planned = ("planned_tokens", "planned_hours", "planned_device_hours")
    total |= {key: sum(row[key] for row in rows) for key in planned}
    if not timed:
        return total
    actual = ("seen_tokens", "actual_hours", "planned_for_seen", "actual_device_hours")
    total |= {key: sum(row[key] for row in timed) for key in actual}
    total["ratio"] = total["actual_device_hours"] / sum(float(row["planned_device_hours"]) for row in timed)
    return total | {"ratio_seen": total["actual_device_hours"] / total["planned_for_seen"]}
