"""Tiny encoders with random weights, saved as their libraries save them."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from esm.data import Alphabet
from esm.model.esm2 import ESM2 as FairESM2
from safetensors.torch import save_file
from torch import nn

from plmscale.model.architecture import OURS, Shape, Vocabulary
from plmscale.model.esm2 import ESM2
from plmscale.sequences.alphabet import encode

SHAPE = Shape(n_layers=3, d_model=32, d_ffn=128, n_heads=4)
LETTERS = "LAGVSERTIDPKQNFYMHWCXBUZO"

_PREFIXES = {"lm_head": "encoder.lm_head", "contact_head": "contact_head"}


def proteins(*lengths: int, seed: int = 0) -> list[str]:
    """Random sequences of all 25 letters."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(LETTERS), size=length)) for length in lengths]


def encoded(sequences: list[str]) -> list[np.ndarray]:
    return [encode(s) for s in sequences]


def scatter(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights of which every one matters: libraries start norms at one and biases at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            parameter.copy_(centre + 0.15 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def fair_model(seed: int = 0) -> FairESM2:
    model = FairESM2(num_layers=3, embed_dim=32, attention_heads=4, alphabet=Alphabet.from_architecture("ESM-1b"))
    scatter(model, seed)
    return model


def save_fair(model: FairESM2, path: Path) -> Path:
    """As Meta's files are: prefixes of their training code, a Namespace, the contact head elsewhere."""
    state = {}
    for name, tensor in model.state_dict().items():
        part = name.split(".")[0]
        if part != "contact_head":
            state[f"encoder.{'' if part == 'lm_head' else 'sentence_encoder.'}{name}"] = tensor
    settings = Namespace(encoder_layers=3, encoder_embed_dim=32, encoder_attention_heads=4, token_dropout=True)
    torch.save({"cfg": {"_name": None, "model": settings}, "model": state}, path)
    return path


def hugging_face_model(seed: int = 0):
    from transformers import EsmConfig, EsmForMaskedLM

    config = EsmConfig(
        vocab_size=33,
        mask_token_id=32,
        pad_token_id=1,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-5,
        position_embedding_type="rotary",
        emb_layer_norm_before=False,
        token_dropout=True,
    )
    return scatter(EsmForMaskedLM(config), seed)


def save_hugging_face(model, folder: Path) -> Path:
    """As `save_pretrained` of model and tokenizer."""
    from transformers import EsmTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(Alphabet.from_architecture("ESM-1b").all_toks))
    tokenizer = EsmTokenizer(str(folder / "vocab.txt"))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def our_model(seed: int = 0, vocabulary: Vocabulary = OURS) -> ESM2:
    model = ESM2(SHAPE, seed=seed, vocabulary=vocabulary)
    scatter(model, seed)
    return model


def save_run(model: ESM2, folder: Path, **changes) -> Path:
    """As training leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    save_file(state, folder / "model.safetensors")
    size = {"name": "tiny", "learning_rate": 1e-3, "n_layers": 3, "d_model": 32, "d_ffn": 128, "n_heads": 4}
    cell = {"model": size, "subset": "s", "schedule": "constant", "seed": 0, "max_length": 64, "training": {}}
    record = {"cell": cell, "status": "done", "reason": None, "unique_tokens": 5000, "n_tokens": 4321, "n_steps": 7}
    record |= {"holdout": {"loss": 2.5, "loss_low": 2.25, "loss_high": 2.75, "perplexity": 12.18}}
    (folder / "run.json").write_text(json.dumps(record | changes))
    return folder
