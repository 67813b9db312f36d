"""ESM-2 folders of Hugging Face transformers: what `EsmForMaskedLM` and `EsmTokenizer` read and write."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, zeros

from ..errors import InputError
from ..files import atomic_folder, read_object, read_text
from .architecture import (
    ESM1B,
    LAYER_NORM_EPSILON,
    OURS,
    ROTARY_BASE,
    Shape,
    Vocabulary,
)
from .pickles import read_pickled
from .weights import HEAD, Weights, checked_state, read_safetensors, tensor_names

_SHAPE = {
    "n_layers": "num_hidden_layers",
    "d_model": "hidden_size",
    "d_ffn": "intermediate_size",
    "n_heads": "num_attention_heads",
}
_FUNCTION = {
    "model_type": "esm",
    "position_embedding_type": "rotary",
    "token_dropout": True,
    "emb_layer_norm_before": False,
    "layer_norm_eps": LAYER_NORM_EPSILON,
    "is_folding_model": False,
    "tie_word_embeddings": True,
}
"""Keys of config.json that decide which function is computed, and their values in ESM-2."""

_DEFAULTS = {
    "position_embedding_type": "absolute",
    "token_dropout": False,
    "emb_layer_norm_before": None,
    "layer_norm_eps": 1e-12,
    "is_folding_model": False,
    "tie_word_embeddings": True,
}
"""What transformers takes for a key of `_FUNCTION` that is not there (`EsmConfig`)."""

_RENAMED = (
    (r"^embed_tokens\.", "esm.embeddings.word_embeddings."),
    (r"^layers\.(\d+)\.self_attn\.q_proj\.", r"esm.encoder.layer.\1.attention.self.query."),
    (r"^layers\.(\d+)\.self_attn\.k_proj\.", r"esm.encoder.layer.\1.attention.self.key."),
    (r"^layers\.(\d+)\.self_attn\.v_proj\.", r"esm.encoder.layer.\1.attention.self.value."),
    (r"^layers\.(\d+)\.self_attn\.out_proj\.", r"esm.encoder.layer.\1.attention.output.dense."),
    (r"^layers\.(\d+)\.self_attn\.rot_emb\.", r"esm.encoder.layer.\1.attention.self.rotary_embeddings."),
    (r"^layers\.(\d+)\.self_attn_layer_norm\.", r"esm.encoder.layer.\1.attention.LayerNorm."),
    (r"^layers\.(\d+)\.fc1\.", r"esm.encoder.layer.\1.intermediate.dense."),
    (r"^layers\.(\d+)\.fc2\.", r"esm.encoder.layer.\1.output.dense."),
    (r"^layers\.(\d+)\.final_layer_norm\.", r"esm.encoder.layer.\1.LayerNorm."),
    (r"^emb_layer_norm_after\.", "esm.encoder.emb_layer_norm_after."),
    (r"^lm_head\.weight$", "lm_head.decoder.weight"),
)
"""Names of fair-esm → names of transformers; other names are the same."""

_LARGEST_VOCABULARY = 1 << 20
"""Bytes of vocab.txt; ESM-2's has 93."""

_NO_PART = re.compile(r"^esm\.(contact_head\.|pooler\.|embeddings\.position_(ids|embeddings))")
"""Tensors in published folders that the language model does not use."""

_ONE_ROTARY = re.compile(r"^esm\.(encoder\.layer\.\*\.attention\.self\.)?rotary_embeddings\.inv_freq$")
"""transformers 5 has one copy of the frequencies, and writes it with a literal `*` for the layer (5.23)."""

_OLD_NORM = {".gamma": ".weight", ".beta": ".bias"}
"""TensorFlow's names of a norm's parameters: transformers 5.23 writes them for the norms inside the layers."""


def their_name(name: str) -> str:
    """Name in transformers of a tensor of fair-esm.

    Examples
    --------
    >>> their_name("layers.0.fc1.bias")
    'esm.encoder.layer.0.intermediate.dense.bias'
    """
    for pattern, replacement in _RENAMED:
        name, n = re.subn(pattern, replacement, name)
        if n:
            break
    return name


def read_folder(folder: str | Path) -> Weights:
    """Read a folder with config.json, vocab.txt and model.safetensors (whole or in parts) or pytorch_model.bin.

    Raises
    ------
    InputError
        If a file is missing or damaged, or the model is not an ESM-2 language model; ESM-1b is named.
    """
    folder = Path(folder)
    config = read_object(folder / "config.json")
    _check_function(config, folder / "config.json")
    numbers: dict[str, Any] = {ours: config.get(theirs) for ours, theirs in _SHAPE.items()}
    absent = [_SHAPE[ours] for ours, value in numbers.items() if type(value) is not int]
    if absent:
        raise InputError(f"{folder / 'config.json'}: {absent[0]} is missing or not a whole number.")
    shape = Shape(**numbers).check(folder / "config.json")
    vocabulary = _vocabulary(folder, config)
    path, state = _tensors(folder)
    shape.check_layers(len(state), where=path)
    return Weights(path, shape, vocabulary, _our_names(state, shape))


def _our_names(state: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Tensors by the names of fair-esm; what is not known keeps its name, so that the message can give it."""
    names = {their_name(name): name for name in tensor_names(shape)}
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if _ONE_ROTARY.match(name):
            found |= {ours: tensor for ours in names.values() if ours.endswith("inv_freq")}
            continue
        for old, new in _OLD_NORM.items():
            name = name.removesuffix(old) + new if name.endswith(old) else name
        if not _NO_PART.match(name):
            found[names.get(name, name)] = tensor
    return found


def _check_function(config: dict[str, Any], path: Path) -> None:
    if config.get("model_type") != "esm":
        raise InputError(f"{path}: model_type is {config.get('model_type')!r}, not 'esm'. Give an ESM-2 folder.")
    for key, value in _FUNCTION.items():
        found = config.get(key, _DEFAULTS.get(key))
        if found != value and not (value is False and found is None):
            hint = " It looks like ESM-1b." if key == "position_embedding_type" else ""
            raise InputError(f"{path}: {key} is {found!r}, but ESM-2 has {value!r}.{hint} Only ESM-2 can be read.")
    rope = config.get("rope_parameters") or {}
    base = config.get("rope_theta", rope.get("rope_theta", ROTARY_BASE) if isinstance(rope, dict) else rope)
    if base != ROTARY_BASE:
        raise InputError(f"{path}: rope_theta is {base}, but ESM-2 has {ROTARY_BASE}. Only ESM-2 can be read.")


def _vocabulary(folder: Path, config: dict[str, Any]) -> Vocabulary:
    path = folder / "vocab.txt"
    if path.is_file():
        vocabulary = Vocabulary.read(
            (line.strip() for line in read_text(path, largest=_LARGEST_VOCABULARY).splitlines()), where=path
        )
    elif config.get("vocab_size") == len(ESM1B):
        vocabulary = ESM1B
    else:
        raise InputError(f"{path} is missing. Copy the tokenizer's files beside the weights.")
    for key, expected in (("vocab_size", len(vocabulary)), ("pad_token_id", vocabulary.pad)):
        if config.get(key) != expected:
            raise InputError(f"{folder / 'config.json'}: {key} is {config.get(key)}, but {path} says {expected}.")
    if config.get("mask_token_id") != vocabulary.mask:
        raise InputError(
            f"{folder / 'config.json'}: mask_token_id is {config.get('mask_token_id')}, not {vocabulary.mask}."
        )
    return vocabulary


def _tensors(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """The tensors of a folder; of several copies of the weights the one that transformers takes, and no other."""
    for suffix, read in ((".safetensors", read_safetensors), (".bin", _read_bin)):
        name = "model.safetensors" if suffix == ".safetensors" else "pytorch_model.bin"
        whole, index = folder / name, folder / f"{name}.index.json"
        if whole.is_file():
            return whole, read(whole)
        if index.is_file():
            return index, _in_parts(index, read)
    raise InputError(f"{folder} has neither model.safetensors nor pytorch_model.bin, whole or in parts.")


def _read_bin(path: Path) -> dict[str, Tensor]:
    return checked_state(path, read_pickled(path))


def _in_parts(index: Path, read: Callable[[Path], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors in the parts that an index names, which lie beside it; each as often as the index says, once."""
    listed = read_object(index)["weight_map"]
    if not isinstance(listed, dict) or not all(isinstance(part, str) for part in listed.values()):
        raise InputError(f"{index}: weight_map is no object that gives the file of each tensor.")
    found: dict[str, Tensor] = {}
    for part in sorted(set(listed.values())):
        if Path(part).name != part or part in ("", ".", ".."):
            raise InputError(f"{index}: {part!r} is no file beside it. Parts lie in the same folder.")
        tensors = read(index.with_name(part))
        if twice := found.keys() & tensors.keys():
            raise InputError(
                f"{index.with_name(part)}: {min(twice)} is in another part as well. Remove one of the two."
            )
        found |= tensors
    if missing := sorted(listed.keys() - found.keys()):
        raise InputError(f"{index}: {missing[0]} is not in {listed[missing[0]]}. Copy the folder again.")
    return found


def write_folder(weights: Weights, folder: str | Path, *, max_length: int, card: str) -> None:
    """Write an encoder of the 29 tokens as a folder that transformers loads.

    Parameters
    ----------
    weights : Weights
    folder : str or Path
        Must not exist yet, or be empty. It appears when it is complete.
    max_length : int
        Longest input in positions of the training: the tokenizer's `model_max_length`.
    card : str
        Text of README.md.

    Notes
    -----
    The vocabulary has no `<unk>`: unknown letters, J among them, are read as X. So the tokenizer counts X among its
    special tokens; `decode(..., skip_special_tokens=True)` leaves it out.
    """
    state = {their_name(k): v.contiguous() for k, v in weights.encoder().state_dict().items() if k != HEAD}
    n_maps = weights.shape.n_layers * weights.shape.n_heads
    # Not trained, but transformers would fill it with random numbers, and say so at every start.
    state |= {"esm.contact_head.regression.weight": zeros(1, n_maps), "esm.contact_head.regression.bias": zeros(1)}
    special = {"cls_token": "<cls>", "pad_token": "<pad>", "eos_token": "<eos>", "mask_token": "<mask>"}
    special["unk_token"] = "X"
    tokenizer = {"tokenizer_class": "EsmTokenizer", "model_max_length": max_length} | special
    with atomic_folder(folder) as partial:
        save_file(state, partial / "model.safetensors", metadata={"format": "pt"})
        (partial / "vocab.txt").write_text("\n".join(OURS.tokens) + "\n")
        for name, content in (
            ("config.json", _config(weights.shape)),
            ("tokenizer_config.json", tokenizer),
            ("special_tokens_map.json", special),
        ):
            (partial / name).write_text(json.dumps(content, indent=2) + "\n")
        (partial / "README.md").write_text(card)


def _config(shape: Shape) -> dict[str, Any]:
    return {
        "architectures": ["EsmForMaskedLM"],
        **_FUNCTION,
        **{theirs: getattr(shape, ours) for ours, theirs in _SHAPE.items()},
        "vocab_size": len(OURS),
        "pad_token_id": OURS.pad,
        "mask_token_id": OURS.mask,
        "bos_token_id": OURS.tokens.index("<cls>"),
        "eos_token_id": OURS.tokens.index("<eos>"),
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.02,
        "rope_theta": float(ROTARY_BASE),
        # Of absolute positions, which are not used; the published folders have the same.
        "max_position_embeddings": 1026,
        "use_cache": False,
    }
