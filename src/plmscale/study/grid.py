"""The grid of cells, and how parameters and FLOPs are counted.

Parameters and FLOPs follow appendices E and F of Serrano et al. 2024 (arXiv 2406.07249), which follow Hoffmann et al.
2022 with the RoBERTa head added: biases, layer norms and non-linearities are left out, the tied embedding is counted
twice (input and head), and the backward pass costs twice the forward pass.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any, get_args

from .config import Health, ModelSize, Training
from .schedule_settings import Schedule
from .study import Study

VOCABULARY_SIZE = 29
"""Tokens of the paper's alphabet (appendix B): 20 amino acids, B, U, O, Z, X, PAD, MASK, START, END."""

RESIDUES_PER_SEQUENCE = 325
"""The paper's estimate of a sequence's length (appendix A, table 3)."""

BACKWARD_PER_FORWARD = 2
"""FLOPs of the backward pass relative to the forward pass (appendix E)."""

SCHEDULE_BLOCKS = frozenset(get_args(Schedule)) & frozenset(Training.model_fields)
"""Blocks of `training` that are named after a schedule and concern it alone."""


@dataclass(frozen=True)
class Cell:
    """One training run: a size, a set, a schedule and a seed, with everything that its result may depend on.

    Where the set is one of kind `passes`, `of` is the set that it makes `epochs` passes over.
    """

    model: ModelSize
    subset: str
    schedule: str
    seed: int
    training: Training
    max_length: int
    of: str | None = None
    epochs: float = 1.0

    @property
    def data(self) -> str:
        """The set whose sequences are trained on: `subset`, or the one that it makes passes over."""
        return self.of or self.subset

    @property
    def path(self) -> str:
        """Where the run lies under `results/runs/`, and its name everywhere else."""
        return f"{self.model.name}/{self.subset}/{self.schedule}/seed{self.seed}"

    def frozen(self) -> dict[str, Any]:
        """The cell as plain JSON types: what `cell.json` holds, a change of which trains the cell again.

        Left out is what cannot change its result: `schedules`, which selects cells, the settings of schedules that the
        cell does not follow, those of a stop that is off, and the rules of health while they are the default's: they
        came later than the first studies, whose finished runs they would not have judged otherwise.
        """
        other = {name for name in SCHEDULE_BLOCKS if name != self.schedule}
        if self.training.stop.patience_tokens is None:
            other.add("stop")
        if self.training.health == Health():
            other.add("health")
        return {
            "model": self.model.model_dump(mode="json", exclude={"schedules"}),
            "subset": self.subset,
            **({"of": self.of, "epochs": self.epochs} if self.of else {}),
            "schedule": self.schedule,
            "seed": self.seed,
            "max_length": self.max_length,
            "training": self.training.model_dump(mode="json", exclude=other),
        }

    @classmethod
    def from_json(cls, frozen: dict[str, Any]) -> "Cell":
        """The cell of a `cell.json`."""
        model = ModelSize.model_validate(frozen["model"] | {"schedules": [frozen["schedule"]]})
        rest = {k: frozen[k] for k in ("subset", "schedule", "seed", "max_length")}
        rest |= {k: frozen[k] for k in ("of", "epochs") if k in frozen}
        return cls(model=model, training=Training.model_validate(frozen["training"]), **rest)


def grid(study: Study) -> list[Cell]:
    """The cells of a study: every size × set to train on × schedule of the size × seed, less those left out."""
    trained = [s for s in study.subsets if s.train]
    training, max_length = study.config.training, study.config.max_length
    cells = [
        Cell(model, s.name, schedule, seed, training, max_length, of=s.of, epochs=s.epochs or 1.0)
        for model in study.models
        for s, schedule, seed in product(trained, model.schedules, study.config.seeds)
    ]
    left_out = set(study.left_out)
    return [cell for cell in cells if cell.path not in left_out]


def parameter_terms(model: ModelSize) -> dict[str, int]:
    """Parameters of each part (appendix F, table 6), per model.

    Returns
    -------
    dict of str to int
        `embeddings`, `qkv`, `attention_output`, `ffn` (the last three over all layers) and `head`.
    """
    d, attention = model.d_model, model.head_dim * model.n_heads
    return {
        "embeddings": VOCABULARY_SIZE * d,
        "qkv": model.n_layers * 3 * d * attention,
        "attention_output": model.n_layers * d * attention,
        "ffn": model.n_layers * 2 * d * model.d_ffn,
        "head": d * d + d * VOCABULARY_SIZE,
    }


def count_params(model: ModelSize) -> int:
    """Parameters N of a model (appendix F).

    Examples
    --------
    The paper's smallest size, 4 layers of 320:

    >>> size = ModelSize(name="5M", n_layers=4, d_model=320, d_ffn=1280, n_heads=20,
    ...                  learning_rate=1e-5, schedules=["constant"])
    >>> count_params(size)
    5036160
    """
    return sum(parameter_terms(model).values())


def forward_flop_terms(model: ModelSize, length: int) -> dict[str, int]:
    """Forward FLOPs of each operation on one sequence of `length` positions (appendix E, table 5), over all layers."""
    s, d, h, attention = length, model.d_model, model.n_heads, model.head_dim * model.n_heads
    per_layer = {
        "qkv": 2 * 3 * s * d * attention,
        "key_query": 2 * s * s * attention,
        "softmax": 3 * h * s * s,
        "softmax_value": 2 * s * s * attention,
        "attention_output": 2 * s * d * attention,
        "ffn": 2 * s * (d * model.d_ffn + d * model.d_ffn),
    }
    return {
        "embeddings": 2 * s * VOCABULARY_SIZE * d,
        **{name: model.n_layers * flops for name, flops in per_layer.items()},
        "head": 2 * s * (d * d + d * VOCABULARY_SIZE),
    }


def forward_flops(model: ModelSize, length: int) -> int:
    """Forward FLOPs of one sequence of `length` positions (appendix E)."""
    return sum(forward_flop_terms(model, length).values())


def train_flops_per_token(model: ModelSize, length: int) -> float:
    """Forward and backward FLOPs per position at sequence length `length`.

    Examples
    --------
    >>> size = ModelSize(name="5M", n_layers=4, d_model=320, d_ffn=1280, n_heads=20,
    ...                  learning_rate=1e-5, schedules=["constant"])
    >>> f"{train_flops_per_token(size, 1024):.3e}"
    '4.668e+07'
    """
    return (1 + BACKWARD_PER_FORWARD) * forward_flops(model, length) / length


def train_flops(
    model: ModelSize, n_tokens: float, *, convention: str, max_length: int, squared_lengths: float | None = None
) -> float:
    """Training FLOPs C of `n_tokens` positions by a named convention.

    Parameters
    ----------
    model : ModelSize
    n_tokens : float
        Positions trained on, START and END included, padding not.
    convention : {"appendix_e", "6nd", "6nd_non_embedding", "measured_lengths"}
        `appendix_e`: every sequence counted as `max_length` long, as the paper does at 1024. `measured_lengths`: the
        same operations at the real lengths. `6nd`: 6·N·D. `6nd_non_embedding`: the same without input and output
        embeddings (Kaplan et al. 2020).
    max_length : int
        Longest input in positions.
    squared_lengths : float, optional
        Σ length² over the sequences trained on; `measured_lengths` needs it.

    Returns
    -------
    float
    """
    if convention == "appendix_e":
        return n_tokens * train_flops_per_token(model, max_length)
    if convention == "6nd":
        return 6.0 * count_params(model) * n_tokens
    if convention == "6nd_non_embedding":
        return 6.0 * (count_params(model) - 2 * VOCABULARY_SIZE * model.d_model) * n_tokens
    if convention == "measured_lengths" and squared_lengths is not None:
        # Forward FLOPs are linear·s + quadratic·s²: two lengths give both coefficients exactly.
        one, two = forward_flops(model, 1), forward_flops(model, 2)
        quadratic = (two - 2 * one) / 2
        linear = one - quadratic
        return (1 + BACKWARD_PER_FORWARD) * (linear * n_tokens + quadratic * squared_lengths)
    raise ValueError(f"no FLOP convention {convention!r} for squared_lengths={squared_lengths}")
