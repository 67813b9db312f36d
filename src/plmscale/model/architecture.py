"""What an ESM-2 encoder is besides its weights: a shape and a vocabulary."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..sequences.alphabet import RESIDUES, TOKENS
from ..study.settings import LARGEST_SHAPE

LAYER_NORM_EPSILON = 1e-5
"""Of every layer norm of ESM-2: torch's default, which fair-esm leaves as it is."""

ROTARY_BASE = 10_000
"""Base of the rotary frequencies (fair-esm `esm/rotary_embedding.py`)."""


class EncoderShape(Protocol):
    """What the encoder asks of a size: a row of models.tsv has it, and so has a checkpoint of others."""

    @property
    def n_layers(self) -> int:
        """Transformer layers."""
        ...

    @property
    def d_model(self) -> int:
        """Embedding size."""
        ...

    @property
    def d_ffn(self) -> int:
        """Feed-forward size."""
        ...

    @property
    def n_heads(self) -> int:
        """Attention heads."""
        ...


@dataclass(frozen=True)
class Shape:
    """An `EncoderShape` that was read from a checkpoint."""

    n_layers: int
    d_model: int
    d_ffn: int
    n_heads: int

    def check(self, where: object) -> "Shape":
        """Give the shape back if there can be such an encoder.

        Parameters
        ----------
        where : object
            File that it was read from, for the message.

        Raises
        ------
        InputError
            If a number is not positive, or `d_model` is not an even multiple of `n_heads`.
        """
        for name, largest in LARGEST_SHAPE.items():
            if getattr(self, name) > largest:
                raise InputError(f"{where}: {name} is {getattr(self, name):,}. No encoder has more than {largest:,}.")
        if min(self.n_layers, self.d_model, self.d_ffn, self.n_heads) < 1 or self.d_model % (2 * self.n_heads):
            raise InputError(
                f"{where}: {self} is not an encoder. All four must be positive, d_model an even multiple of n_heads."
            )
        return self

    def check_layers(self, n_tensors: int, *, where: object) -> None:
        """Check that there can be so many layers in so many tensors, before an encoder is built of them.

        Raises
        ------
        InputError
        """
        if self.n_layers > n_tensors:
            raise InputError(f"{where}: {n_tensors} tensors are not those of {self.n_layers} layers.")


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of an encoder; a token's id is its place among them.

    Attributes
    ----------
    tokens : tuple of str
        They include the 25 letters, `<cls>`, `<pad>`, `<eos>` and `<mask>`.

    Examples
    --------
    >>> OURS.mask, ESM1B.mask, len(ESM1B.tokens)
    (28, 32, 33)
    """

    tokens: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def pad(self) -> int:
        """Id of PAD."""
        return self.tokens.index("<pad>")

    @property
    def mask(self) -> int:
        """Id of MASK."""
        return self.tokens.index("<mask>")

    @cached_property
    def translation(self) -> NDArray[np.int64]:
        """Id here of each of the 29 tokens of `alphabet`; int64, shape (29,)."""
        return np.array([self.tokens.index(token) for token in TOKENS], dtype=np.int64)

    @classmethod
    def read(cls, tokens: Iterable[str], *, where: object) -> "Vocabulary":
        """The vocabulary of a checkpoint.

        Raises
        ------
        InputError
            If a token is missing that the 29 have, or one stands there twice.
        """
        found = tuple(tokens)
        missing = [token for token in TOKENS if token not in found]
        if missing or len(set(found)) != len(found):
            what = f"lacks {' '.join(missing)}" if missing else "names a token twice"
            raise InputError(f"{where}: the vocabulary {what}. ESM-2's has the letters {RESIDUES} and <cls> <pad> …")
        return cls(found)


def _esm1b(letters: Sequence[str]) -> tuple[str, ...]:
    return ("<cls>", "<pad>", "<eos>", "<unk>", *letters, ".", "-", "<null_1>", "<mask>")


OURS = Vocabulary(TOKENS)
"""The 29 tokens."""

ESM1B = Vocabulary(_esm1b(RESIDUES))
"""The 33 tokens of the published ESM-2 checkpoints (fair-esm `Alphabet.from_architecture("ESM-1b")`)."""
