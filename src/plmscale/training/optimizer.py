"""The optimizer of a run: torch's own Adam or AdamW, without the start of torch's compiler."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn

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


def make_optimizer(model: nn.Module, settings: Optimizer, learning_rate: float) -> torch.optim.Optimizer:
    """The optimizer of a model's weights by the settings of a run."""
    return OPTIMIZERS[settings.name](
        model.parameters(),
        lr=learning_rate,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
    )
