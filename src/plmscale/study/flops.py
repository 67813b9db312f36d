"""Parameters and FLOPs of a size, by three conventions."""

from .config import ModelSize

VOCABULARY_SIZE = 29
"""Tokens of the paper's alphabet (appendix B): 20 amino acids, B, U, O, Z, X, PAD, MASK, START, END."""


BACKWARD_PER_FORWARD = 2
"""FLOPs of the backward pass relative to the forward pass (appendix E)."""


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
