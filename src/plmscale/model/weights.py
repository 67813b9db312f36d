"""Weights of an encoder as read from a file, whoever wrote it, and the checks that make an encoder of them."""

import argparse
import pickle
from collections.abc import Collection
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
        model = ESM2(self.shape, seed=None, vocabulary=self.vocabulary)
        own = model.state_dict()
        self._check_names(own)
        state = {HEAD: self.state[EMBEDDING]} | self.state
        for name in filter(state.__contains__, own):
            tensor = state[name]
            if tensor.shape != own[name].shape:
                raise InputError(
                    f"{self.path}: {name} has shape {list(tensor.shape)}, but its configuration ({self.shape}, "
                    f"{len(self.vocabulary)} tokens) asks for {list(own[name].shape)}. They do not belong together."
                )
            if not bool(torch.isfinite(tensor).all()):
                raise InputError(
                    f"{self.path}: {name} holds NaN or infinite values. Take a checkpoint from before it diverged."
                )
        if not torch.equal(state[HEAD], state[EMBEDDING]):
            raise InputError(f"{self.path}: {HEAD} differs from {EMBEDDING}. In ESM-2 they are one.")
        model.load_state_dict(own | state)
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


def read_pickled(path: Path) -> Any:
    """What `torch.save` wrote, by the unpickler that makes tensors, plain containers and argparse's Namespace only.

    Raises
    ------
    InputError
        If the file is missing or damaged, or asks for anything else.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        why = str(error).partition("WeightsUnpickler error: ")[2].split("Please use")[0].strip()
        raise InputError(
            f"{path} is not a checkpoint of tensors and plain values ({why or 'it is damaged'}). Nothing else is "
            "loaded, since a pickle can run any program."
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise InputError(f"{path} is damaged or no checkpoint of torch: {str(error).splitlines()[0]}") from error
