"""Maximal update parametrization (muP) of ESM-2: Yang et al. 2022, Tensor Programs V (arXiv 2203.03466).

Table 8 is the form for tied input and output weights, as ESM-2 has. With m = d_model / base_d_model and Adam:

| weights | initial variance | multiplier | learning rate |
|---|---|---|---|
| embedding, biases, layer norms (one dimension grows) | as at the base | 1 | 1 |
| its use as output weights | – | 1 / m | – |
| matrices between features (two dimensions grow) | 1 / m of the base | 1 | 1 / m |

and attention is q·k / head_dim (definition 4.1), here √base_head_dim · q·k / head_dim, so that the base is standard.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from torch import Tensor, nn

from ..study.config import Training
from .architecture import EncoderShape

QUERIES = ("q_proj.weight", "q_proj.bias")
OUTPUT = ("lm_head.layer_norm.weight", "lm_head.layer_norm.bias")


@dataclass(frozen=True)
class WidthScaling:
    """Multipliers of an encoder.

    Attributes
    ----------
    width : float
        m: how many times as wide as the base it is.
    query : float
        Factor of the queries, √(base_head_dim / head_dim): the kernels divide by √head_dim.
    """

    width: float = 1.0
    query: float = 1.0

    @classmethod
    def of(cls, size: EncoderShape, training: Training) -> "WidthScaling":
        """That of a size under the settings of its training."""
        if training.parametrization == "standard":
            return cls()
        base = training.mup
        return cls(size.d_model / base.base_d_model, sqrt(base.base_head_dim * size.n_heads / size.d_model))

    @property
    def output(self) -> float:
        """Factor of the features that the output weights see."""
        return 1.0 / self.width

    @property
    def matrix_rate(self) -> float:
        """Learning rate of matrices ÷ that of the others; a decoupled weight decay times it stays what it is."""
        return 1.0 / self.width


STANDARD = WidthScaling()
"""No multipliers."""


def matrices(model: nn.Module) -> list[Tensor]:
    """The weights of which two dimensions grow with width."""
    return [module.weight for module in model.modules() if isinstance(module, nn.Linear)]


def folded(state: Mapping[str, Tensor], scaling: WidthScaling) -> dict[str, Tensor]:
    """Weights of a plain ESM-2 that computes, to the last bit, what an encoder with multipliers does.

    Examples
    --------
    >>> import torch
    >>> weights = {"layers.0.self_attn.q_proj.weight": torch.ones(1), "layers.0.self_attn.k_proj.weight": torch.ones(1)}
    >>> [float(one) for one in folded(weights, WidthScaling(width=4.0, query=0.5)).values()]
    [0.5, 1.0]
    """
    return {
        name: tensor * factor if (factor := _factor(name, scaling)) != 1 else tensor for name, tensor in state.items()
    }


def for_file(state: Mapping[str, Tensor], scaling: WidthScaling) -> dict[str, Tensor]:
    """What a file of a run's weights holds: plain ESM-2 on the CPU, the tied output weights once."""
    plain = folded(state, scaling)
    return {name: tensor.contiguous().cpu() for name, tensor in plain.items() if name != "lm_head.weight"}


def _factor(name: str, scaling: WidthScaling) -> float:
    if name.endswith(QUERIES):
        return scaling.query
    return scaling.output if name in OUTPUT else 1.0
