"""One row of published_plms.tsv: a protein language model that somebody published, and what is known of its data."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from .settings import Settings

Amount = Annotated[float, Field(gt=0, le=1e18)]
"""Parameters, sequences or tokens."""

Known = Literal["n_params", "n_active", "n_sequences", "unique_tokens", "tokens_seen"]


class PublishedModel(Settings):
    """A published model. What nobody has published is empty, never guessed."""

    name: str = Field(min_length=1, description="Name in the table and the figure.")
    objective: str = Field(min_length=1, description="Training objective: MLM, CLM, ….")
    n_params: Amount = Field(description="N: all parameters.")
    n_active: Amount | None = Field(
        default=None,
        description="Parameters active for a token, if fewer (mixture of experts): its compute is counted with these.",
    )
    n_sequences: Amount | None = Field(
        default=None, description="Sequences of the training data; × 325 gives the first count of tokens."
    )
    unique_tokens: Amount | None = Field(default=None, description="Tokens of one pass over the data, as published.")
    tokens_seen: Amount | None = Field(
        default=None, description="D: tokens seen in training, repeated passes included; C = 6·N·D."
    )
    status: Literal["verified", "unverified"] = Field(
        description="`verified`: read in the source; `unverified`: quoted without a check, inferred or interpreted."
    )
    unverified: list[Known] = Field(
        default=[], description="Columns that are not verified, comma-separated; if none is named, all of them."
    )
    source: str = Field(min_length=1, description="Source of the numbers.")
    note: str = Field(default="", description="Remarks on the numbers.")

    @field_validator("unverified", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> "PublishedModel":
        if self.unverified and self.status == "verified":
            raise ValueError(f"status is verified, but unverified names {', '.join(self.unverified)}")
        if self.n_active is not None and self.n_active > self.n_params:
            raise ValueError(f"n_active {self.n_active:g} exceeds n_params {self.n_params:g}")
        return self

    def is_verified(self, column: str) -> bool:
        """Whether the number in a column was read in its source."""
        return self.status == "verified" or (bool(self.unverified) and column not in self.unverified)
