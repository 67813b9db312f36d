"""The tables of what a study was planned to cost, and of what it took."""

from ...plan.hardware.devices import device_of
from ...presentation.formats import compact, per_cent
from ...presentation.tables import IDENTITY, Column, Table
from ...results.study_results import Results

COSTS = {"energy_kwh": "Energy (kWh)", "cost": "Cost"}
"""Columns of the plan that need the device's draw and price."""


def plan_table(results: Results) -> Table:
    """The compute plan with the tokens as counted, and the trunks that the runs left."""
    data, config = results.findings.plan, results.study.config
    device = device_of(config.hardware, config.training.precision)
    columns = [
        *IDENTITY,
        Column("N (parameters)", "n_params", "count"),
        Column("D (tokens)", "n_tokens", "count"),
        Column("C, appendix E (FLOPs)", "flops_appendix_e", "number"),
        Column("Nodes", "nodes", "count"),
        Column("Devices per node", "devices_per_node", "count"),
        Column("Micro-batch (tokens)", "micro_batch_tokens", "count"),
        Column("Accumulation steps", "grad_accum", "count"),
        Column("Memory (GiB)", "memory_gib", "number"),
        Column("Utilisation", "utilisation", "number"),
        Column("Speed", "speed_from"),
        Column("Time (h)", "hours", "number"),
        Column("Device-hours", "device_hours", "number"),
        Column("Walltime (min)", "walltime_min", "count"),
    ]
    columns += [Column(title, name, "number") for name, title in COSTS.items() if name in data]
    peak = f"{compact(device.peak_flops)} FLOP/s peak"
    note = f"{device.name}: {peak}; {per_cent(device.mfu)} of it assumed where nothing is measured."
    return Table(data, columns, notes=(note, *_of_trunks(results)))


def planned_vs_actual(results: Results) -> Table:
    """Planned and actual cost per cell and per trunk, with sums per schedule and for the study."""
    columns = (
        *IDENTITY,
        Column("Status", "status"),
        Column("Planned (tokens)", "planned_tokens", "count"),
        Column("Trained (tokens)", "seen_tokens", "count"),
        Column("Planned (h)", "planned_hours", "number"),
        Column("Actual (h)", "actual_hours", "number"),
        Column("Planned (device-hours)", "planned_device_hours", "number"),
        Column("Planned for the tokens trained (device-hours)", "planned_for_seen", "number"),
        Column("Actual (device-hours)", "actual_device_hours", "number"),
        Column("Actual ÷ planned", "ratio", "number"),
        Column("Actual ÷ planned for the tokens trained", "ratio_seen", "number"),
    )
    note = (
        "Both are from start to end of the job; actual is over all attempts, each on its own devices, of an "
        "interrupted one up to its last checkpoint. Sums: model “all”."
    )
    return Table(results.findings.costs, columns, notes=(note, *_of_trunks(results)))


def _of_trunks(results: Results) -> tuple[str, ...]:
    """What rows of trunks are; empty without any."""
    if results.findings.trunks.empty:
        return ()
    words = "A row with “trunk” for its schedule is what branches have in common, trained once"
    return (f"{words}; hours of a branch are of what comes after it.",)
