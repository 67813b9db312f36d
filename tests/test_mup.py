"""muP: the table of Yang et al. 2022 by hand, activations over widths, and weights that plain ESM-2 computes with."""

import json
from dataclasses import replace
from functools import cache
from math import sqrt

import pytest
import torch
from torch.nn import functional

from engine_contract import batch
from plmscale.model.architecture import OURS, Shape
from plmscale.model.esm2 import ESM2
from plmscale.model.huggingface import write_folder
from plmscale.model.weights import Weights
from plmscale.model.width_scaling import STANDARD, WidthScaling, folded, for_file
from plmscale.study.config import Config, Optimizer, Training
from plmscale.study.grid import FIRST_INITIAL_WEIGHTS, Cell
from plmscale.study.recipes.parametrization import Mup
from plmscale.training.engine import (
    ENGINES,
    EngineSettings,
    Ranks,
    TorchEngine,
    joined_ranks,
    summed_loss,
)
from plmscale.training.optimizer import make_optimizer
from test_esm2 import proteins, size

ADAMW = Optimizer(name="adamw", weight_decay=0.1)
BASE = 32
MUP = Training(parametrization="mup", mup=Mup(base_d_model=BASE, base_head_dim=BASE // 4), optimizer=ADAMW)
WIDTHS = (32, 64, 128, 256)
RATE = 2e-3
CPU = Ranks(0, 1, torch.device("cpu"))


def shape(width: int):
    return size({"n_layers": 2, "d_model": width, "d_ffn": 4 * width, "n_heads": 4})


def encoder(width: int, *, mup: bool, choice="bert", seed: int = 0) -> tuple[ESM2, WidthScaling]:
    scaling = WidthScaling.of(shape(width), MUP) if mup else STANDARD
    return ESM2(shape(width), seed=seed, initial_weights=choice, scaling=scaling), scaling


@pytest.mark.parametrize("choice", ["bert", "fan_in", "fair_esm"])
def test_at_the_base_both_parametrizations_are_the_same_encoder(choice):
    standard, scaled = (encoder(BASE, mup=mup, choice=choice)[0] for mup in (False, True))
    assert all(torch.equal(a, b) for a, b in zip(standard.parameters(), scaled.parameters(), strict=True))
    assert torch.equal(standard(proteins(40)), scaled(proteins(40)))
    assert len(make_optimizer(scaled, ADAMW, 1e-3, scaling=WidthScaling.of(shape(BASE), MUP)).param_groups) == 1


@pytest.mark.parametrize("choice", ["bert", "fan_in", "fair_esm"])
def test_table_8_with_four_times_the_width(choice):
    """Hidden weights: variance 1 / fan_in, Adam's rate 1 / fan_in. Vectors: both constant. Output: multiplier 1 / m."""
    base, _ = encoder(64, mup=False, choice=choice)
    scaling = WidthScaling.of(shape(256), MUP.model_copy(update={"mup": Mup(base_d_model=64, base_head_dim=16)}))
    wide = ESM2(shape(256), seed=0, initial_weights=choice, scaling=scaling)
    assert (scaling.output, scaling.matrix_rate, scaling.query) == (1 / 4, 1 / 4, 1 / 2)
    of_base = dict(base.named_parameters())
    for name, parameter in wide.named_parameters():
        ratio = 0.5 if parameter.ndim == 2 and not name.startswith("embed") else 1.0
        before, after = float(of_base[name].detach().std()), float(parameter.detach().std())
        assert after == pytest.approx(ratio * before, rel=0.1, abs=1e-12), name
    others, matrices = make_optimizer(wide, ADAMW, RATE, scaling=scaling).param_groups
    assert (matrices["lr_scale"], matrices["weight_decay"], others["weight_decay"]) == (1 / 4, 0.4, 0.1)
    wanted = {n for n, p in wide.named_parameters() if p.ndim == 2 and not n.startswith("embed")}
    ids = {id(p) for p in matrices["params"]}
    assert {n for n, p in wide.named_parameters() if id(p) in ids} == wanted
    assert len(matrices["params"]) + len(others["params"]) == len(of_base)


def test_attention_divides_by_the_features_of_a_head():
    """Definition 4.1, against the products of queries and keys written out."""
    model, scaling = encoder(128, mup=True)
    attention = model.layers[0].self_attn
    x = torch.randn(5, 128, generator=torch.Generator().manual_seed(0))
    _, qkv = attention.project(x, None)
    plain = functional.linear(x, attention.q_proj.weight, attention.q_proj.bias).view(5, 4, 32)
    keys = functional.linear(x, attention.k_proj.weight, attention.k_proj.bias).view(5, 4, 32)
    expected = torch.einsum("ihd,jhd->hij", plain, keys) * sqrt(BASE // 4) / 32
    found = torch.einsum("ihd,jhd->hij", qkv[:, 0], qkv[:, 1]) / sqrt(32)  # the kernels divide by the root
    assert torch.allclose(found, expected, atol=1e-7)


def stepped(width: int, *, mup: bool, steps: int, seed: int) -> ESM2:
    model, scaling = encoder(width, mup=mup, seed=seed)
    optimizer = make_optimizer(model, ADAMW, RATE, scaling=scaling)
    engine = TorchEngine(model, optimizer, ranks=CPU, settings=EngineSettings(1, "fp32", 0.0, 0))
    for step in range(steps):
        whole = batch(step)
        engine.step(whole.micro_batches(1), n_predicted=whole.n_predicted, learning_rate=RATE)
    return model


def coordinates(model: ESM2) -> dict[str, torch.Tensor]:
    """What comes out of attention, of the last block and of the head, on one batch."""
    found = {}

    def keep(name):
        return lambda module, inputs, output: found.__setitem__(name, output.detach())

    model.layers[0].self_attn.out_proj.register_forward_hook(keep("attention"))
    model.layers[0].fc2.register_forward_hook(keep("block"))
    model.lm_head.register_forward_hook(keep("logits"))
    with torch.no_grad():
        summed_loss(model, batch(99).micro_batches(1)[0], CPU.device)
    return found


@cache
def changes(*, mup: bool) -> dict[str, list[float]]:
    """Mean size of the change of activations by four steps, at each width, over seeds."""
    found: dict[str, list[float]] = {}
    for width in WIDTHS:
        sums: dict[str, float] = {}
        for seed in (0, 1):
            before = coordinates(encoder(width, mup=mup, seed=seed)[0])
            after = coordinates(stepped(width, mup=mup, steps=4, seed=seed))
            for name, value in after.items():
                sums[name] = sums.get(name, 0.0) + float((value - before[name]).abs().mean())
        for name, total in sums.items():
            found.setdefault(name, []).append(total)
    return found


def slope(values: list[float]) -> float:
    """Exponent of values in the width."""
    x, y = torch.tensor(WIDTHS).log(), torch.tensor(values).log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


@pytest.mark.parametrize("name", ["block", "logits"])
def test_coordinate_check(name):
    """With muP a step changes activations alike at all widths; without, more the wider the encoder is."""
    with_mup, without = slope(changes(mup=True)[name]), slope(changes(mup=False)[name])
    assert abs(with_mup) < 0.25, changes(mup=True)
    assert without > 0.5, changes(mup=False)


def test_folded_weights_are_plain_esm2_to_the_last_bit(tmp_path):
    from transformers import EsmForMaskedLM  # 3 s in each worker, if all modules of tests were to import it

    model = stepped(128, mup=True, steps=2, seed=0).eval()
    scaling = WidthScaling.of(shape(128), MUP)
    weights = Weights(tmp_path, Shape(2, 128, 512, 4), OURS, for_file(model.state_dict(), scaling))
    plain, tokens = weights.encoder(), proteins(40, 25, 33)
    with torch.no_grad():
        expected = model(tokens)
        assert torch.equal(plain(tokens), expected)
        unfolded = replace(weights, state=for_file(model.state_dict(), STANDARD)).encoder()
        assert not torch.allclose(unfolded(tokens), expected, atol=1e-4)
    write_folder(weights, tmp_path / "hf", max_length=64, card="")
    theirs = EsmForMaskedLM.from_pretrained(tmp_path / "hf").eval()
    with torch.no_grad():
        logits = theirs(tokens, attention_mask=(tokens != OURS.pad).long()).logits
    assert torch.allclose(logits[tokens != OURS.pad], expected[tokens != OURS.pad], atol=2e-5)


def test_folding_by_one_gives_the_weights_themselves():
    state = encoder(BASE, mup=False)[0].state_dict()
    assert all(found is state[name] for name, found in folded(state, STANDARD).items())


def test_a_step_of_adam_moves_matrices_by_the_rate_over_the_width():
    """Adam's first step moves every weight by its rate, whatever the gradient (Kingma and Ba 2015, section 2.1)."""
    scaling = WidthScaling(width=4.0)
    model = ESM2(shape(128), seed=0, scaling=scaling)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = make_optimizer(model, Optimizer(weight_decay=0, epsilon=1e-30), RATE, scaling=scaling)
    engine = TorchEngine(model, optimizer, ranks=CPU, settings=EngineSettings(1, "fp32", 0.0, 0))
    engine.step(batch(0).micro_batches(1), n_predicted=batch(0).n_predicted, learning_rate=RATE)
    moved = {name: (p.detach() - before[name]).abs().median() for name, p in model.named_parameters()}
    assert float(moved["layers.0.fc1.weight"]) == pytest.approx(RATE / 4, rel=1e-3)
    assert float(moved["layers.0.fc1.bias"]) == pytest.approx(RATE, rel=1e-3)
    assert float(moved["lm_head.bias"]) == pytest.approx(RATE, rel=1e-3)


def test_it_is_in_the_cell_only_where_it_is_not_standard():
    cell = Cell(shape(64), "s", "constant", 0, Training(), 64)
    assert FIRST_INITIAL_WEIGHTS == "bert"
    assert not {"parametrization", "mup"} & cell.frozen()["training"].keys()
    scaled = replace(cell, training=MUP)
    frozen = json.loads(json.dumps(scaled.frozen()))
    assert frozen["training"]["parametrization"] == "mup"
    assert frozen["training"]["mup"] == {"base_d_model": 32, "base_head_dim": 8}
    assert Cell.from_json(frozen).training == MUP


@pytest.mark.parametrize("decay", [0.01, "paper"])
def test_a_penalty_in_the_gradient_is_refused(decay):
    """It has no limit at large width that the rate could be transferred in."""
    with pytest.raises(ValueError, match="adamw"):
        Config.model_validate(
            {"training": {"parametrization": "mup", "optimizer": {"name": "adam", "weight_decay": decay}}}
        )


def test_both_engines_give_each_group_its_rate(tmp_path):
    """DeepSpeed's ZeRO, which replaces the groups, beside plain torch; also after a checkpoint was loaded."""
    weights = {}
    with joined_ranks() as ranks:
        for name in ("torch", "deepspeed"):
            model, scaling = encoder(128, mup=True)
            optimizer = make_optimizer(model, ADAMW, RATE, scaling=scaling)
            engine = ENGINES[name](model, optimizer, ranks=ranks, settings=EngineSettings(1, "fp32", 0.0, 2))
            for step in range(3):
                whole = batch(step)
                engine.step(whole.micro_batches(1), n_predicted=whole.n_predicted, learning_rate=RATE)
                if step == 1:
                    engine.save(tmp_path / name)
                    engine.load(tmp_path / name, world=1)
            weights[name] = torch.cat([p.detach().float().flatten() for p in engine.module.parameters()])
    assert torch.allclose(weights["torch"], weights["deepspeed"], atol=1e-5)
    unscaled = stepped(128, mup=True, steps=3, seed=0)
    assert torch.allclose(torch.cat([p.detach().flatten() for p in unscaled.parameters()]), weights["torch"], atol=1e-6)
