"""The masks of an evaluation: a function of the seed and of the residues of each sequence alone.

So every model, whatever its alphabet, the batches and the number of ranks, is asked the same questions.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..sequences.alphabet import END, MASK, STANDARD, START
from ..study.catalog import EVALUATION_SEED, EVALUATION_TOKENS, MAX_LENGTH
from ..study.config import Masking


@dataclass(frozen=True)
class EvaluationSettings:
    """How a set of sequences is evaluated.

    Attributes
    ----------
    max_length : int
        Longest input in positions, START and END included. Of a longer protein a window is taken, whose place is as
        much a function of seed and sequence as the masks are.
    seed : int
    masking : Masking
        Shares of the residues that are predicted, masked and replaced.
    batch_tokens : int
        Most positions in one forward pass. It changes memory and speed, and results by float rounding alone.
    """

    max_length: int = MAX_LENGTH
    seed: int = EVALUATION_SEED
    masking: Masking = Masking()
    batch_tokens: int = EVALUATION_TOKENS


@dataclass(frozen=True)
class Row:
    """One row of a forward pass: tokens of the 29, and the targets at the places to be predicted."""

    tokens: NDArray[np.uint8]
    places: NDArray[np.int64]
    targets: NDArray[np.uint8]


def random_numbers(sequence: NDArray[np.uint8], seed: int) -> np.random.Generator:
    """The random numbers of a sequence."""
    digest = hashlib.blake2b(sequence.tobytes(), digest_size=8).digest()
    key = np.array([seed, int.from_bytes(digest, "little")], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def window(sequence: NDArray[np.uint8], settings: EvaluationSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """START, the residues (of a long sequence, a window) and END."""
    n = min(sequence.size, settings.max_length - 2)
    begin = int(rng.random() * (sequence.size - n + 1))
    return np.concatenate(([START], sequence[begin : begin + n], [END])).astype(np.uint8)


def masked_row(sequence: NDArray[np.uint8], settings: EvaluationSettings) -> Row:
    """A sequence with BERT masking.

    Parameters
    ----------
    sequence : ndarray of uint8, shape (n_residues,)
        Ids of the 29 tokens, without START and END.
    settings : EvaluationSettings
    """
    rng, masking = random_numbers(sequence, settings.seed), settings.masking
    tokens = window(sequence, settings, rng)
    places = 1 + np.flatnonzero(rng.random(tokens.size - 2) < masking.fraction)
    targets = tokens[places]
    kind = rng.random(places.size)
    tokens[places[kind < masking.mask_share]] = MASK
    swapped = places[(kind >= masking.mask_share) & (kind < masking.mask_share + masking.random_share)]
    tokens[swapped] = STANDARD[rng.integers(STANDARD.size, size=swapped.size)]
    return Row(tokens, places, targets)


def single_row(sequence: NDArray[np.uint8], settings: EvaluationSettings, residue: int) -> Row:
    """A sequence with one residue masked: the one at index `residue` of the window that `masked_row` takes."""
    tokens = window(sequence, settings, random_numbers(sequence, settings.seed))
    place = np.array([residue + 1])
    targets = tokens[place]
    tokens[place] = MASK
    return Row(tokens, place, targets)
