"""ESM-2 checkpoints (`.pt`) as `esm.pretrained` of fair-esm 2.0.0 reads and Meta published them.

A checkpoint is a dictionary: `cfg["model"]` has the shape as attributes, `model` the tensors. The loader takes files
named `esm2…` for ESM-2, gives them the 33 tokens of ESM-1b's alphabet whatever they say, and wants the weights of the
contact head in a second file beside the first.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..files import atomic
from .architecture import ESM1B, OURS, Shape
from .pickles import read_pickled
from .weights import EMBEDDING, HEAD, Weights, checked_state

FFN_RATIO = 4
"""Feed-forward size ÷ embedding size, which fair-esm's ESM2 cannot change."""

NEVER = -1e4
"""Bias of a made-up token: its probability is 0 in fp32, and half precision can still hold it."""

_PREFIX = re.compile(r"^encoder\.(sentence_encoder\.)?")
_CONTACTS = "contact_head."
_ATTRIBUTES = {"n_layers": "encoder_layers", "d_model": "encoder_embed_dim", "n_heads": "encoder_attention_heads"}


def read_checkpoint(path: str | Path) -> Weights:
    """Read an ESM-2 checkpoint.

    Raises
    ------
    InputError
        If the file cannot be read, or is of another architecture: ESM-1b and its like are named.
    """
    path = Path(path)
    content = read_pickled(path)
    if not isinstance(content, Mapping) or not isinstance(content.get("model"), Mapping):
        raise InputError(f"{path} is not a checkpoint of fair-esm: it has no `model` with tensors.")
    if "cfg" not in content:
        arch = getattr(content.get("args"), "arch", None)
        what = f"of architecture {arch!r} (ESM-1, ESM-1b, ESM-1v or MSA Transformer)" if arch else "without `cfg`"
        raise InputError(f"{path} is a checkpoint {what}. Only ESM-2 can be read: esm2_t6_8M_UR50D.pt and its like.")
    settings = content["cfg"]["model"] if isinstance(content["cfg"], Mapping) else None
    numbers: dict[str, Any] = {ours: getattr(settings, theirs, None) for ours, theirs in _ATTRIBUTES.items()}
    if not all(type(value) is int for value in numbers.values()):
        raise InputError(f"{path}: cfg.model lacks {' or '.join(_ATTRIBUTES.values())}. Give an ESM-2 checkpoint.")
    if not getattr(settings, "token_dropout", True):
        raise InputError(f"{path}: token_dropout is off. Every published ESM-2 has it, and no other can be read.")
    state = {_PREFIX.sub("", name): tensor for name, tensor in checked_state(path, content["model"]).items()}
    shape = Shape(**numbers, d_ffn=FFN_RATIO * numbers["d_model"]).check(path)
    shape.check_layers(len(state), where=path)
    return Weights(path, shape, ESM1B, {k: v for k, v in state.items() if not k.startswith(_CONTACTS)})


def write_checkpoint(weights: Weights, path: str | Path) -> None:
    """Write an encoder of the 29 tokens as a checkpoint that fair-esm loads.

    Parameters
    ----------
    weights : Weights
    path : str or Path
        `esm2….pt`. Beside it `esm2…-contact-regression.pt` is written, with a contact head of zeros: ESM-2 trains it
        after the encoder, so that no contacts are predicted (every pair has probability ½).

    Raises
    ------
    InputError
        If fair-esm could not load what it would be given.

    Notes
    -----
    Four of the 33 tokens do not exist among the 29. Their biases are `NEVER`, so that logits and probabilities of the
    others are what they were. As inputs `<unk>` is embedded as X, and `.`, `-` and `<null_1>` are zero vectors.
    """
    path, shape = Path(path), weights.shape
    if not re.fullmatch(r"esm2.*\.pt", path.name):
        raise InputError(f"{path}: fair-esm knows an ESM-2 checkpoint by its name. Call it esm2_….pt.")
    if shape.d_ffn != FFN_RATIO * shape.d_model:
        raise InputError(
            f"{weights.path}: d_ffn is {shape.d_ffn}, but fair-esm's ESM2 has {FFN_RATIO} × d_model = "
            f"{FFN_RATIO * shape.d_model}. Export to huggingface instead."
        )
    state = _with_33_tokens(weights.encoder().state_dict())
    n_maps = shape.n_layers * shape.n_heads
    contacts = {"regression.weight": torch.zeros(1, n_maps), "regression.bias": torch.zeros(1)}
    with atomic(path.with_name(f"{path.stem}-contact-regression.pt")) as partial:
        torch.save({"model": {_CONTACTS + name: tensor for name, tensor in contacts.items()}}, partial)
    with atomic(path) as partial:
        torch.save({"cfg": {"model": _attributes(shape)}, "model": state}, partial)


def _attributes(shape: Shape) -> OrderedDict[str, Any]:
    """The shape as attributes. Meta's files have a Namespace here, which torch ≥ 2.6 refuses to load by default."""
    settings: OrderedDict[str, Any] = OrderedDict()
    vars(settings).update({theirs: getattr(shape, ours) for ours, theirs in _ATTRIBUTES.items()}, token_dropout=True)
    return settings


def _with_33_tokens(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with rows for all tokens of ESM-1b's alphabet, and the prefixes of Meta's files."""
    where = torch.from_numpy(ESM1B.translation)
    embedding = torch.zeros(len(ESM1B), state[EMBEDDING].shape[1])
    embedding[where] = state[EMBEDDING]
    embedding[ESM1B.tokens.index("<unk>")] = state[EMBEDDING][OURS.tokens.index("X")]
    bias = torch.full((len(ESM1B),), NEVER)
    bias[where] = state["lm_head.bias"]
    padded = {**state, EMBEDDING: embedding, HEAD: embedding, "lm_head.bias": bias}
    return {("encoder." if k.startswith("lm_head.") else "encoder.sentence_encoder.") + k: v for k, v in padded.items()}
