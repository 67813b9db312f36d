"""The base of every block of settings."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """A block of settings: frozen, and closed, so that a misspelt key is an error instead of a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


InitialWeights = Literal["bert", "fan_in", "fair_esm"]
"""What the weights are drawn from that training starts with (`plmscale.model.initial_weights`)."""
