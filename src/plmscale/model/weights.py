"""Weights of an encoder as read from a file, whoever wrote it, and the checks that make an encoder of them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import InputError
from .architecture import EncoderShape, Shape, Vocabulary
from .esm2 import ESM2

HEAD, EMBEDDING = "lm_head.weight", "embed_tokens.weight"
"""The output weights and the embedding, which are one tensor in ESM-2."""

_EXAMPLES = 3


@dataclass(frozen=True)
class Weights:
    """What a checkpoint says.

    Attributes
    ----------
    path : Path
        File that the weights are in, for messages.
    shape : Shape
    vocabulary : Vocabulary
    state : dict of str to Tensor
        By the names of fair-esm's ESM2. The head's weight and the rotary frequencies may be left out.
    """

    path: Path
    shape: Shape
    vocabulary: Vocabulary
    state: dict[str, Tensor]

    def encoder(self) -> ESM2:
        """The encoder, in fp32 on the CPU.

        Raises
        ------
        InputError
            If a tensor is missing, is not known, has another shape than its configuration says or holds values that
            are not finite, or if head and embedding differ.
        """
        with torch.device("meta"):  # nothing is allocated before the file is known to fill it
            own = ESM2(self.shape, seed=None, vocabulary=self.vocabulary).state_dict()
        self._check_names(own)
        state = {HEAD: self.state[EMBEDDING]} | self.state
        for name in filter(state.__contains__, own):
            tensor = state[name]
            if tensor.shape != own[name].shape:
                raise InputError(
                    f"{self.path}: {name} has shape {list(tensor.shape)}, but its configuration ({self.shape}, "
                    f"{len(self.vocabulary)} tokens) asks for {list(own[name].shape)}. They do not belong together."
                )
            if not tensor.is_floating_point():
                raise InputError(f"{self.path}: {name} holds {tensor.dtype}, not floating-point numbers.")
            if not bool(torch.isfinite(tensor).all()):
                raise InputError(
                    f"{self.path}: {name} holds NaN or infinite values. Take a checkpoint from before it diverged."
                )
        model = ESM2(self.shape, seed=None, vocabulary=self.vocabulary)
        if not torch.equal(state[HEAD], state[EMBEDDING]):
            raise InputError(f"{self.path}: {HEAD} differs from {EMBEDDING}. In ESM-2 they are one.")
        model.load_state_dict(model.state_dict() | state)
        return model.eval()

    def _check_names(self, own: Collection[str]) -> None:
        missing = [n for n in own if n not in self.state and n != HEAD and not n.endswith("inv_freq")]
        unknown = [n for n in self.state if n not in own]
        for what, names in (("has no", missing), ("holds what no ESM-2 has:", unknown)):
            if names:
                more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
                raise InputError(
                    f"{self.path} {what} {', '.join(names[:_EXAMPLES])}{more} (names of fair-esm, {self.shape}). "
                    "Give an ESM-2 checkpoint with its language-model head."
                )


def tensor_names(shape: EncoderShape) -> list[str]:
    """Names of all tensors of an encoder, those of fair-esm's ESM2."""
    with torch.device("meta"):
        return list(ESM2(shape, seed=None).state_dict())


def checked_state(path: Path, state: Any) -> dict[str, Tensor]:
    """Give a state back that was read from a pickle if it is names with tensors that the file can hold.

    Raises
    ------
    InputError
        For anything else: a tensor may claim more numbers than there are, by strides of zero.
    """
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise InputError(f"{path}: it holds no names with tensors. Give weights that `torch.save(state_dict)` wrote.")
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise InputError(f"{path}: {name} is not a plain tensor. Give weights that `torch.save(state_dict)` wrote.")
    n = sum(tensor.numel() for tensor in state.values() if tensor.dim())
    if n > path.stat().st_size * _SHARED:
        raise InputError(f"{path}: its tensors claim {n:,} numbers, more than the file can hold. Copy it again.")
    return dict(state)


_SHARED = 4
"""Numbers a byte of the file may stand for: head and embedding are one tensor under two names."""


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} cannot be read: {error}. Copy or write it again.") from error
