"""The optimizer of a run: torch's own Adam or AdamW, without the start of torch's compiler."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..model.width_scaling import STANDARD, WidthScaling, matrices
from ..study.config import Optimizer

_DECORATED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""Methods of torch's optimizers that torch keeps out of compiled graphs."""


def _uncompiled(kind: type[torch.optim.Adam]) -> type[torch.optim.Adam]:
    """The same optimizer, whose methods lack the decorators that keep torch's compiler out.

    No optimizer is compiled here, but the decorators import the compiler before they keep it out: 1.2 of the 3.8
    seconds of processor time of a run of a few steps.
    """
    step = inspect.unwrap(kind.step)

    @torch.no_grad()
    def undecorated_step(self: torch.optim.Optimizer, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        return step(self, closure)

    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _DECORATED}
    return type(kind.__name__, (kind,), methods | {"step": undecorated_step, "__doc__": kind.__doc__})


OPTIMIZERS = {"adam": _uncompiled(torch.optim.Adam), "adamw": _uncompiled(torch.optim.AdamW)}
"""Kingma & Ba 2015; Loshchilov & Hutter 2019, which decays weights apart from the gradient."""


def make_optimizer(
    model: nn.Module, settings: Optimizer, learning_rate: float, *, scaling: WidthScaling = STANDARD
) -> torch.optim.Optimizer:
    """The optimizer of a model's weights; with a scaling by width, matrices are a group with a rate of their own."""
    return OPTIMIZERS[settings.name](
        _groups(model, settings, scaling),
        lr=learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
    )


def _groups(model: nn.Module, settings: Optimizer, scaling: WidthScaling) -> list[dict[str, Any]]:
    """Parameters by their rate ÷ the learning rate, `lr_scale`; one group where all have the same."""
    if scaling.matrix_rate == 1:
        return [{"params": list(model.parameters())}]
    wide = matrices(model)
    ids = {id(parameter) for parameter in wide}
    others = [parameter for parameter in model.parameters() if id(parameter) not in ids]
    decay = settings.weight_decay / scaling.matrix_rate
    return [{"params": others}, {"params": wide, "lr_scale": scaling.matrix_rate, "weight_decay": decay}]


def lr_scales(optimizer: torch.optim.Optimizer) -> list[float]:
    """What the learning rate is multiplied by in each group of an optimizer."""
    return [group.get("lr_scale", 1.0) for group in optimizer.param_groups]


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float, scales: list[float]) -> None:
    """Set the rate of the next step."""
    for group, factor in zip(optimizer.param_groups, scales, strict=True):
        group["lr"] = learning_rate * factor
