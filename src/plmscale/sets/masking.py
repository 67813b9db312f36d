"""BERT masking of training batches (paper, appendix D); evaluation has its own, `plmscale.model.evaluation_masks`."""

import numpy as np

from ..sequences.alphabet import END, MASK, STANDARD, START
from ..study.config import Masking


def masked(originals: np.ndarray, *, settings: Masking, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What the encoder sees, and where it is asked.

    Parameters
    ----------
    originals : ndarray of uint8, shape (n,)
        Tokens of a batch, sequences one after the other.
    settings : Masking
    rng : Generator

    Returns
    -------
    ndarray of uint8, shape (n,)
        Tokens of which some residues are MASK, and some are another residue.
    ndarray of bool, shape (n,)
        The residues that are predicted; START and END never are.
    """
    predicted = rng.random(originals.size) < settings.fraction
    predicted &= (originals != START) & (originals != END)
    inputs = originals.copy()
    where = np.flatnonzero(predicted)
    kind = rng.random(where.size)
    inputs[where[kind < settings.mask_share]] = MASK
    swapped = where[(kind >= settings.mask_share) & (kind < settings.mask_share + settings.random_share)]
    inputs[swapped] = np.asarray(STANDARD, np.uint8)[rng.integers(len(STANDARD), size=swapped.size)]
    return inputs, predicted
