"""Typed configuration: the one definition of every setting.

`workflow/schemas/config.schema.yaml` and the table in `config/README.md` are generated from the field descriptions here
(`python docs/generators/config_docs.py`); a test fails when they drift.
"""

from typing import Any, Literal
from urllib.parse import urlparse

from pydantic import Field, field_validator, model_validator

from .advice_settings import AdviceSettings
from .catalog import PLMS_TSV
from .comparison_settings import ComparisonSettings, OwnRuns
from .data_settings import Clustering, Holdout
from .execution_settings import Analysis, Execution
from .forecast_settings import ForecastSettings
from .hardware_settings import Hardware
from .names import check_path, check_url, each_once
from .recipes.parametrization import Mup, Parametrization
from .recipes.settings import BatchSetting, DecaySetting, RateSetting
from .schedule_settings import Cosine, Health, Schedule, Stop, Wsd
from .settings import (
    LARGEST_SHAPE,
    Count,
    DeviceHours,
    Fraction,
    InitialWeights,
    Name,
    Names,
    Seed,
    SeedCount,
    Seeds,
    Settings,
    Tokens,
    TokensOrNone,
)


class Masking(Settings):
    """BERT masking (paper, appendix D)."""

    fraction: float = Field(default=0.15, gt=0, lt=1, description="Share of the residues that are predicted.")
    mask_share: Fraction = Field(default=0.8, description="Share of these that is replaced by MASK.")
    random_share: Fraction = Field(default=0.1, description="Share that is replaced by a random standard residue.")

    @model_validator(mode="after")
    def _shares(self) -> "Masking":
        if self.mask_share + self.random_share > 1:
            raise ValueError(f"mask_share {self.mask_share} + random_share {self.random_share} must not exceed 1")
        return self


class Optimizer(Settings):
    """Adam (paper, appendix D)."""

    name: Literal["adam", "adamw"] = Field(
        default="adam",
        description="`adam`: weight decay as an L2 penalty in the gradient; `adamw`: decoupled weight decay.",
    )
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Decay of the first moment.")
    beta2: float = Field(default=0.98, ge=0, lt=1, description="Decay of the second moment.")
    epsilon: float = Field(
        default=1e-8,
        ge=1e-30,
        le=1e-3,
        description="Adam's ε. The paper prints 10⁸, with which Adam would not move; values above 1e-3 are refused.",
    )
    weight_decay: float = Field(default=0.01, ge=0, le=100, description="Weight decay.")
    gradient_clipping: float = Field(default=0.0, ge=0, le=1e9, description="Largest gradient norm; 0: no clipping.")


class Training(Settings):
    """Everything about training that can change a result; the size, its learning rate and the set come from the tables."""

    batch_tokens: int = Field(
        default=50_000,
        ge=1,
        le=10**9,
        description="Tokens per optimizer step over all devices, with START and END, without padding.",
    )
    order: Literal["bucketed", "sorted"] = Field(
        default="bucketed",
        description="`bucketed`: sorted by length within random windows, batches shuffled; `sorted`: by length (the paper).",
    )
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        default="fp32", description="Number format of the matrix products."
    )
    initial_weights: InitialWeights = Field(
        default="bert",
        description="What training starts from. `bert`: normal, standard deviation 0.02; `fan_in`: normal, 1/√(features in), for widths "
        "below 320; `fair_esm`: as the constructor of fair-esm draws them. In cell.json unless it is `bert`.",
    )
    parametrization: Parametrization = Field(
        default="standard",
        description="How initial weights, rates and multipliers change with width. `mup`: the best learning rate of a narrow size is that "
        "of a wide one (Yang et al. 2022, table 8); needs `adamw` or no weight decay. In cell.json unless it is `standard`.",
    )
    mup: Mup = Field(default=Mup(), description="The parametrization `mup`.")
    warmup_tokens: TokensOrNone = Field(
        default=0, description="Tokens during which the learning rate rises linearly from 0."
    )
    decay_rate: float = Field(
        default=0.999, ge=1e-9, le=1, description="`token_decay`: lr = lr0 · decay_rate^(tokens / decay_tokens)."
    )
    decay_tokens: Tokens = Field(default=1_000_000, description="`token_decay`: see `decay_rate`.")
    cosine: Cosine = Field(default=Cosine(), description="The schedule `cosine`.")
    wsd: Wsd = Field(default=Wsd(), description="The schedule `wsd`.")
    stop: Stop = Field(default=Stop(), description="Stop at the plateau.")
    log_every_steps: Count = Field(default=10, description="Optimizer steps averaged in one row of metrics.parquet.")
    masking: Masking = Field(default=Masking(), description="BERT masking.")
    optimizer: Optimizer = Field(default=Optimizer(), description="Adam.")
    health: Health = Field(default=Health(), description="Divergence and spikes.")

    @model_validator(mode="after")
    def _decay_by_width(self) -> "Training":
        if self.parametrization == "mup" and self.optimizer.name == "adam" and self.optimizer.weight_decay != 0:
            raise ValueError("parametrization: mup needs optimizer.name adamw, or a weight_decay of 0")
        return self


class AskedOptimizer(Optimizer):
    """The optimizer as a configuration asks for it: the weight decay may be a rule."""

    weight_decay: DecaySetting = Field(  # pyright: ignore[reportIncompatibleVariableOverride]  (a number in a cell)
        default=0.01, description="Weight decay: a number, `paper`, or a formula, see `training.learning_rate`."
    )


class AskedTraining(Training):
    """The training as a configuration asks for it: rules in it become numbers of each cell (`study.recipes`)."""

    learning_rate: RateSetting | None = Field(
        default=None,
        description="Initial learning rate lr0 of sizes without one in models.tsv: a number; a published rule (`paper`, `esm2`, `bi2024`, "
        "`li2025`); a formula such as `4e-4 * (N / 35e6)^-0.2 * (D / 1e9)^-0.32`; or a study's `learning_rates.json` (docs/howto/recipes.md).",
    )
    batch_tokens: BatchSetting = Field(  # pyright: ignore[reportIncompatibleVariableOverride]  (likewise)
        default=50_000,
        description="Tokens per optimizer step over all devices, with START and END, without padding: a number, a published rule or a formula.",
    )
    optimizer: AskedOptimizer = Field(  # pyright: ignore[reportIncompatibleVariableOverride]  (likewise)
        default=AskedOptimizer(), description="Adam."
    )


class Config(Settings):
    """A study."""

    source: str = Field(
        default="https://ftp.uniprot.org/pub/databases/uniprot/current_release/uniref/uniref50/uniref50.fasta.gz",
        min_length=1,
        description="FASTA of the proteins: a path, or an http(s) or ftp URL to download.",
    )
    source_metalink: str | None = Field(
        default="https://ftp.uniprot.org/pub/databases/uniprot/current_release/uniref/uniref50/RELEASE.metalink",
        pattern=r"^(https?|ftp)://",
        description="Metalink that publishes the size and the MD5 of a downloaded source; null: none.",
    )
    source_release: str | None = Field(
        default=None,
        pattern=r"^\d{4}_\d{2}$",
        description="Release that the metalink must name, for example `2024_02`; null: any release, which is recorded.",
    )
    source_md5: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{32}$", description="Published MD5 of a downloaded source."
    )
    models: str = Field(default="config/models.tsv", description="Table of model sizes, one row per size.")
    subsets: str = Field(default="config/subsets.tsv", description="Table of training sets, one row per set.")
    published_models: str = Field(default=PLMS_TSV, description="Table of published models that are placed on the law.")
    seeds: Seeds = Field(default=[0], description="Training seeds; every cell is trained once per seed.")
    data_seed: Seed = Field(default=0, description="Seed for the holdout and the samples.")
    max_length: int = Field(
        default=1024,
        ge=8,
        le=1_000_000,
        description="Longest input in positions, with START and END; of a longer protein, a random window is used.",
    )
    budget_gpu_hours: DeviceHours | None = Field(
        default=None,
        description="Device-hours that training may cost according to the plan; other cells are left out (`plmscale plan` "
        "lists them, and the effect on the fits). null: all cells are trained.",
    )
    clustering: Clustering = Field(default=Clustering(), description="MMseqs2 identity subsets.")
    holdout: Holdout = Field(default=Holdout(), description="The sequences that no model trains on.")
    training: AskedTraining = Field(default=AskedTraining(), description="Settings that can change a result.")
    hardware: Hardware = Field(default=Hardware(), description="The hardware of the plan.")
    execution: Execution = Field(default=Execution(), description="How cells are run.")
    analysis: Analysis = Field(default=Analysis(), description="Curves, fits and tables.")
    runs: str | None = Field(
        default=None,
        description="Runs that you or somebody else trained, a table or a folder; `plmscale run fits` analyses them.",
    )
    own_runs: OwnRuns = Field(default=OwnRuns(), description="How `runs` are read.")
    compare: list[str] = Field(
        default=[],
        description="Folders of results, of studies or of `plmscale fit`; `plmscale run compare` compares them.",
    )
    comparison: ComparisonSettings = Field(default=ComparisonSettings(), description="How `compare` is done.")
    forecast: ForecastSettings = Field(
        default=ForecastSettings(), description="What is predicted before it is trained."
    )
    advice: AdviceSettings = Field(default=AdviceSettings(), description="The question to `plmscale run advise`.")

    @field_validator("source", "models", "subsets", "published_models", "runs", "compare")
    @classmethod
    def _named(cls, value: Any) -> Any:
        for path in value if isinstance(value, list) else [value]:
            check_path(path)
        return value

    @field_validator("source", "source_metalink")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        return check_url(value)

    @property
    def source_is_url(self) -> bool:
        """Whether the source has to be downloaded."""
        return urlparse(self.source).scheme in ("http", "https", "ftp")


class ModelSize(Settings):
    """One row of models.tsv: an ESM-2 encoder and how it is trained."""

    name: Name = Field(description="Name of the size; part of file names.")
    n_layers: int = Field(ge=1, le=LARGEST_SHAPE["n_layers"], description="Transformer layers.")
    d_model: int = Field(ge=1, le=LARGEST_SHAPE["d_model"], description="Embedding size.")
    d_ffn: int = Field(ge=1, le=LARGEST_SHAPE["d_ffn"], description="Feed-forward size; in ESM-2, 4 × `d_model`.")
    n_heads: int = Field(
        ge=1, le=LARGEST_SHAPE["n_heads"], description="Attention heads; `d_model` must be an even multiple."
    )
    learning_rate: float = Field(ge=1e-30, le=1e30, description="Initial learning rate lr0.")
    schedules: list[Schedule] = Field(
        min_length=1, description="Schedules with which this size is trained, comma-separated."
    )

    @field_validator("schedules")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        return each_once(value)

    @property
    def head_dim(self) -> int:
        """Dimensions of one attention head."""
        return self.d_model // self.n_heads


class Subset(Settings):
    """One row of subsets.tsv: a set of sequences of the store, the holdout candidates left out."""

    name: Name = Field(description="Name of the set; part of file names.")
    kind: Literal["all", "cluster", "sample", "passes"] = Field(
        description="`all`: all sequences; `cluster`: MMseqs2 representatives; `sample`: a uniform sample; `passes`: passes over another set."
    )
    min_identity: float | None = Field(
        default=None, ge=0, le=1, description="`cluster`: identity threshold as a fraction."
    )
    same_size_as: str | None = Field(
        default=None, description="`sample`: name of the set whose number of sequences it takes."
    )
    of: str | None = Field(default=None, description="`passes`: name of the set whose sequences are used.")
    epochs: float | None = Field(
        default=None,
        ge=1e-9,
        le=10_000,
        description="`passes`: number of passes; 0.25 is the first quarter of the first pass, 4 are four passes, each in another order.",
    )
    n_sequences: int = Field(
        default=1,
        ge=1,
        le=10**12,
        description="Exact for a `sample` without `same_size_as`; else an estimate. Empty for `passes`, else required.",
    )
    n_tokens: int | None = Field(
        default=None,
        ge=1,
        le=10**16,
        description="Tokens of one pass at `max_length`, START and END included, where they are known: the plan counts with them until the "
        "set exists. Empty: 325 residues a sequence are assumed, cut to `max_length`. Not for `passes`.",
    )
    train: bool = Field(description="`yes`: models are trained on it; `no`: it is only counted (table 3).")
    schedules: list[Schedule] | None = Field(
        default=None,
        min_length=1,
        description="Schedules with which sizes are trained on this set, comma-separated; empty: all that a size has.",
    )
    models: Names | None = Field(
        default=None, description="Sizes that are trained on this set, comma-separated; empty: all."
    )
    n_seeds: SeedCount | None = Field(
        default=None, description="With how many of `seeds` sizes are trained on it, the first ones; empty: with all."
    )

    @model_validator(mode="after")
    def _sizes(self) -> "Subset":
        if self.kind != "passes" and "n_sequences" not in self.model_fields_set:
            raise ValueError("n_sequences: is missing")
        return self
