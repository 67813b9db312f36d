"""Learning-rate schedules against torch's own schedulers and transformers', evaluated at the same points."""

import math
from typing import get_args

import pytest
import torch

from plmscale.errors import InputError
from plmscale.study.config import Training
from plmscale.study.schedule_settings import Cosine, Schedule, Wsd
from plmscale.study.schedules import DECAYS, check_budget, lr_fraction

STEPS, BATCH = 200, 50
BUDGET = STEPS * BATCH


def ours(schedule: str, **settings) -> list[float]:
    training = Training(batch_tokens=BATCH, **settings)
    return [lr_fraction(schedule, step * BATCH, training=training, budget=BUDGET) for step in range(STEPS + 1)]


def theirs(make) -> list[float]:
    """Rates that a scheduler of torch's kind gives at each step, from an initial rate of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for _ in range(STEPS + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_every_schedule_of_the_configuration_is_there():
    assert set(DECAYS) == set(get_args(Schedule))


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_cosine_is_torchs(floor):
    expected = theirs(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=STEPS, eta_min=floor))
    assert ours("cosine", cosine=Cosine(floor=floor)) == pytest.approx(expected, abs=1e-12)


def test_token_decay_is_torchs_exponential():
    expected = theirs(lambda o: torch.optim.lr_scheduler.ExponentialLR(o, gamma=0.99))
    assert ours("token_decay", decay_rate=0.99, decay_tokens=BATCH) == pytest.approx(expected, rel=1e-12)


def test_linear_wsd_is_torchs_constant_then_linear():
    from torch.optim.lr_scheduler import ConstantLR, LinearLR, SequentialLR

    stable = 150

    def make(optimizer):
        decay = LinearLR(optimizer, start_factor=1.0, end_factor=0.1, total_iters=STEPS - stable)
        return SequentialLR(optimizer, [ConstantLR(optimizer, factor=1.0), decay], milestones=[stable])

    found = ours("wsd", wsd=Wsd(decay_share=1 - stable / STEPS, shape="linear", floor=0.1))
    assert found == pytest.approx(theirs(make), abs=1e-12)


def test_1_sqrt_decay_is_the_formula_of_haegele():
    """1 − √((n − N + N_decay) / N_decay) in the last N_decay of N steps (arXiv 2405.18392, equation 1)."""
    n_decay = 40
    found = ours("wsd", wsd=Wsd(decay_share=n_decay / STEPS))
    assert found[: STEPS - n_decay + 1] == [1.0] * (STEPS - n_decay + 1)
    expected = [1 - math.sqrt((n - STEPS + n_decay) / n_decay) for n in range(STEPS - n_decay, STEPS + 1)]
    assert found[STEPS - n_decay :] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_warm_up_is_torchs_linear(schedule):
    """Ours gives the first step one part of the way; torch's starts with that factor."""
    warm = 20
    same = {"decay_rate": 1.0, "cosine": Cosine(floor=1.0)}
    found = ours(schedule, warmup_tokens=warm * BATCH, **same)
    linear = torch.optim.lr_scheduler.LinearLR
    expected = theirs(lambda o: linear(o, start_factor=1 / warm, total_iters=warm - 1))
    assert found[: warm + 1] == pytest.approx(expected[: warm + 1], rel=1e-12)


def test_after_the_warm_up_cosine_and_wsd_are_those_of_transformers():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    warm, decay = 20, 50
    cosine = theirs(
        lambda o: transformers.get_cosine_schedule_with_warmup(o, num_warmup_steps=warm, num_training_steps=STEPS)
    )
    settings = {"warmup_tokens": warm * BATCH, "cosine": Cosine(floor=0.0)}
    assert ours("cosine", **settings)[warm:] == pytest.approx(cosine[warm:], abs=1e-12)
    for theirs_name, shape in (("linear", "linear"), ("1-sqrt", "1-sqrt")):
        wsd = theirs(
            lambda o, name=theirs_name: transformers.get_wsd_schedule(
                o,
                num_warmup_steps=warm,
                num_decay_steps=decay,
                num_training_steps=STEPS,
                decay_type=name,
            )
        )
        found = ours("wsd", warmup_tokens=warm * BATCH, wsd=Wsd(decay_share=decay / STEPS, shape=shape))
        assert found[warm:] == pytest.approx(wsd[warm:], abs=1e-12)


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_the_end_of_the_budget_is_the_floor_exactly_and_stays(schedule):
    training = Training(cosine=Cosine(floor=0.25), wsd=Wsd(floor=0.25))
    at = [lr_fraction(schedule, n, training=training, budget=1000) for n in (1000, 1001, 10**9)]
    assert at == [0.25] * 3


def test_the_budget_moves_cosine_and_wsd_and_nothing_else():
    one, other = (
        {s: lr_fraction(s, 900, training=Training(), budget=budget) for s in DECAYS} for budget in (1000, 2000)
    )
    assert {s for s in DECAYS if one[s] != other[s]} == {"cosine", "wsd"}


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_a_warm_up_that_takes_the_whole_budget_is_refused(schedule):
    training = Training(warmup_tokens=1000)
    with pytest.raises(InputError, match=r"warmup_tokens is 1000.*1000 tokens"):
        check_budget(schedule, training=training, budget=1000)
    check_budget(schedule, training=training, budget=1001)
    check_budget("constant", training=training, budget=10)
