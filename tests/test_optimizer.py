"""The optimizer of a run is torch's own, to the bit, without the start of its compiler."""

import subprocess
import sys
from copy import deepcopy

import pytest
import torch

from plmscale.study.config import Optimizer
from plmscale.training.optimizer import MOST_FLAT, FlatParameters, flattened, make_optimizer

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


def steps(model: torch.nn.Sequential, take, *, zero, n: int = 4, first: int = 0) -> list:
    """Weights after some steps of two backward passes each."""
    for step in range(first, first + n):
        zero()
        for half in range(2):
            x = torch.randn(3, 5, generator=torch.Generator().manual_seed(2 * step + half))
            model(x).square().sum().backward()
        take()
    return [parameter.detach().clone() for parameter in model.parameters()]


def layers() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 19), torch.nn.LayerNorm(19), torch.nn.Linear(19, 3))


@pytest.mark.parametrize("name", list(THEIRS))
@pytest.mark.parametrize("n_groups", [1, 2])
def test_one_vector_takes_the_steps_of_single_parameters(name, n_groups):
    def both(model: torch.nn.Sequential) -> torch.optim.Optimizer:
        groups = [{"params": list(model.parameters())}]
        if n_groups == 2:  # as with a scaling by width, in another order than the model's
            groups = [
                {"params": list(model[1].parameters())},
                {"params": [model[2].weight, model[0].weight], "lr": 0.03},
            ]
        return THEIRS[name](groups, lr=0.01, weight_decay=0.1)

    (apart, together, taken_up), optimizers = (layers(), layers(), layers()), []
    for model in (apart, together, taken_up):
        optimizers.append(both(model))
    theirs, flat, later = optimizers[0], FlatParameters(optimizers[1]), FlatParameters(optimizers[2])
    assert flat.state_dict()["state"] == {}
    expected = steps(apart, theirs.step, zero=theirs.zero_grad)
    found = steps(together, optimizers[1].step, zero=flat.zero_grad)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    # A checkpoint of single parameters is taken up by one vector, and the other way round.
    ours, single = flat.state_dict(), theirs.state_dict()
    assert ours["param_groups"] == single["param_groups"] and str(ours["state"]) == str(single["state"])
    taken_up.load_state_dict(apart.state_dict())
    half, whole = (deepcopy(kept.state_dict()) for kept in (theirs, flat))  # as from a file: torch shares tensors
    later.load_state_dict(half)
    theirs.load_state_dict(whole)
    resumed = steps(taken_up, optimizers[2].step, zero=later.zero_grad, first=4)
    again = steps(apart, theirs.step, zero=theirs.zero_grad, first=4)
    assert all(torch.equal(a, b) for a, b in zip(resumed, again, strict=True))


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


@pytest.mark.parametrize(("width", "flat"), [(5, True), (MOST_FLAT // 5, False)])
def test_large_tensors_stay_where_the_cache_holds_one_of_them(width, flat):
    optimizer = torch.optim.Adam(torch.nn.Linear(width, 5).parameters())
    assert (flattened(optimizer) is not optimizer) == flat
    assert len(optimizer.param_groups[0]["params"]) == (1 if flat else 2)
