"""One row of published_plms.tsv: a protein language model that somebody published, and what is known of its data."""

from typing import Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from .settings import Settings

Known = Literal["n_params", "n_active", "n_sequences", "unique_tokens", "tokens_seen"]


class PublishedModel(Settings):
    """A published model. What nobody has published is empty, never guessed."""

    name: str = Field(min_length=1, description="As the table and the figure call it.")
    objective: str = Field(min_length=1, description="What it was trained to do: MLM, CLM, ….")
    n_params: PositiveFloat = Field(description="N: all parameters.")
    n_active: PositiveFloat | None = Field(
        default=None,
        description="Parameters that a token meets, where fewer (mixture of experts): those of its compute.",
    )
    n_sequences: PositiveFloat | None = Field(
        default=None, description="Sequences of the training data; × 325 they are the tokens of the 325-rule."
    )
    unique_tokens: PositiveFloat | None = Field(
        default=None, description="Tokens of one pass over the data, as published."
    )
    tokens_seen: PositiveFloat | None = Field(
        default=None, description="D: tokens that training showed it, passes included; C = 6·N·D."
    )
    status: Literal["verified", "unverified"] = Field(
        description="`verified`: read in the source; `unverified`: quoted unchecked, inferred or interpreted."
    )
    unverified: list[Known] = Field(
        default=[], description="Columns that are not verified, comma-separated; all of them if none is named."
    )
    source: str = Field(min_length=1, description="Where the numbers are from.")
    note: str = Field(default="", description="What to know about them.")

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
