"""Settings of the analysis of runs that somebody else trained, and of comparisons."""

from typing import Literal

from pydantic import Field

from .settings import Nats, Settings


class OwnRuns(Settings):
    """How `runs` are read: what their file does not contain."""

    format: str | None = Field(
        default=None,
        description="Format (`plmscale fit --help` lists them); null: detected from the path.",
    )
    flops: Literal["given", "6nd"] = Field(
        default="given", description="`given`: FLOPs of the file, or 6·N·D where it has none; `6nd`: always 6·N·D."
    )
    loss_column: str | None = Field(
        default=None, description="Column or metric that is the loss, if there are several candidates."
    )
    describe: str | None = Field(default=None, description="Table with what an export lacks: run, n_params, ….")
    columns: dict[str, str] = Field(
        default={}, description="Columns by field, where names do not say it: `{n_params: config.model.num_params}`."
    )
    target_loss: Nats = Field(default=2.455, description="Loss in nats for which the cost of each size is computed.")


class ComparisonSettings(Settings):
    """How `compare` is done."""

    names: list[str] = Field(default=[], description="A name for each folder; if empty, the last part of its path.")
    by: list[Literal["study", "schedule", "set"]] = Field(
        default=[], description="What is compared; if empty, studies, or the schedules and sets of one folder."
    )
