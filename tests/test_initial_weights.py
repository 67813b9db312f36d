"""What training starts from: the distributions of every choice, and the cells that stay what they were."""

from typing import get_args

import pytest
import torch

from plmscale.model.esm2 import ESM2
from plmscale.sequences.alphabet import PAD
from plmscale.study.config import Training
from plmscale.study.grid import Cell
from plmscale.study.settings import InitialWeights
from test_esm2 import TINY, fair, proteins, size

CHOICES = get_args(InitialWeights)
WIDE = {"n_layers": 2, "d_model": 256, "d_ffn": 1024, "n_heads": 4}


def spread(model: torch.nn.Module) -> dict[str, tuple[float, float, float]]:
    """Of every weight and bias: mean, standard deviation and largest absolute value."""
    found = {name: p.detach() for name, p in model.named_parameters() if "layer_norm" not in name}
    return {
        name: (float(p.mean()), float(p.std(correction=0)), float(p.abs().max()))
        for name, p in found.items()
        if "contact_head" not in name
    }


def test_fair_esm_weights_are_spread_as_its_constructor_spreads_them():
    torch.manual_seed(0)
    theirs = spread(fair(WIDE))
    ours = spread(ESM2(size(WIDE), seed=0, initial_weights="fair_esm"))
    assert ours.keys() == theirs.keys()
    for name, (mean, sd, largest) in theirs.items():
        assert ours[name][1] == pytest.approx(sd, rel=0.1 if name.endswith("bias") else 0.02), name
        assert abs(ours[name][0] - mean) <= sd / 5, name
        assert name.startswith("embed") or ours[name][2] == pytest.approx(largest, rel=0.03), name


def test_fan_in_weights_follow_the_width():
    d, ffn = 256, 1024
    blocks = (2 * 2) ** 0.5
    expected = {"q_proj": d**-0.5, "k_proj": d**-0.5, "v_proj": d**-0.5, "out_proj": d**-0.5 / blocks}
    expected |= {"fc1": d**-0.5, "fc2": ffn**-0.5 / blocks, "dense": d**-0.5}
    expected["embed_tokens"] = (28 / 29 / d) ** 0.5  # PAD is 0
    found = spread(ESM2(size(WIDE), seed=0, initial_weights="fan_in"))
    for name, (_, sd, largest) in found.items():
        layer, kind = name.split(".")[-2:]
        if kind == "bias":
            assert largest == 0
        else:
            assert sd == pytest.approx(expected[layer], rel=0.03), name


def test_a_block_keeps_the_scale_of_its_input_at_any_width():
    """With weights by fan-in the first step of every width starts from activations of the same size."""
    scales: dict[int, float] = {}
    for d in (8, 32, 128):
        model = ESM2(
            size({"n_layers": 2, "d_model": d, "d_ffn": 4 * d, "n_heads": 2}), seed=0, initial_weights="fan_in"
        )

        def scale(_: torch.nn.Module, hidden: tuple[torch.Tensor], width: int = d) -> None:
            scales[width] = float(hidden[0].std())

        model.emb_layer_norm_after.register_forward_pre_hook(scale)
        with torch.no_grad():
            model(proteins(60, 60))
    assert len(scales) == 3
    assert max(scales.values()) < 1.5 * min(scales.values()), scales


@pytest.mark.parametrize("choice", CHOICES)
def test_initial_weights_depend_on_the_seed_alone_and_leave_pad_at_zero(choice):
    first, again, other = (ESM2(size(TINY), seed=s, initial_weights=choice).state_dict() for s in (5, 5, 6))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["lm_head.dense.weight"], other["lm_head.dense.weight"])
    assert not first["embed_tokens.weight"][PAD].any()


def test_cells_from_before_there_was_a_choice_stay_what_they_were():
    models = [size(TINY)]
    before = Cell(models[0], "s", "constant", 0, Training(), 64).frozen()
    assert "initial_weights" not in before["training"]
    assert Cell.from_json(before).training.initial_weights == "bert"
    other = Cell(models[0], "s", "constant", 0, Training(initial_weights="fan_in"), 64)
    assert other.frozen()["training"]["initial_weights"] == "fan_in"
    assert Cell.from_json(other.frozen()).training.initial_weights == "fan_in"
