"""Settings of the advice on the next best cells."""

from typing import Literal

from pydantic import Field, model_validator

from .settings import DeviceHours, Flops, Settings


class AdviceSettings(Settings):
    """The question to `plmscale run advise`. No setting here can change a result."""

    budget_gpu_hours: DeviceHours | None = Field(
        default=None,
        description="Device-hours that the new cells of a schedule may cost; required by `plmscale run advise`.",
    )
    target: Literal["a", "n_opt", "loss"] = Field(
        default="a",
        description="The quantity to narrow: the exponent `a`, the optimal size (`n_opt`) or the lowest loss "
        "(`loss`) at "
        "`at_flops`.",
    )
    at_flops: Flops | None = Field(default=None, description="Training FLOPs for the targets `n_opt` and `loss`.")

    @model_validator(mode="after")
    def _budget(self) -> "AdviceSettings":
        if (self.target == "a") != (self.at_flops is None):
            needs = "has no budget: leave at_flops out" if self.target == "a" else "is asked at a budget: give at_flops"
            raise ValueError(f"the target {self.target!r} {needs}")
        return self
