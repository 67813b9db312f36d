"""Numbers of the recipe that a design writes: learning rate, batch, warm-up, initial weights.

One function for the rates and one for the rest, so that rules of another origin can take their place. No rate here was
tuned for proteins: a sweep at the largest size tells (docs/howto/learning-rates.md).
"""

import math
from typing import Any

from ..study.config import ModelSize
from ..study.flops import count_params

NARROW = 320
"""Features below which weights of standard deviation 0.02 are too small (docs/explanation/initial-weights.md)."""

NARROW_RATE = 0.028
"""Rate × √width of the example study of 8 to 64 features (1e-2 at 8, 3e-3 at 64), whose losses came in order."""


def learning_rate(size: ModelSize) -> float:
    """Peak rate of a size, to two digits.

    Below 320 features 0.028 / √width; from there on Kaplan et al. 2020, equation D.1, 0.003239 − 0.0001395 ln N, of
    language models, which holds up to about 1e10 parameters.

    Examples
    --------
    >>> from .ladder import size_of
    >>> learning_rate(size_of(16)), learning_rate(size_of(640))
    (0.007, 0.00064)
    """
    if size.d_model < NARROW:
        rate = NARROW_RATE / math.sqrt(size.d_model)
    else:
        rate = max(0.003239 - 0.0001395 * math.log(count_params(size)), 1e-5)
    return float(f"{rate:.2g}")


def batch_tokens(flops: float) -> int:
    """Tokens of an optimizer step of runs of so many FLOPs, to a power of two.

    Bi et al. 2024 (DeepSeek LLM, arXiv 2401.02954, section 3.1): 0.2920 · C^0.3271, of language models.

    Examples
    --------
    >>> batch_tokens(1e11), batch_tokens(1e20)
    (1024, 1048576)
    """
    return int(2 ** min(max(round(math.log2(0.2920 * flops**0.3271)), 9), 22))


def training(*, narrow: bool, shortest: float, median_flops: float, precision: str) -> dict[str, Any]:
    """The block `training` of the configuration.

    Parameters
    ----------
    narrow : bool
        Whether a size has fewer than 320 features.
    shortest : float
        Tokens of the shortest run, of which warm-up takes a sixth at most.
    median_flops : float
        FLOPs of a run in the middle of the grid, for the batch.
    precision : str
    """
    batch = batch_tokens(median_flops)
    return {
        "batch_tokens": batch,
        "precision": precision,
        "initial_weights": "fan_in" if narrow else "bert",
        "warmup_tokens": int(min(2000 * batch, shortest / 6)),
        "log_every_steps": 4 if shortest < 1e7 else 10,
        "optimizer": {"name": "adamw", "weight_decay": 0.01},
    }
