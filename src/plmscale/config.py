"""Typed configuration: the one definition of every setting.

`config/config.schema.yaml` and the table in `config/README.md` are generated from the field descriptions here
(`python -m plmscale.config_docs`); a test fails when they drift.
"""

from typing import Annotated, Literal
from urllib.parse import urlparse

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

Schedule = Literal["token_decay", "constant"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """A block of settings: frozen, and closed, so that a misspelt key is an error instead of a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Clustering(Settings):
    """How MMseqs2 makes the identity subsets."""

    method: Literal["cluster", "linclust"] = Field(
        default="cluster",
        description="`cluster`: MMseqs2's sensitive cascade; `linclust`: linear time, merges fewer remote pairs.",
    )
    coverage: Fraction = Field(
        default=0.8, description="Smallest aligned share of a sequence; which one, `cov_mode` says."
    )
    cov_mode: Literal[0, 1, 2] = Field(
        default=1,
        description="Coverage of 0 both sequences, 1 the member (ESM's pipelines), 2 the seed (the paper, literally).",
    )
    cluster_mode: Literal[0, 1, 2] = Field(
        default=2,
        description="0 greedy set cover, 1 connected component, 2 longest sequence first (as ESM's pipelines).",
    )
    sensitivity: PositiveFloat | None = Field(
        default=None,
        description="MMseqs2 `-s` of `cluster`; null: MMseqs2's choice, and 7.5 below 30 % identity.",
    )
    kmer_length: PositiveInt | None = Field(
        default=None, description="k-mer length of `cluster`; null leaves it to MMseqs2."
    )
    kmer_per_seq: PositiveInt | None = Field(
        default=100, description="k-mers per sequence of `linclust` (ESM used 100)."
    )
    memory_limit: str | None = Field(
        default=None,
        pattern=r"^\d+[KMGT]?$",
        description="MMseqs2 `--split-memory-limit`, for example `64G`; null: all there is.",
    )


class Holdout(Settings):
    """The sequences that no model trains on."""

    n_sequences: PositiveInt = Field(
        default=8000, description="Candidates drawn before any subset and excluded from all."
    )
    max_identity: Fraction = Field(
        default=0.5, description="A candidate closer than this to any training sequence leaves the holdout."
    )
    coverage: Fraction = Field(default=0.8, description="Aligned share that makes an identity count.")
    cov_mode: Literal[0, 1, 2] = Field(
        default=0, description="Coverage of 0 both sequences, 1 the training one, 2 the candidate."
    )
    sensitivity: PositiveFloat = Field(default=4.0, description="MMseqs2 `-s` of the check.")


class Masking(Settings):
    """BERT masking (paper, appendix D)."""

    fraction: float = Field(default=0.15, gt=0, lt=1, description="Share of residues that are predicted.")
    mask_share: Fraction = Field(default=0.8, description="Of these, the share that becomes MASK.")
    random_share: Fraction = Field(
        default=0.1, description="Of these, the share that becomes a random standard amino acid."
    )

    @model_validator(mode="after")
    def _shares(self) -> "Masking":
        if self.mask_share + self.random_share > 1:
            raise ValueError(f"mask_share {self.mask_share} + random_share {self.random_share} must not exceed 1")
        return self


class Optimizer(Settings):
    """Adam (paper, appendix D)."""

    name: Literal["adam", "adamw"] = Field(
        default="adam", description="`adam`: L2 penalty in the gradient; `adamw`: decoupled."
    )
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the first moment.")
    beta2: float = Field(default=0.98, ge=0, lt=1, description="Decay of the second moment.")
    epsilon: float = Field(
        default=1e-8,
        gt=0,
        le=1e-3,
        description="Adam's ε. The paper prints 10⁸, at which Adam would stand still: above 1e-3 is refused.",
    )
    weight_decay: NonNegativeFloat = Field(default=0.01, description="Weight decay.")
    gradient_clipping: NonNegativeFloat = Field(default=0.0, description="Largest gradient norm; 0 is no clipping.")


class Training(Settings):
    """Everything about training that can change a result; the size, its learning rate and the set come from the tables."""

    batch_tokens: PositiveInt = Field(
        default=50_000, description="Tokens per optimizer step over all devices, START and END included, padding not."
    )
    order: Literal["bucketed", "sorted"] = Field(
        default="bucketed",
        description="`bucketed`: by length in shuffled windows, batches shuffled; `sorted`: by length (the paper).",
    )
    precision: Literal["fp32", "tf32", "bf16"] = Field(default="fp32", description="Arithmetic of the matrix products.")
    warmup_tokens: NonNegativeInt = Field(
        default=0, description="Tokens over which the learning rate rises linearly from 0."
    )
    decay_rate: float = Field(
        default=0.999, gt=0, le=1, description="`token_decay`: lr = lr0 · decay_rate^(tokens / decay_tokens)."
    )
    decay_tokens: PositiveInt = Field(default=1_000_000, description="`token_decay`: see `decay_rate`.")
    log_every_steps: PositiveInt = Field(
        default=10, description="Optimizer steps averaged in one row of metrics.parquet."
    )
    masking: Masking = Field(default=Masking(), description="BERT masking.")
    optimizer: Optimizer = Field(default=Optimizer(), description="Adam.")


class Hardware(Settings):
    """What cells are planned on. None of it can change a result, so none of it retrains a cell."""

    device: Literal["gpu", "cpu"] = Field(default="gpu", description="Kind of device that a rank uses.")
    name: str = Field(default="A100-80GB", description="Name of the device, for the plan's tables.")
    peak_flops: PositiveFloat = Field(
        default=19.5e12,
        description="Peak FLOP/s of one device at `training.precision` (A100: fp32 19.5e12, TF32 156e12, bf16 312e12).",
    )
    mfu: float = Field(
        default=0.5, gt=0, lt=1, description="Share of the peak that training reaches: an assumption until measured."
    )
    memory_gib: PositiveFloat = Field(default=80.0, description="Memory of one device in GiB.")
    devices_per_node: PositiveInt = Field(default=8, description="Devices in a node.")
    max_nodes: PositiveInt = Field(default=4, description="Largest number of nodes for one cell.")
    target_hours: PositiveFloat = Field(
        default=24.0, description="A cell gets the fewest devices that finish within this time."
    )
    walltime_margin: float = Field(default=1.25, ge=1, description="Walltime asked for ÷ walltime planned.")
    startup_seconds: NonNegativeFloat = Field(default=60.0, description="Time before the first step of a job.")
    price_per_device_hour: NonNegativeFloat | None = Field(
        default=None, description="Money per device-hour; null leaves cost out."
    )


class Execution(Settings):
    """How cells are run. None of it can change a result beyond float rounding, so none of it retrains a cell."""

    engine: Literal["deepspeed", "torch"] = Field(
        default="deepspeed", description="Training engine; `torch` is the plain reference."
    )
    zero_stage: Literal[0, 1, 2] = Field(default=2, description="DeepSpeed ZeRO stage.")
    checkpoint_tokens: PositiveInt = Field(default=100_000_000, description="Tokens between two checkpoints of a cell.")
    keep_checkpoints: bool = Field(default=False, description="Keep the last checkpoint of a finished cell.")
    threads: PositiveInt = Field(default=1, description="CPU threads of one training rank.")


class Analysis(Settings):
    """Curves, fits and tables."""

    flops: Literal["appendix_e", "6nd", "6nd_non_embedding", "measured_lengths"] = Field(
        default="appendix_e", description="FLOP convention on every axis and in every fit."
    )
    n_envelope_points: int = Field(default=1500, ge=10, description="Log-spaced FLOPs at which the envelope is read.")
    n_bootstrap: int = Field(default=200, ge=20, description="Bootstrap replicates over runs behind every interval.")
    plateau_levels: list[float] = Field(default=[0.90, 0.95, 1.0], min_length=1, description="Levels of the plateau.")
    plateau_definition: Literal["drop", "ratio"] = Field(
        default="drop", description="`drop`: share of (first loss − plateau); `ratio`: plateau ÷ loss."
    )
    budgets: list[PositiveFloat] = Field(
        default=[1e17, 1e18, 1e19, 1e20], min_length=1, description="FLOPs for which table 2 gives an optimal size."
    )


class Config(Settings):
    """A study."""

    source: str = Field(
        default="https://ftp.uniprot.org/pub/databases/uniprot/current_release/uniref/uniref50/uniref50.fasta.gz",
        min_length=1,
        description="FASTA of the proteins: a path, or an http(s)/ftp URL to download.",
    )
    source_md5: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{32}$", description="Published MD5 of a downloaded source."
    )
    models: str = Field(default="config/models.tsv", description="Table of model sizes, one row a size.")
    subsets: str = Field(default="config/subsets.tsv", description="Table of training sets, one row a set.")
    seeds: list[NonNegativeInt] = Field(
        default=[0], min_length=1, description="Training seeds; each is a run of every cell."
    )
    data_seed: NonNegativeInt = Field(default=0, description="Seed of holdout and samples.")
    max_length: int = Field(
        default=1024,
        ge=8,
        description="Longest input in positions, START and END included; longer proteins give a random window.",
    )
    clustering: Clustering = Field(default=Clustering(), description="MMseqs2 identity subsets.")
    holdout: Holdout = Field(default=Holdout(), description="The sequences that no model trains on.")
    training: Training = Field(default=Training(), description="What can change a result.")
    hardware: Hardware = Field(default=Hardware(), description="What cells are planned on.")
    execution: Execution = Field(default=Execution(), description="How cells are run.")
    analysis: Analysis = Field(default=Analysis(), description="Curves, fits and tables.")

    @property
    def source_is_url(self) -> bool:
        """Whether the source has to be downloaded."""
        return urlparse(self.source).scheme in ("http", "https", "ftp")


class ModelSize(Settings):
    """One row of models.tsv: an ESM-2 encoder and how it is trained."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the size; part of file names.")
    n_layers: PositiveInt = Field(description="Transformer layers.")
    d_model: PositiveInt = Field(description="Embedding size.")
    d_ffn: PositiveInt = Field(description="Feed-forward size; ESM-2 has 4 × d_model.")
    n_heads: PositiveInt = Field(description="Attention heads; d_model must be an even multiple.")
    learning_rate: PositiveFloat = Field(description="Initial learning rate lr0.")
    schedules: list[Schedule] = Field(min_length=1, description="Schedules this size is trained with, comma-separated.")

    @property
    def head_dim(self) -> int:
        """Dimensions of one attention head."""
        return self.d_model // self.n_heads


class Subset(Settings):
    """One row of subsets.tsv: a set of sequences of the store, the holdout candidates left out."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Name of the set; part of file names.")
    kind: Literal["all", "cluster", "sample"] = Field(
        description="`all` sequences, MMseqs2 `cluster` representatives, or a uniform `sample`."
    )
    min_identity: float | None = Field(
        default=None, ge=0, le=1, description="`cluster`: identity threshold as a fraction."
    )
    same_size_as: str | None = Field(default=None, description="`sample`: name of the set whose size it has.")
    n_sequences: PositiveInt = Field(
        description="Exact for a `sample` without `same_size_as`; else the plan's estimate until the set exists."
    )
    train: bool = Field(description="yes: models are trained on it; no: it is only counted (table 3).")
