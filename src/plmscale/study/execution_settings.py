"""Settings of how cells are run, and of the analysis: blocks of `plmscale.study.config.Config`."""

from typing import Annotated, Literal

from pydantic import Field

from .catalog import FlopConvention
from .settings import Cores, Count, Flops, Settings, Tokens


class Execution(Settings):
    """How cells are run. No setting here can change a result beyond float rounding, so none retrains a cell."""

    engine: Literal["deepspeed", "torch"] = Field(
        default="deepspeed", description="Training engine; `torch` is the plain reference implementation."
    )
    zero_stage: Literal[0, 1, 2] = Field(default=2, description="DeepSpeed ZeRO stage.")
    checkpoint_tokens: Tokens = Field(default=100_000_000, description="Tokens between two checkpoints of a cell.")
    branch: bool = Field(
        default=True,
        description="true: cells with the schedule `wsd` that differ only in their budget (sets of kind `passes` and the set that "
        "they use) share one trunk at a constant rate, and each branches off where its decay begins: the same result for "
        "less compute. false: each cell is trained from its start.",
    )
    keep_checkpoints: bool = Field(default=False, description="Keep the last checkpoint of a finished cell.")
    max_attempts: Count = Field(
        default=5,
        description="A cell is refused after so many consecutive attempts that failed by themselves without a new checkpoint.",
    )
    threads: Cores = Field(default=1, description="CPU threads per training rank.")
    compile: bool = Field(
        default=False,
        description="Compile the blocks with torch: a minute or two at the start of a job. For GPUs; no gain on CPUs.",
    )
    monitors: list[Literal["tensorboard", "csv", "wandb"]] = Field(
        default=["tensorboard"], description="Loggers that show a run while it trains; `wandb` must be installed."
    )
    wandb_project: str = Field(
        default="plmscale",
        pattern=r"^[^/\\#?%:\n]{1,128}$",
        description="Project of Weights & Biases; its environment variables (`WANDB_MODE=offline`) set the rest.",
    )
    progress_seconds: float = Field(
        default=30.0, ge=1e-3, le=86_400, description="Seconds between two progress lines in a log."
    )
    staging: str | None = Field(
        default=None,
        pattern=r"^[/$][^\n]{1,1000}$",
        description="Folder on a disk of the node, such as `/tmp` or `$TMPDIR` (a variable of the job): store and sets are copied "
        "there once, shared by the jobs of the node, and removed by the last. Where there is no room, they are read where they "
        "are. null: always there.",
    )
    container: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.:/@+=~-]{1,256}$",
        description="Image in which jobs run with Snakemake's `--sdm apptainer`: a file, or a URL such as `docker://…`; null: none.",
    )


class Analysis(Settings):
    """Curves, fits and tables."""

    flops: FlopConvention = Field(default="appendix_e", description="FLOP convention for all axes and fits.")
    final_loss: Literal["training", "holdout"] = Field(
        default="training",
        description="Loss by which runs at `cosine` and `wsd` enter the fits, which compare them at their ends alone: the "
        "training loss, smoothed, as the paper takes it at its schedules, or the loss on the holdout set, whose sequences "
        "and masks are the same for all runs, so that differences between runs are less noisy. All other runs enter by "
        "their training loss.",
    )
    n_envelope_points: int = Field(
        default=1500, ge=10, le=100_000, description="Log-spaced FLOPs at which the envelope is evaluated."
    )
    n_bootstrap: int = Field(
        default=200, ge=20, le=100_000, description="Bootstrap replicates over runs for each interval."
    )
    plateau_levels: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        default=[0.90, 0.95, 1.0], min_length=1, max_length=100, description="Levels of the plateau, as fractions."
    )
    plateau_definition: Literal["drop", "ratio"] = Field(
        default="drop",
        description="Definition of a level. `drop`: share of (first loss − plateau); `ratio`: plateau ÷ loss.",
    )
    budgets: list[Flops] = Field(
        default=[1e17, 1e18, 1e19, 1e20],
        min_length=1,
        max_length=1000,
        description="FLOPs for which table 2 gives the optimal size.",
    )
