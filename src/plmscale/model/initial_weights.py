"""The weights that training starts from, by the name of the choice."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..study.settings import InitialWeights

BERT_SD = 0.02
"""Standard deviation of `bert` (Devlin et al. 2019; `initializer_range` of the published ESM-2 configurations)."""

BLOCK_OUTPUTS = ("out_proj", "fc2")
"""Layers whose output is added to the residual stream."""


@dataclass(frozen=True)
class Draw:
    """What the draw of one tensor depends on.

    Attributes
    ----------
    layer : str
        Name of the layer in its module: "fc1".
    fan_in, fan_out : int
        Features that go into the layer and come out of it.
    n_layers : int
        Transformer layers of the encoder.
    generator : torch.Generator
    """

    layer: str
    fan_in: int
    fan_out: int
    n_layers: int
    generator: torch.Generator

    def normal(self, tensor: Tensor, sd: float) -> None:
        """Fill a tensor from a normal distribution about 0."""
        tensor.normal_(std=sd, generator=self.generator)

    def uniform(self, tensor: Tensor, end: float) -> None:
        """Fill a tensor uniformly from -`end` to `end`."""
        tensor.uniform_(-end, end, generator=self.generator)


def _bert(linear: nn.Linear, draw: Draw) -> None:
    draw.normal(linear.weight, BERT_SD)
    linear.bias.zero_()


def _fan_in(linear: nn.Linear, draw: Draw) -> None:
    """He et al. 2015 without the gain; block outputs as in GPT-2 (Radford et al. 2019, section 2.3)."""
    blocks = math.sqrt(2 * draw.n_layers) if draw.layer in BLOCK_OUTPUTS else 1.0
    draw.normal(linear.weight, 1 / math.sqrt(draw.fan_in) / blocks)
    linear.bias.zero_()


def _fair_esm(linear: nn.Linear, draw: Draw) -> None:
    """fair-esm 2.0.0: `MultiheadAttention.reset_parameters`, elsewhere torch's own `nn.Linear.reset_parameters`."""
    torchs = 1 / math.sqrt(draw.fan_in)
    if draw.layer not in ("q_proj", "k_proj", "v_proj", "out_proj"):
        draw.uniform(linear.weight, torchs)
        draw.uniform(linear.bias, torchs)
        return
    xavier = math.sqrt(6 / (draw.fan_in + draw.fan_out))
    draw.uniform(linear.weight, xavier if draw.layer == "out_proj" else xavier / math.sqrt(2))
    if draw.layer == "out_proj":
        linear.bias.zero_()
    else:
        draw.uniform(linear.bias, torchs)


def _at_width(linear: nn.Linear, choice: InitialWeights, width: float) -> None:
    """Variances by width: those of `fan_in` and `fair_esm` fall with the features in already, of biases too."""
    if choice == "bert":
        linear.weight.div_(math.sqrt(width))
    linear.bias.mul_(math.sqrt(width))


_LINEAR: dict[InitialWeights, Callable[[nn.Linear, Draw], None]] = {
    "bert": _bert,
    "fan_in": _fan_in,
    "fair_esm": _fair_esm,
}


def embedding_sd(choice: InitialWeights, *, d_model: float) -> float:
    """Standard deviation of the embedding, which is normal for every choice.

    Examples
    --------
    >>> embedding_sd("bert", d_model=64), embedding_sd("fan_in", d_model=64), embedding_sd("fair_esm", d_model=64)
    (0.02, 0.125, 1.0)
    """
    return {"bert": BERT_SD, "fan_in": 1 / math.sqrt(d_model), "fair_esm": 1.0}[choice]


def initialise(
    encoder: nn.Module, *, choice: InitialWeights, seed: int, n_layers: int, pad: int, width: float = 1.0
) -> None:
    """Draw the weights of an encoder: the same seed gives the same weights, on every device.

    Parameters
    ----------
    encoder : nn.Module
        With linear layers and one embedding, whose row of PAD stays 0.
    choice : {"bert", "fan_in", "fair_esm"}
        `bert`: normal with standard deviation 0.02 (Devlin et al. 2019), biases 0. `fan_in`: normal with standard
        deviation 1/√(features in), divided by √(2 layers) in the outputs of blocks, embedding 1/√d_model, biases 0.
        `fair_esm`: the distributions that the constructor of fair-esm 2.0.0 draws from.
    seed : int
    n_layers : int
        Transformer layers.
    pad : int
        Row of PAD.
    width : float
        d_model ÷ that of the base of `plmscale.model.width_scaling`: embedding and biases are drawn as there, and
        matrices have 1 / width of its variance.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, module in encoder.named_modules():
            if isinstance(module, nn.Linear):
                layer = name.rpartition(".")[2]
                draw = Draw(layer, module.in_features, module.out_features, n_layers, generator)
                _LINEAR[choice](module, draw)
                if width != 1:
                    _at_width(module, choice, width)
        for module in encoder.modules():
            if isinstance(module, nn.Embedding):
                module.weight.normal_(
                    std=embedding_sd(choice, d_model=module.embedding_dim / width), generator=generator
                )
                module.weight[pad] = 0
