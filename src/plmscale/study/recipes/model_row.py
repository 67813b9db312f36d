"""Rows of models.tsv as they are read."""

from pydantic import Field

from ..config import ModelSize
from ..settings import Seeds
from .settings import RateSetting


class ModelRow(ModelSize):
    """A row of models.tsv: its learning rate may be a rule, or left to the configuration, and so may its seeds."""

    learning_rate: RateSetting | None = Field(  # pyright: ignore[reportIncompatibleVariableOverride]  (numbers in cells)
        default=None,
        description="Initial learning rate lr0: a number or a rule; empty: `training.learning_rate`.",
    )
    seeds: Seeds | None = Field(
        default=None, description="Training seeds of this size, comma-separated; empty: `seeds` of the configuration."
    )
