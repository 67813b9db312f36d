"""The encoders that plmscale is measured against, with the same vocabulary and the same weights."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from plmscale.model.esm2 import ESM2
from plmscale.sequences.alphabet import END, MASK, PAD, START, TOKENS
from plmscale.sets.batches import MicroBatch
from plmscale.study.config import ModelSize, Training
from plmscale.study.flops import VOCABULARY_SIZE
from plmscale.training.engine import summed_loss
from plmscale.training.optimizer import make_optimizer

IGNORED = -100
"""Label of positions without loss, in Hugging Face's convention and torch's default."""


class Peer(Protocol):
    """One way to train the same model on the same batches."""

    model: nn.Module

    def prepare(self, micro: MicroBatch) -> Any:
        """What the loop is given: not timed."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """Mean loss over the predicted positions."""
        ...


class Ours:
    """plmscale: packed, from uint8 on the host, exactly as the training loop calls it."""

    def __init__(self, size: ModelSize, device: torch.device) -> None:
        self.model, self._device = ESM2(size, seed=0).to(device), device

    def prepare(self, micro: MicroBatch) -> MicroBatch:
        """See `Peer`."""
        return micro

    def loss(self, batch: MicroBatch) -> Tensor:
        """See `Peer`."""
        return summed_loss(self.model, batch, self._device) / batch.select.size


class OursPadded(Ours):
    """plmscale's encoder on the padded batch of its peers."""

    def prepare(self, micro: MicroBatch) -> Any:
        """See `Peer`."""
        return padded(micro, self._device)

    def loss(self, batch: Any) -> Tensor:
        """See `Peer`."""
        tokens, labels = batch
        wanted = (labels != IGNORED).flatten().nonzero()[:, 0]
        return functional.cross_entropy(self.model(tokens, wanted).float(), labels.flatten()[wanted])


def padded(micro: MicroBatch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens and labels of shape (batch, longest), on the device already: a peer's data loader costs nothing here."""
    filled = np.arange(micro.lengths.max()) < micro.lengths[:, None]
    tokens = np.full(filled.shape, PAD, np.int64)
    labels = np.full(filled.shape, IGNORED, np.int64)
    flat = np.full(micro.tokens.size, IGNORED, np.int64)
    flat[micro.select] = micro.targets
    tokens[filled], labels[filled] = micro.tokens, flat
    return torch.from_numpy(tokens).to(device), torch.from_numpy(labels).to(device)


class FairESM:
    """facebookresearch/esm's own module."""

    def __init__(self, size: ModelSize, device: torch.device) -> None:
        from esm.data import Alphabet
        from esm.model.esm2 import ESM2 as FairESM2

        class PaperAlphabet(Alphabet):
            def __init__(self) -> None:
                self.all_toks = list(TOKENS)
                self.padding_idx, self.mask_idx, self.cls_idx, self.eos_idx = PAD, MASK, START, END
                self.prepend_bos = self.append_eos = True

        self.model: nn.Module = FairESM2(size.n_layers, size.d_model, size.n_heads, PaperAlphabet())
        self.model.load_state_dict(ESM2(size, seed=0).state_dict(), strict=False)
        self.model.contact_head.requires_grad_(False)
        self.model.to(device)
        self._device = device

    def prepare(self, micro: MicroBatch) -> Any:
        """See `Peer`."""
        return padded(micro, self._device)

    def loss(self, batch: Any) -> Tensor:
        """See `Peer`."""
        tokens, labels = batch
        logits = self.model(tokens)["logits"]
        return functional.cross_entropy(logits.float().view(-1, VOCABULARY_SIZE), labels.view(-1))


class HuggingFace:
    """transformers' EsmForMaskedLM with scaled_dot_product_attention."""

    def __init__(self, size: ModelSize, device: torch.device) -> None:
        from transformers import EsmConfig, EsmForMaskedLM

        config = EsmConfig(
            vocab_size=VOCABULARY_SIZE,
            mask_token_id=MASK,
            pad_token_id=PAD,
            hidden_size=size.d_model,
            num_hidden_layers=size.n_layers,
            num_attention_heads=size.n_heads,
            intermediate_size=size.d_ffn,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            max_position_embeddings=1026,
            position_embedding_type="rotary",
            token_dropout=True,
            emb_layer_norm_before=False,
            layer_norm_eps=1e-5,
            attn_implementation="sdpa",
        )
        self.model: nn.Module = EsmForMaskedLM(config)
        missing, unexpected = self.model.load_state_dict(_renamed(ESM2(size, seed=0).state_dict()), strict=False)
        if unexpected or any("contact" not in name and "inv_freq" not in name for name in missing):
            raise RuntimeError(f"weights do not fit: missing {missing}, unexpected {unexpected}")
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_("contact_head" not in name and "position_embeddings" not in name)
        self.model.to(device)
        self._device = device

    def prepare(self, micro: MicroBatch) -> Any:
        """See `Peer`."""
        tokens, labels = padded(micro, self._device)
        return {"input_ids": tokens, "attention_mask": (tokens != PAD).long(), "labels": labels}

    def loss(self, batch: Any) -> Tensor:
        """See `Peer`."""
        return self.model(**batch).loss


_NAMES = (
    ("layers.", "esm.encoder.layer."),
    (".self_attn.q_proj.", ".attention.self.query."),
    (".self_attn.k_proj.", ".attention.self.key."),
    (".self_attn.v_proj.", ".attention.self.value."),
    (".self_attn.rot_emb.", ".attention.self.rotary_embeddings."),
    (".self_attn.out_proj.", ".attention.output.dense."),
    (".self_attn_layer_norm.", ".attention.LayerNorm."),
    (".fc1.", ".intermediate.dense."),
    (".fc2.", ".output.dense."),
    (".final_layer_norm.", ".LayerNorm."),
    ("embed_tokens.", "esm.embeddings.word_embeddings."),
    ("emb_layer_norm_after.", "esm.encoder.emb_layer_norm_after."),
    ("lm_head.weight", "lm_head.decoder.weight"),
)


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        if "rot_emb" in name:
            continue
        for ours, theirs in _NAMES:
            name = name.replace(ours, theirs)
        renamed[name] = value
    return renamed


PEERS: dict[str, Callable[[ModelSize, torch.device], Peer]] = {
    "fair-esm": FairESM,
    "transformers sdpa": HuggingFace,
    "plmscale padded": OursPadded,
    "plmscale": Ours,
}
"""Constructors by name; plmscale is the last, and the one that ratios are to."""


def optimizer_of(peer: Peer, size: ModelSize) -> torch.optim.Optimizer:
    """The same optimizer for all."""
    return make_optimizer(peer.model, Training().optimizer, size.learning_rate)
