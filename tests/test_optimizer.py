"""The optimizer of a run is torch's own, to the bit, without the start of its compiler."""

import subprocess
import sys

import pytest
import torch

from plmscale.study.config import Optimizer
from plmscale.training.optimizer import make_optimizer

THEIRS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def trained(optimizer_of, steps: int, *, state: dict | None = None) -> tuple[list[torch.Tensor], dict]:
    """Weights and state after some steps on gradients that are the same each time."""
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Linear(7, 5)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    optimizer = optimizer_of(model)
    if state:
        optimizer.load_state_dict(state)
    for n in range(steps):
        optimizer.zero_grad(set_to_none=True)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.param_groups[0]["lr"] = 0.1 / (n + 1)
        optimizer.step()
    return [parameter.data for parameter in model.parameters()], optimizer.state_dict()


@pytest.mark.parametrize("name", list(THEIRS))
def test_steps_and_states_are_torchs_own(name):
    settings = Optimizer(name=name, weight_decay=0.1)
    weights, state = trained(lambda model: make_optimizer(model, settings, 0.1), 5)
    same = {"lr": 0.1, "betas": (settings.beta1, settings.beta2), "eps": settings.epsilon, "weight_decay": 0.1}
    theirs, their_state = trained(lambda model: THEIRS[name](model.parameters(), **same), 5)
    assert all(torch.equal(one, other) for one, other in zip(weights, theirs, strict=True))
    assert state["param_groups"] == their_state["param_groups"]
    # A checkpoint of an earlier version holds the state of torch's class.
    resumed, _ = trained(lambda model: make_optimizer(model, settings, 0.1), 3, state=their_state)
    again, _ = trained(lambda model: THEIRS[name](model.parameters(), **same), 3, state=state)
    assert all(torch.equal(one, other) for one, other in zip(resumed, again, strict=True))


def test_no_optimizer_starts_the_compiler():
    code = """
import sys, torch
from plmscale.study.config import Optimizer
from plmscale.training.optimizer import make_optimizer
layer = torch.nn.Linear(2, 2)
optimizer = make_optimizer(layer, Optimizer(), 0.1)
layer(torch.ones(1, 2)).sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
optimizer.zero_grad()
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
