"""Settings of the hardware that cells are planned on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .catalog import STARTUP_SECONDS
from .settings import Cores, Hours, Settings

FlopsPerSecond = Annotated[float, Field(ge=1e6, le=1e21)]
GigabytesPerSecond = Annotated[float, Field(ge=1e-3, le=1e5)]
Amount = Annotated[float, Field(ge=1e-6, le=1e6)]


class Hardware(Settings):
    """The hardware of the plan. No setting here can change a result, so none retrains a cell."""

    device: Literal["gpu", "cpu"] = Field(default="gpu", description="Kind of device, one per rank.")
    name: str = Field(
        default="A100-80GB",
        description="Type of the device. For known types (V100-16GB to MI300X, listed below), the data sheet gives the "
        "values that are null.",
    )
    peak_flops: FlopsPerSecond | None = Field(
        default=None, description="Peak FLOP/s of one device at `training.precision`; null: the data sheet's."
    )
    mfu: float | None = Field(
        default=None,
        ge=1e-6,
        lt=1,
        description="Utilisation: share of the peak that one device reaches, until calibration has measured it; null: "
        "an assumption, 0.5 in fp32 and 0.35 otherwise.",
    )
    link_gb_s: GigabytesPerSecond | None = Field(
        default=None,
        description="Bandwidth of a device to the others of its node, GB/s in one direction, of which a sum over "
        "devices is assumed to reach 0.8; null: the data sheet's.",
    )
    network_gb_s: GigabytesPerSecond | None = Field(
        default=None,
        description="Bandwidth of a node to other nodes, GB/s in one direction, all adapters together, of which a sum "
        "is assumed to reach 0.95; null: that of the vendor's own system for the type, else one adapter of 100 Gb/s.",
    )
    doubling_efficiency: float | None = Field(
        default=None,
        gt=0.5,
        le=1,
        description="Share of its speed that a device keeps when the devices of a cell double in number, instead of a "
        "model; null: GPUs by a model of communication and micro-batches, CPUs 0.95, an assumption.",
    )
    least_efficiency: float = Field(
        default=0.65,
        gt=0,
        le=1,
        description="Share of its speed alone that a GPU must keep in a cell: the plan gives a cell no more devices "
        "than keep it, even if it misses `target_hours`. Not with `doubling_efficiency` or `deadline_hours`.",
    )
    memory_gib: Amount | None = Field(default=None, description="Memory of one device in GiB; null: the data sheet's.")
    watts: Amount | None = Field(
        default=None, description="Power of one device under load; null: the data sheet's, or no energy in the plan."
    )
    pue: float = Field(
        default=1.58,
        ge=1,
        le=100,
        description="Energy of the site ÷ energy of its devices (world average, Uptime Institute 2023).",
    )
    devices_per_node: int = Field(default=8, ge=1, le=1024, description="Devices per node.")
    max_nodes: int = Field(default=4, ge=1, le=10_000, description="Largest number of nodes for one cell.")
    target_hours: Hours = Field(
        default=24.0, description="A cell gets the fewest devices that finish within this time."
    )
    deadline_hours: Hours | None = Field(
        default=None,
        description="Time within which the whole study must be trained on `max_devices`; cells then get the devices "
        "that make it cheapest, and `target_hours` is ignored.",
    )
    max_devices: int | None = Field(
        default=None,
        ge=1,
        le=10**8,
        description="Devices that train at the same time, over all cells; required by `deadline_hours`.",
    )
    calibration_steps: int = Field(
        default=20, ge=8, le=100_000, description="Optimizer steps of each size that `plmscale calibrate` times."
    )
    walltime_margin: float = Field(
        default=1.25,
        ge=1,
        le=100,
        description="Requested ÷ planned walltime, besides the warning and 1 min for the start; 10 min at least.",
    )
    max_walltime_hours: Hours | None = Field(
        default=None, description="Longest walltime of the partition; a longer cell takes several jobs. null: no limit."
    )
    warning_seconds: int = Field(
        default=120,
        ge=20,
        le=65535,
        description="Seconds before the walltime at which SLURM sends a warning: time for a step and a checkpoint.",
    )
    cpus_per_device: Cores = Field(default=8, description="CPU cores to request with each GPU.")
    startup_seconds: float = Field(
        default=STARTUP_SECONDS,
        ge=0,
        le=1e6,
        description="Time before the first step of a job, until calibration has measured it.",
    )
    price_per_device_hour: float | None = Field(
        default=None, ge=0, le=1e9, description="Price of a device-hour, in any currency; null: no money in the plan."
    )

    @model_validator(mode="after")
    def _deadline(self) -> "Hardware":
        if self.deadline_hours is not None and self.max_devices is None:
            raise ValueError(f"deadline_hours {self.deadline_hours:g} needs max_devices: how many may train at a time?")
        return self
