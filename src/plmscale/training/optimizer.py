"""The optimizer of a run: torch's own Adam or AdamW, without the start of torch's compiler, and on one vector."""

import inspect
from collections.abc import Callable, Iterable
from itertools import accumulate
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


MOST_FLAT = 2**19
"""Parameters up to which one vector is faster: operations on a longer one go through memory, not through the cache
(benchmarks/results/small_steps.md)."""


def flattened(optimizer: torch.optim.Optimizer) -> "torch.optim.Optimizer | FlatParameters":
    """What clears the gradients and keeps the state of an optimizer: itself, or, of a small encoder, `FlatParameters`.

    On a GPU torch's Adam works on all tensors in one call already.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    small = sum(parameter.numel() for parameter in parameters) <= MOST_FLAT
    return FlatParameters(optimizer) if small and parameters[0].device.type == "cpu" else optimizer


class FlatParameters:
    """Parameters that lie in one vector for each group of their optimizer, and so do their gradients.

    torch's Adam makes a dozen calls for each tensor, on CPUs of a few microseconds each: a quarter of the time of a
    step of ten thousand parameters. Every element goes through the same operations in a vector, to the same bits.
    Checkpoints hold the state of every parameter by itself, as without this.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Its parameters, on a CPU, become views of vectors, and it sees those alone.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer, before = optimizer, optimizer.state_dict()
        self._groups = [_FlatGroup(group["params"]) for group in optimizer.param_groups]
        for group, flat in zip(optimizer.param_groups, self._groups, strict=True):
            group["params"] = [flat.vector]
        optimizer.state.clear()
        self.load_state_dict(before)

    def zero_grad(self) -> None:
        """Before the first backward pass of a step: gradients are added to what is there."""
        for flat in self._groups:
            flat.gradient.zero_()

    def state_dict(self) -> dict[str, Any]:
        """What the optimizer's own `state_dict` says where parameters are apart."""
        state, groups, first = {}, [], 0
        for group, flat in zip(self._optimizer.state_dict()["param_groups"], self._groups, strict=True):
            places = range(first, first := first + len(flat.views))
            groups.append(group | {"params": list(places)})
            state |= zip(places, flat.apart(self._optimizer.state[flat.vector]), strict=False)
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take up what `state_dict`, or that of an optimizer of single parameters, has given."""
        state, groups = {}, []
        for i, (group, flat) in enumerate(zip(saved["param_groups"], self._groups, strict=True)):
            groups.append(group | {"params": [i]})
            if group["params"][0] in saved["state"]:
                state[i] = flat.together([saved["state"][place] for place in group["params"]])
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})


_ALIGNMENT = 16
"""Numbers of float32 in 64 bytes, to which torch aligns a tensor of its own."""


class _FlatGroup:
    """Parameters as views of `vector`, and their gradients as views of `gradient`; between them lie zeros."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        sizes = [-(-parameter.numel() // _ALIGNMENT) * _ALIGNMENT for parameter in parameters]
        self._places = list(zip(accumulate(sizes, initial=0), (p.shape for p in parameters), strict=False))
        self.vector, self.gradient = (torch.zeros(sum(sizes)) for _ in range(2))
        self.views = self._views(self.vector)
        for parameter, view, gradient in zip(parameters, self.views, self._views(self.gradient), strict=True):
            parameter.data, parameter.grad = view.copy_(parameter.data), gradient
        self.vector.grad = self.gradient

    def _views(self, vector: Tensor) -> list[Tensor]:
        return [vector[first : first + shape.numel()].view(shape) for first, shape in self._places]

    def apart(self, state: dict[str, Tensor]) -> Iterable[dict[str, Tensor]]:
        """The state of each parameter; nothing before the first step."""
        split = {
            # Adam counts steps in a tensor: one for all would be counted up once for each of them.
            name: self._views(value) if value.dim() else [value.clone() for _ in self.views]
            for name, value in state.items()
        }
        return (dict(zip(split, values, strict=True)) for values in zip(*split.values(), strict=True))

    def together(self, states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """The state of the vector."""
        return {name: self._joined([s[name] for s in states]) if one.dim() else one for name, one in states[0].items()}

    def _joined(self, values: list[Tensor]) -> Tensor:
        vector = torch.zeros_like(self.vector)
        for view, value in zip(self._views(vector), values, strict=True):
            view.copy_(value)
        return vector
