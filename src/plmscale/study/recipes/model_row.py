"""Rows of models.tsv as they are read."""

from pydantic import Field

from ..config import ModelSize
from ..settings import Names, SeedCount, Tokens
from .settings import RateSetting


class ModelRow(ModelSize):
    """A row of models.tsv: its learning rate may be a rule, or left to the configuration; it may have fewer sets and
    seeds, and a stop of its own."""

    learning_rate: RateSetting | None = Field(  # pyright: ignore[reportIncompatibleVariableOverride]  (numbers in cells)
        default=None,
        description="Initial learning rate lr0: a number or a rule; empty: `training.learning_rate`.",
    )
    subsets: Names | None = Field(
        default=None, description="Sets that this size is trained on, comma-separated; empty: all."
    )
    n_seeds: SeedCount | None = Field(
        default=None, description="With how many of `seeds` this size is trained, the first ones; empty: with all."
    )
    patience_tokens: Tokens | None = Field(
        default=None,
        description="`training.stop.patience_tokens` of this size; empty: that of the configuration.",
    )
