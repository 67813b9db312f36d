"""The base of every block of settings."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from .names import each_once

# Ends are far beyond what anybody has trained or has, and near enough that a plan with all of them ends in seconds and
# no arithmetic overflows or divides by zero; a test computes both.
Fraction = Annotated[float, Field(ge=0, le=1)]
Tokens = Annotated[int, Field(ge=1, le=10**16)]
TokensOrNone = Annotated[int, Field(ge=0, le=10**16)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Cores = Annotated[int, Field(ge=1, le=4096)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=1000), AfterValidator(each_once)]
SeedCount = Annotated[int, Field(ge=1, le=1000)]
Nats = Annotated[float, Field(ge=1e-9, le=1e9)]
Hours = Annotated[float, Field(ge=1e-12, le=1e9)]
DeviceHours = Annotated[float, Field(ge=1e-9, le=1e12)]
Flops = Annotated[float, Field(ge=1, le=1e35)]
Sensitivity = Annotated[float, Field(ge=1e-3, le=20)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
Names = Annotated[list[Name], Field(min_length=1), AfterValidator(each_once)]


LARGEST_SHAPE = {"n_layers": 1000, "d_model": 131_072, "d_ffn": 1_048_576, "n_heads": 4096}
"""Bounds of an encoder, in a table of sizes as in somebody's checkpoint: 100 times the largest published one."""


class Settings(BaseModel):
    """A block of settings: frozen, and closed, so that a misspelt key is an error instead of a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic takes true for 1."""
        kind = str(cls.model_fields[str(info.field_name)].annotation)
        truths = value if isinstance(value, list) else [value]
        if "bool" not in kind and any(isinstance(one, bool) for one in truths):
            raise ValueError("true and false are no value of this setting")
        return value


InitialWeights = Literal["bert", "fan_in", "fair_esm"]
"""What the weights are drawn from that training starts with (`plmscale.model.initial_weights`)."""
