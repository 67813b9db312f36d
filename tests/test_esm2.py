"""The encoder against facebookresearch/esm's own."""

import shutil

import pytest
import torch
from esm.data import Alphabet
from esm.model.esm2 import ESM2 as FairESM2
from torch.nn import functional

from plmscale.model.esm2 import ESM2
from plmscale.sequences.alphabet import END, FIRST_RESIDUE, MASK, N_STANDARD, PAD, START, TOKENS
from plmscale.study.config import ModelSize
from plmscale.study.flops import VOCABULARY_SIZE, parameter_terms

CPU = torch.device("cpu")
TINY = {"n_layers": 3, "d_model": 48, "d_ffn": 192, "n_heads": 4}
PAPER = {
    "5M": {"n_layers": 4, "d_model": 320, "d_ffn": 1280, "n_heads": 20},
    "15M": {"n_layers": 8, "d_model": 400, "d_ffn": 1600, "n_heads": 20},
    "35M": {"n_layers": 12, "d_model": 480, "d_ffn": 1920, "n_heads": 20},
    "50M": {"n_layers": 15, "d_model": 520, "d_ffn": 2080, "n_heads": 20},
    "100M": {"n_layers": 23, "d_model": 600, "d_ffn": 2400, "n_heads": 20},
    "150M": {"n_layers": 30, "d_model": 640, "d_ffn": 2560, "n_heads": 20},
    "300M": {"n_layers": 32, "d_model": 880, "d_ffn": 3520, "n_heads": 20},
    "650M": {"n_layers": 33, "d_model": 1280, "d_ffn": 5120, "n_heads": 20},
}


class PaperAlphabet(Alphabet):
    """Our alphabet as fair-esm's ESM2 asks for it; its own constructor insists on further tokens."""

    def __init__(self) -> None:
        self.all_toks = list(TOKENS)
        self.padding_idx, self.mask_idx, self.cls_idx, self.eos_idx = PAD, MASK, START, END
        self.prepend_bos = self.append_eos = True


def size(shape: dict[str, int]) -> ModelSize:
    return ModelSize(name="x", learning_rate=1e-3, schedules=["constant"], **shape)


def fair(shape: dict[str, int]) -> FairESM2:
    return FairESM2(
        num_layers=shape["n_layers"],
        embed_dim=shape["d_model"],
        attention_heads=shape["n_heads"],
        alphabet=PaperAlphabet(),
    )


def proteins(*lengths: int) -> torch.Tensor:
    """A padded batch with masked positions in every sequence."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.full((len(lengths), max(lengths)), PAD)
    for row, length in zip(tokens, lengths, strict=True):
        row[:length] = torch.randint(FIRST_RESIDUE, FIRST_RESIDUE + N_STANDARD, (length,), generator=generator)
        row[1 : length - 1][torch.rand(length - 2, generator=generator) < 0.2] = MASK
        row[0], row[length - 1] = START, END
    return tokens


def without_contacts(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: v for k, v in state.items() if not k.startswith("contact_head.")}


@pytest.mark.parametrize("shape", [TINY, PAPER["5M"], PAPER["15M"]], ids=["tiny", "5M", "15M"])
@pytest.mark.parametrize("lengths", [(40, 40), (57, 23, 5)], ids=["equal", "padded"])
def test_logits_and_gradients_equal_fair_esm(shape, lengths):
    torch.manual_seed(0)
    theirs, ours = fair(shape), ESM2(size(shape), seed=0)
    ours.load_state_dict(without_contacts(theirs.state_dict()))
    tokens = proteins(*lengths)
    present = tokens != PAD
    logits, expected = ours(tokens), theirs(tokens)["logits"]
    # fair-esm's own initial embeddings have unit variance, so logits are of the order of √d: compare relative to that.
    torch.testing.assert_close(
        logits[present], expected[present], rtol=2e-5, atol=2e-5 * float(expected.detach().abs().max())
    )

    target = tokens[present]
    functional.cross_entropy(logits[present], target).backward()
    functional.cross_entropy(expected[present], target).backward()
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        scale = float(gradients[name].grad.abs().max())
        torch.testing.assert_close(parameter.grad, gradients[name].grad, rtol=1e-4, atol=1e-5 * max(scale, 1e-3))


def test_weights_go_back_to_fair_esm():
    theirs, ours = fair(TINY), ESM2(size(TINY), seed=3)
    missing, unexpected = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("contact_head.") for name in missing)
    tokens = proteins(30, 18)
    present = tokens != PAD
    torch.testing.assert_close(theirs(tokens)["logits"][present], ours(tokens)[present], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PAPER)
def test_names_and_shapes_of_all_sizes_equal_fair_esm(name):
    with torch.device("meta"):
        theirs = without_contacts(fair(PAPER[name]).state_dict())
        ours = ESM2(size(PAPER[name]), seed=None).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


@pytest.mark.parametrize("name", PAPER)
def test_counted_parameters_are_the_matrices_of_the_module(name):
    """Appendix F leaves out biases and norms and counts the tied embedding twice."""
    with torch.device("meta"):
        model = ESM2(size(PAPER[name]), seed=None)
    matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    tied_twice = VOCABULARY_SIZE * PAPER[name]["d_model"]
    assert sum(parameter_terms(size(PAPER[name])).values()) == matrices + tied_twice


def test_selected_logits_are_those_of_the_whole():
    model, tokens = ESM2(size(TINY), seed=0), proteins(20, 12, 9)
    select = torch.tensor([1, 5, 21, 41])
    torch.testing.assert_close(model(tokens, select), model(tokens).flatten(0, 1)[select])


def test_padding_changes_nothing():
    model, tokens = ESM2(size(TINY), seed=0), proteins(20)
    padded = functional.pad(tokens, (0, 7), value=PAD)
    torch.testing.assert_close(model(padded)[:, :20], model(tokens), rtol=1e-5, atol=1e-6)


def packed(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Packed tokens, lengths, and every third position as those to be predicted."""
    present = tokens != PAD
    flat = tokens[present]
    return flat, present.sum(-1), torch.arange(1, flat.numel(), 3)


@pytest.mark.parametrize("lengths", [(30,), (12, 12, 12), (40, 40, 17, 3)])
@pytest.mark.parametrize("chosen", ["all", "some", "none"])
def test_packed_equals_padded(lengths, chosen):
    model, tokens = ESM2(size(TINY), seed=0), proteins(*lengths)
    flat, counts, select = packed(tokens)
    everything = model(tokens)[tokens != PAD]
    if chosen == "all":
        torch.testing.assert_close(model(flat, lengths=counts), everything)
    else:
        select = select if chosen == "some" else select[:0]
        torch.testing.assert_close(model(flat, select, lengths=counts), everything[select], rtol=1e-5, atol=1e-6)


def test_a_share_without_predicted_positions_gives_gradients_of_zero():
    """Ranks without a sequence still take part in the reduction of every parameter."""
    model, tokens = ESM2(size(TINY), seed=0), proteins(30)
    flat, counts, select = packed(tokens)
    for context in (torch.autocast("cpu", torch.bfloat16, enabled=on) for on in (False, True)):
        with context:
            loss = model(flat, select[:0], lengths=counts).sum()
        loss.backward()
        assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_half_precision_stays_near_single():
    """Autocast goes through the padded kernel on a CPU; bf16 keeps 8 bits, so logits of order 1 agree to a few 1e-2."""
    model, tokens = ESM2(size(TINY), seed=0), proteins(20, 12)
    flat, counts, select = packed(tokens)
    single = model(flat, select, lengths=counts)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(flat, select, lengths=counts)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), single, rtol=0.05, atol=0.02 * float(single.detach().abs().max()))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_blocks_are_the_same_function():
    torch._dynamo.reset()
    losses, gradients = [], []
    for compiled in (False, True):
        model = ESM2(size(TINY), seed=0)
        if compiled:
            model.compile_blocks()
        for tokens in (proteins(30, 12), proteins(17, 17, 5)):  # other shapes must not need other code
            flat, counts, select = packed(tokens)
            loss = functional.cross_entropy(model(flat, select, lengths=counts), flat[select])
            loss.backward()
            losses.append(loss.item())
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    # One graph before and one after the attention, and one for the last block's selected rows: not one a block.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 3
    assert losses[:2] == pytest.approx(losses[2:], rel=1e-6)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)


def test_same_seed_same_weights():
    first, again, other = (ESM2(size(TINY), seed=s).state_dict() for s in (5, 5, 6))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["lm_head.dense.weight"], other["lm_head.dense.weight"])
