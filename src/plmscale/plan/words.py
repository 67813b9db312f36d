"""The plan in sentences: what it rests on, what is beyond budget or deadline, and what would help."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ..presentation.formats import compact, number, per_cent
from ..presentation.schedule_words import schedule_words
from ..study.config import Hardware
from ..study.grid import grid
from ..study.jobs import TRUNK, jobs, planned_tokens, waits
from ..study.study import Study
from ..study.trunks import SCHEDULE
from .deadline import Options, Waits, cheapest, least_device_hours
from .grid_choice import choice_rows
from .hardware.devices import Device, device_of
from .hardware.step_time import DOUBLING_EFFICIENCY
from .pace import device_for
from .plan import Records, all_options, chosen


def basis(study: Study, table: pd.DataFrame) -> str:
    """Where speeds and tokens come from."""
    config = study.config
    device = device_of(config.hardware, config.training.precision)
    peak = f"{compact(device.peak_flops)} FLOP/s peak in {config.training.precision}"
    peak += f" ({device.source})" if device.source else ""
    assumed = list(dict.fromkeys(table.loc[table["speed_from"] == "assumed", "model"]))
    parts = []
    for source in dict.fromkeys(table["speed_from"]):
        if source != "assumed":
            parts.append(f"The speed of {_listed(table.loc[table['speed_from'] == source, 'model'])} was {source}.")
    if assumed:
        whose = "All speeds are" if not parts else f"That of {_listed(assumed)} is"
        parts.append(f"{whose} an assumption: {_shares(study, assumed)} of {peak}, {_less(study, table, device)}.")
    estimated = sorted(set(table.loc[table["tokens_from"] == "estimate", "subset"]))
    parts.append(
        f"Tokens of {', '.join(estimated)} are estimates from subsets.tsv; the plan counts them once the sets exist."
        if estimated
        else "Tokens are counted."
    )
    return " ".join(parts)


def _shares(study: Study, models: Sequence[str]) -> str:
    """The share of the peak that is assumed for these sizes, and where it is published for some."""
    by_share: dict[float, list[str]] = {}
    for cell in {cell.model.name: cell for cell in reversed(grid(study)) if cell.model.name in models}.values():
        by_share.setdefault(device_for(cell, study.config.hardware).mfu, []).insert(0, cell.model.name)
    if len(by_share) == 1:
        return f"{per_cent(next(iter(by_share)))}"
    of_sizes = [f"{per_cent(share)} ({', '.join(names)})" for share, names in sorted(by_share.items())]
    return _and(of_sizes)


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]])


def _less(study: Study, table: pd.DataFrame, device: Device) -> str:
    """What speed devices lose to communication, by which rule."""
    hardware, measures = study.config.hardware, "`plmscale calibrate` measures"
    if hardware.device == "cpu" or hardware.doubling_efficiency is not None:
        lost = 1 - (hardware.doubling_efficiency or DOUBLING_EFFICIENCY)
        return f"less {per_cent(lost)} with each doubling of devices; {measures}"
    if max(table["devices"].tolist()) == 1:
        return f"on one device each; {measures}"
    between = f" and {device.network:g} GB/s between nodes" if max(table["nodes"].tolist()) > 1 else ""
    return (
        f"less what devices lose to small micro-batches and to each other over {device.link:g} GB/s in a node"
        f"{between}; {measures}. No cell has devices that would keep less than {per_cent(hardware.least_efficiency)} "
        "of their speed"
    )


def trunk_words(table: pd.DataFrame) -> str:
    """What trunks save; empty without any.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of cells and of trunks, see `plmscale.plan.plan.whole_plan`.

    Examples
    --------
    Half and whole of a set, a fifth of each in decay: 0.8 + 0.1 + 0.2 instead of 1.5.

    >>> flops = {"flops_appendix_e": [0.5, 1.0, 0.8], "flops_trained": [0.1, 0.2, 0.8]}
    >>> trunk_words(pd.DataFrame({"schedule": ["wsd", "wsd", TRUNK]} | flops))[:94]
    'The 2 cells that share trunks (warm-up, stable, decay) take 1.1 FLOPs instead of 1.5 from thei'
    """
    shared = table.loc[table["schedule"] == TRUNK]
    if not len(shared):
        return ""
    cells = table.loc[(table["schedule"] == SCHEDULE) & (table["flops_trained"] < table["flops_appendix_e"])]
    trunk, branches = shared["flops_trained"].sum(), cells["flops_trained"].sum()
    scratch = cells["flops_appendix_e"].sum()
    share = per_cent((trunk + branches) / scratch, decimals=1)
    return (
        f"The {len(cells)} cells that share trunks ({schedule_words(SCHEDULE)}) take {compact(trunk + branches)} FLOPs "
        f"instead of {compact(scratch)} from their starts, {share}: {compact(trunk)} in {len(shared)} "
        f"trunk{'s' if len(shared) > 1 else ''} and {compact(branches)} in branches. Tokens and FLOPs of a cell are "
        f"those of its whole run; FLOPs trained, hours and cost are of its own job. Trunks have rows of their own."
    )


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(str(name) for name in names))


def paragraph(study: Study, table: pd.DataFrame, total: Mapping[str, Any]) -> str:
    """The study's cost in words."""
    hardware = study.config.hardware
    costs = [f"{number(total['energy_kwh'])} kWh at a PUE of {hardware.pue:g}"] if "energy_kwh" in total else []
    if "cost" in total:
        costs.append(f"{total['cost']:,.0f} at {hardware.price_per_device_hour:g} a device-hour")
    late = table.loc[table["hours"] > hardware.target_hours]
    slow = ""
    if len(late) and hardware.deadline_hours is None:
        slow = f" {len(late)} cells need longer than the {hardware.target_hours:g} h aimed at, even on "
        slow += f"{hardware.max_nodes} × {hardware.devices_per_node} devices."
    flops = compact(total["flops_appendix_e"])
    return (
        f"{int(total['cells'])} cells, {flops} FLOPs (appendix E at {study.config.max_length} positions): "
        f"{number(total['device_hours'])} device-hours on {hardware.name}"
        f"{''.join(f', {cost}' for cost in costs)}. "
        f"The longest cell takes {number(total['longest_hours'])} h.{slow} {basis(study, table)}"
    )


def deadline_words(study: Study, counted: Mapping[str, int], records: Records) -> str:
    """How the deadline is met, or what would meet it; empty without `max_devices`."""
    hardware = study.config.hardware
    if hardware.max_devices is None:
        return ""
    tokens = planned_tokens(study, counted)
    found = chosen(study, tokens, records)
    where = f"on {hardware.max_devices} devices at once"
    order = "in the order of their FLOPs" + (", branches after their trunks," if waits(jobs(study, tokens)) else "")
    took = f"started {order} {where}, the cells are trained after {number(found.makespan)} h"
    bind = f"Keep to it with `plmscale run -- --resources devices={hardware.max_devices}`."
    if hardware.deadline_hours is None:
        return f"With this allocation, {took}. {bind}"
    options = all_options(study, tokens, records, hardware=hardware)
    if found.makespan > hardware.deadline_hours:
        return (
            f"The deadline of {hardware.deadline_hours:g} h cannot be met {where}: the quickest allocation found takes "
            f"{number(found.makespan)} h and is what stands here. {_remedy(study, tokens, records)}"
        )
    least = least_device_hours(options, deadline=hardware.deadline_hours)
    return (
        f"Deadline {hardware.deadline_hours:g} h: {took}, for {number(found.device_hours)} device-hours; no allocation "
        f"that keeps the deadline costs less than {number(least)}. {bind}"
    )


MOST_DOUBLINGS = 8
"""How often the devices are doubled in looking for enough of them."""


def _remedy(study: Study, tokens: Mapping[str, int], records: Records) -> str:
    """What would meet a deadline that cannot be met."""
    hardware, after = study.config.hardware, waits(jobs(study, tokens))
    assert hardware.deadline_hours is not None and hardware.max_devices is not None
    for doubling in range(1, MOST_DOUBLINGS):
        most = hardware.max_devices * 2**doubling
        more = hardware.model_copy(update={"max_devices": most})
        options = all_options(study, tokens, records, hardware=more)
        if cheapest(options, deadline=hardware.deadline_hours, max_devices=most, after=after):
            return f"With max_devices {most} it can be met; else give more time, or a budget_gpu_hours."
    which, hours = _longest(all_options(study, tokens, records, hardware=_unbounded(hardware)), after=after)
    return (
        f"No number of max_devices meets it: {which} {number(hours)} h on hardware.max_nodes "
        f"{hardware.max_nodes} × {hardware.devices_per_node} devices. Raise max_nodes, give more time, or leave it out."
    )


def _unbounded(hardware: Hardware) -> Hardware:
    return hardware.model_copy(update={"max_devices": None})


def _longest(options: Options, *, after: Waits) -> tuple[str, float]:
    """What takes longest on all the devices that it may have, a branch with its trunk, in words; and its hours."""
    quickest = {path: min(each.hours for each in found) for path, found in options.items()}
    hours = {path: alone + quickest.get(after.get(path, ""), 0.0) for path, alone in quickest.items()}
    path = max(hours, key=lambda one: hours[one])
    return f"{after[path]} and then {path} take" if path in after else f"{path} alone takes", hours[path]


def budget_words(study: Study, table: pd.DataFrame) -> tuple[str, pd.DataFrame | None]:
    """What the budget leaves out and what that does to the fits; empty and None without a budget.

    Parameters
    ----------
    study : Study
    table : pandas.DataFrame
        Rows of cells and of trunks, see `plmscale.plan.plan.whole_plan`.
    """
    budget = study.config.budget_gpu_hours
    if budget is None:
        return "", None
    rows = pd.DataFrame(choice_rows(study))
    n_all = len(grid(replace(study, left_out=())))
    if not study.left_out:
        return f"The budget of {number(budget)} device-hours pays for all {n_all} cells.", rows
    n_kept, spent = n_all - len(study.left_out), sum(table["device_hours"].tolist())
    over = ""
    if spent > budget:
        over = (
            f" Counted tokens and measured speeds make it {number(spent)}, more than the budget: the choice is by "
            "estimates, so that it does not change while the study runs. Lower the budget to leave out more."
        )
    return (
        f"The budget of {number(budget)} device-hours pays for {n_kept} of {n_all} cells. Left out, because "
        f"they cost most for what they add to the fits: {', '.join(study.left_out)}.{over} The table shows how well "
        "the rest is expected to determine Chinchilla's law, at the constants of Cheng et al. 2024 for masked protein "
        "models and 0.5 % noise of a run's loss: relative standard errors are proportional to the noise, their ratios "
        "are not. An interior decade is one of FLOPs in which the best size of the grid is neither its smallest nor "
        "its largest."
    ), rows
