"""Settings of the hardware that cells are planned on."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from .settings import Settings


class Hardware(Settings):
    """What cells are planned on. None of it can change a result, so none of it retrains a cell."""

    device: Literal["gpu", "cpu"] = Field(default="gpu", description="Kind of device that a rank uses.")
    name: str = Field(
        default="A100-80GB",
        description="Type of the device. Of known types (V100-16GB to H200, listed below) data sheets fill in "
        "what is null below.",
    )
    peak_flops: PositiveFloat | None = Field(
        default=None, description="Peak FLOP/s of one device at `training.precision`; null: the data sheet's."
    )
    mfu: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of the peak that one device reaches, until measured; null: 0.5 in fp32, 0.35 else, assumed.",
    )
    doubling_efficiency: float = Field(
        default=0.95,
        gt=0.5,
        le=1,
        description="Share of its speed that a device keeps when twice as many train a cell: an assumption.",
    )
    memory_gib: PositiveFloat | None = Field(
        default=None, description="Memory of one device in GiB; null: the data sheet's."
    )
    watts: PositiveFloat | None = Field(
        default=None, description="Power draw of one device at work; null: the data sheet's, else energy is left out."
    )
    pue: float = Field(
        default=1.58,
        ge=1,
        description="Energy of the site ÷ energy of its devices (world average, Uptime Institute 2023).",
    )
    devices_per_node: PositiveInt = Field(default=8, description="Devices in a node.")
    max_nodes: PositiveInt = Field(default=4, description="Largest number of nodes for one cell.")
    target_hours: PositiveFloat = Field(
        default=24.0, description="A cell gets the fewest devices that finish within this time."
    )
    deadline_hours: PositiveFloat | None = Field(
        default=None,
        description="The whole study has to be trained within this time on `max_devices`; cells then get the devices "
        "that make it cheapest, and `target_hours` is not looked at.",
    )
    max_devices: PositiveInt | None = Field(
        default=None, description="Devices that train at a time, over all cells; `deadline_hours` needs it."
    )
    calibration_steps: int = Field(
        default=20, ge=8, description="Optimizer steps of each size that `snakemake calibrate` times."
    )
    walltime_margin: float = Field(default=1.25, ge=1, description="Walltime asked for ÷ walltime planned.")
    max_walltime_hours: PositiveFloat | None = Field(
        default=None, description="Longest walltime of the partition: a longer cell takes several jobs; null: no limit."
    )
    warning_seconds: int = Field(
        default=120,
        ge=20,
        le=65535,
        description="SLURM warns so long before the walltime: time for a step and a checkpoint.",
    )
    cpus_per_device: PositiveInt = Field(default=8, description="CPU cores to ask for with each GPU.")
    startup_seconds: NonNegativeFloat = Field(
        default=60.0, description="Time before the first step of a job, until measured."
    )
    price_per_device_hour: NonNegativeFloat | None = Field(
        default=None, description="Money per device-hour; null leaves cost out."
    )

    @model_validator(mode="after")
    def _deadline(self) -> "Hardware":
        if self.deadline_hours is not None and self.max_devices is None:
            raise ValueError(f"deadline_hours {self.deadline_hours:g} needs max_devices: how many may train at a time?")
        return self
