"""How weights, rates and multipliers change with the width of an encoder."""

from typing import Literal

from pydantic import Field

from ..settings import LARGEST_SHAPE, Settings

Parametrization = Literal["standard", "mup"]


class Mup(Settings):
    """The parametrization `mup`: the size at which it is the same as `standard`, and whose learning rate is given."""

    base_d_model: int = Field(
        default=320, ge=1, le=LARGEST_SHAPE["d_model"], description="`mup`: `d_model` of the size that was tuned."
    )
    base_head_dim: int = Field(
        default=16, ge=1, le=LARGEST_SHAPE["d_model"], description="`mup`: its features per attention head."
    )
